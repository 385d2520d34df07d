package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"buildbridge/mapping"
	"buildbridge/mapping/printable"
)

// Text is the explanation as text. It quotes what came with the delivery: a branch may have
// any name.
func (e *Explanation) Text() string {
	var b strings.Builder
	if e.Event != "" {
		fmt.Fprintf(&b, "event %q, %s\n", e.Event, e.origin())
	}
	for i := range e.Events {
		if i > 0 {
			b.WriteByte('\n')
		}
		e.Events[i].write(&b)
	}
	if len(e.Events) > 0 && (len(e.LeftOut) > 0 || e.Ignored != "") {
		b.WriteByte('\n')
	}
	for _, l := range e.LeftOut {
		fmt.Fprintf(&b, "left out: %s\n", l)
	}
	if e.Ignored != "" {
		fmt.Fprintf(&b, "nothing to build: %s (%s)\n", e.Ignored, meaning(e.Ignored))
	}
	return b.String()
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

func meaning(r mapping.Reason) string {
	switch r {
	case mapping.ReasonPing:
		return "a test call of the code host"
	case mapping.ReasonEvent:
		return "neither a push of a branch nor a tag"
	case mapping.ReasonDeleted:
		return "the branch or tag was deleted"
	case mapping.ReasonNoRule:
		return "no rule names the repository"
	case mapping.ReasonNoMatch:
		return "every rule that names the repository has a clause that does not match"
	case mapping.ReasonMissed:
		return "its delivery never came, and catch-up only reports it"
	}
	return "unknown reason"
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
	for _, call := range e.RunJob {
		fmt.Fprintf(b, "  RunJob for rule %q on target %q:\n", call.Rule, call.Target)
		b.WriteString(Indent(call.Body, "    "))
		if call.Status != "" {
			fmt.Fprintf(b, "    status: %s\n", call.Status)
		}
	}
	for _, dead := range e.Dead {
		fmt.Fprintf(b, "  job %s for rule %q on target %q is dead on arrival, nothing is sent: %s\n",
			dead.JobID, dead.Rule, dead.Target, dead.Reason)
	}
}

// headline describes the event in a line.
func (e *Event) headline() string {
	what := fmt.Sprintf("push to branch %q", e.Branch)
	if e.Kind == mapping.Tag {
		what = fmt.Sprintf("tag %q", e.Tag)
	}
	line := fmt.Sprintf("%s of %q", what, e.Repository)
	if e.CommitUnknown == "" {
		line += ", commit " + e.Commit
	} else {
		line += ", no commit: " + e.CommitUnknown
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
