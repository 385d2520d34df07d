package mapping

import (
	"fmt"
	"regexp"
)

// hexadecimalID is the form of ids of pipelines and of CodeArts projects.
const hexadecimalID = `[0-9a-f]{32}`

// Addresses in the console: of a pipeline or of one of its runs, and of a job of CodeArts Build.
var (
	pipelineAddress = regexp.MustCompile(`^https?://\S+/project/(` + hexadecimalID + `)/pipeline/detail/(` + hexadecimalID + `)`)
	jobAddress      = regexp.MustCompile(`^https?://\S+/detail/history/([0-9a-z]{32})`)
	looksLikeJob    = regexp.MustCompile(`^[0-9a-z]{32}$`)
)

// pastedAddress says what to write in place of an address of the console that was pasted where
// an id belongs, "" if the text is none.
func pastedAddress(text string) string {
	if m := pipelineAddress.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("this is the address of a pipeline in the console: write pipeline_id: %s and project_id: %s", m[2], m[1])
	}
	if m := jobAddress.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("this is the address of a job in the console: write job_id: %s", m[1])
	}
	return ""
}

// noPipelineID is pastedAddress for the id of a pipeline, which has fewer letters than that of a job.
func noPipelineID(text string) string {
	if looksLikeJob.MatchString(text) {
		return fmt.Sprintf("%q has letters behind f, as only ids of jobs have: if it is one, write job_id: %s", text, text)
	}
	return pastedAddress(text)
}
