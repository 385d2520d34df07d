package mapping

import (
	"slices"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// skipMarksClause is `when.push.skip_marks`: a push is skipped whose head commit asks for that.
// Its title holds one of [skipMarks], or its message ends in a trailer. The rest of the message
// does not count: that of a squash merge repeats the titles of all merged commits.
//
// GitHub and GitLab look in the whole message, GitLab without case; the trailer is GitHub's,
// ***NO_CI*** that of Azure Pipelines:
// https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs
// https://docs.gitlab.com/ci/pipelines/#skip-a-pipeline
// https://learn.microsoft.com/en-us/azure/devops/pipelines/repos/azure-repos-git#skipping-ci-for-individual-pushes
type skipMarksClause struct{}

// skipMarks are compared without case.
var skipMarks = [...]string{"[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]", "***NO_CI***"}

// skipTrailer is compared without case and white space.
const skipTrailer = "skip-checks:true"

func (s scope) skipMarksClause(doc yamldoc.Boolean) clause {
	if !doc.Value {
		return nil
	}
	return skipMarksClause{}
}

func (skipMarksClause) holds(ev subject) bool { return skipMark(ev.Event) == "" }

func (skipMarksClause) why(ev subject) string { return "push.skip_marks: " + skipMark(ev.Event) }

func (skipMarksClause) label() string { return "push.skip_marks" }

func (skipMarksClause) asked(ev subject) (wants, got string) { return "true", ev.Title() }

func (skipMarksClause) meets(clause) bool { return true }

func (skipMarksClause) fields() map[string][]string {
	return map[string][]string{"when.push.skip_marks": {"true"}}
}

// skipMark says where the head commit asks that the push is skipped, "" if it does not.
func skipMark(ev *Event) string {
	line := strings.ToLower(title(ev))
	for _, mark := range skipMarks {
		if strings.Contains(line, strings.ToLower(mark)) {
			return "the title of the commit has " + mark
		}
	}
	if slices.ContainsFunc(trailers(ev.Message), func(line string) bool {
		return strings.EqualFold(strings.Join(strings.Fields(line), ""), skipTrailer)
	}) {
		return "the message of the commit ends with skip-checks: true"
	}
	return ""
}

// maxTrailers is more lines than a message has trailers.
const maxTrailers = 100

// trailers gives the lines of the last paragraph of a message, if that is not the first one,
// and each line of it is a trailer, as Git takes them: name, colon, value.
func trailers(message string) []string {
	var lines []string
	for rest := strings.TrimSpace(message); len(lines) < maxTrailers; {
		i := strings.LastIndexByte(rest, '\n')
		line := strings.TrimSpace(rest[i+1:])
		switch {
		case line == "":
			return lines
		case i < 0 || !strings.Contains(line, ":"):
			return nil
		}
		lines, rest = append(lines, line), rest[:i]
	}
	return nil
}
