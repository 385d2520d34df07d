package explain

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"buildbridge/mapping"
	"buildbridge/mapping/printable"
)

// Text is the explanation as text. It quotes what came with the delivery: a branch may have
// any name.
func (e *Explanation) Text() string {
	var b strings.Builder
	if e.Event != "" && e.EventFrom != Made {
		fmt.Fprintf(&b, "event %q, %s\n", e.Event, e.origin())
	}
	for i := range e.Events {
		if i > 0 {
			b.WriteByte('\n')
		}
		e.Events[i].write(&b)
	}
	if len(e.Events) > 0 && (len(e.Events)+len(e.LeftOut) > 1 || e.Ignored != "") {
		b.WriteByte('\n')
	}
	e.changes(&b)
	if e.Ignored != "" {
		fmt.Fprintf(&b, "nothing to build: %s (%s)\n", e.Ignored, cmp.Or(e.Ignored.Words(), "unknown reason"))
	}
	return b.String()
}

// changes says what became of each change of the delivery, if there are several.
func (e *Explanation) changes(b *strings.Builder) {
	prefix := ""
	if len(e.Events)+len(e.LeftOut) > 1 {
		b.WriteString("what became of each change:\n")
		prefix = "  "
		for i := range e.Events {
			fmt.Fprintf(b, "  %s: %s\n", e.Events[i].what(), e.Events[i].fate())
		}
	}
	for _, l := range e.LeftOut {
		fmt.Fprintf(b, "%sleft out: %s\n", prefix, l)
	}
}

// fate says in a few words what becomes of the event.
func (e *Event) fate() string {
	switch dead := len(e.Dead); {
	case e.calls()+dead > 0:
		fate := printable.Count(e.calls(), "build")
		if dead > 0 {
			fate += fmt.Sprintf(", and %d dead on arrival", dead)
		}
		return fate
	case len(e.Rules) == 0:
		return "nothing to build: no rule names the repository"
	default:
		return "nothing to build: no rule matches"
	}
}

// origin says where the name of the event is from.
func (e *Explanation) origin() string {
	switch e.EventFrom {
	case Header:
		return "from the header " + e.header
	case Guessed:
		return fmt.Sprintf("guessed from the body; if it was another, give -H '%s: …'", e.header)
	default:
		return "from the body"
	}
}

func (e *Event) write(b *strings.Builder) {
	b.WriteString(e.headline())
	b.WriteByte('\n')
	for _, v := range e.Rules {
		switch {
		case v.Matched && v.Jobs != nil:
			fmt.Fprintf(b, "  rule %q matches, and %s of it: %s\n", v.Rule, printable.Count(len(v.Jobs), "job"), strings.Join(v.Jobs, ", "))
		case v.Matched:
			fmt.Fprintf(b, "  rule %q matches\n", v.Rule)
		default:
			fmt.Fprintf(b, "  rule %q does not match: %s\n", v.Rule, v.Reason)
		}
	}
	switch {
	case e.OtherRules > 0:
		fmt.Fprintf(b, "  left out: %s of other repositories (--all shows all)\n", printable.Count(e.OtherRules, "rule"))
	case len(e.Rules) == 0:
		b.WriteString("  there are no rules\n")
	}
	for _, call := range slices.Concat(e.RunJob, e.RunPipeline) {
		name := "RunJob"
		if call.PipelineID != "" {
			name = fmt.Sprintf("RunPipeline of pipeline %s in project %s", call.PipelineID, call.ProjectID)
		}
		fmt.Fprintf(b, "  %s for rule %q on target %q:\n", name, call.Rule, call.Target)
		b.WriteString(Indent(call.Body, "    "))
		if call.Status != "" {
			fmt.Fprintf(b, "    status: %s\n", call.Status)
		}
	}
	for _, dead := range e.Dead {
		fmt.Fprintf(b, "  %s %s for rule %q on target %q is dead on arrival, nothing is sent: %s\n",
			dead.Action, dead.JobID, dead.Rule, dead.Target, strings.TrimPrefix(dead.Reason, fmt.Sprintf("rule %q: ", dead.Rule)))
	}
}

// what names the kind and the ref of the event.
func (e *Event) what() string {
	if e.Kind == mapping.Tag {
		return fmt.Sprintf("tag %q", e.Tag)
	}
	return fmt.Sprintf("push to branch %q", e.Branch)
}

// headline describes the event in a line.
func (e *Event) headline() string {
	line := fmt.Sprintf("%s of %q", e.what(), e.Repository)
	switch {
	case e.CommitUnknown != "":
		line += ", no commit: " + e.CommitUnknown
	case e.Commit == MadeUpCommit:
		line += ", a made-up commit"
	default:
		line += ", commit " + e.Commit
	}
	if e.Forced {
		line += ", forced"
	}
	switch {
	case e.Kind != mapping.Push:
		return line
	case e.FilesComplete:
		return line + ", " + printable.Count(len(e.Files), "changed file")
	case len(e.Files) == 0:
		return line + ", changed files not known: " + e.FilesUnknown
	default:
		return line + ", " + printable.Count(len(e.Files), "changed file") + ", perhaps not all: " + e.FilesUnknown
	}
}

// Indent writes a value as JSON in several lines, each after the prefix, without the escapes
// for HTML.
func Indent(value any, prefix string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent(prefix, "  ")
	if err := encoder.Encode(value); err != nil {
		return prefix + err.Error() + "\n"
	}
	return prefix + b.String()
}
