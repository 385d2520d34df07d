package mapping

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// foreign is text that other systems replace: {{ name }}, $name, $(name), {event.name}, and
// the name of a value where nothing is around it.
var foreign = regexp.MustCompile(`\{\{[^{}]*\}\}|\$[A-Za-z_][\w.]*|\$\([A-Za-z_][\w.]*\)` +
	`|\{ *(?:event|vars|each)\.\w+ *\}|^(?:event|vars|each)\.\w+$`)

// warnSpelling warns of text in a parameter that looks like an expression and is none: it
// is sent as it is written.
func (s scope) warnSpelling(value template, at yamldoc.Position, field string) {
	for _, p := range value {
		if p.text != "" || !strings.ContainsAny(p.literal, "${.") {
			continue
		}
		found := foreign.FindString(strings.ReplaceAll(p.literal, "${", "")) // that is meant: it is written $${
		if found == "" || !strings.ContainsAny(found, "${") && len(value) > 1 {
			continue
		}
		s.warn(at, field, `%q is sent as it is written: %s. If that is meant, write ${%s}`, clip(found), instead(found), strconv.Quote(found))
		return
	}
}

// doubled says what to write for ${{ name }}: what is between ${ and } is in braces too, and
// no map. It is "" for anything else.
func doubled(expression string) string {
	inner, opened := strings.CutPrefix(strings.TrimSpace(expression), "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !opened || !closed || strings.TrimSpace(inner) == "" || strings.ContainsAny(inner, `:{}"'`) {
		return ""
	}
	return "${{ }} is of another language: " + instead(inner)
}

// instead says what to write for a name of another language.
func instead(name string) string {
	name = strings.Trim(name, "${}() .")
	if of, _, ok := strings.Cut(name, "."); ok && slices.Contains([]string{"event", "vars", "each"}, of) {
		return "write ${" + name + "}"
	}
	if field := meantField(name); field != "" {
		return "write ${event." + field + "}"
	}
	return "an expression is written ${event.branch}"
}

// meantField gives the field of the event that a name of another system may stand for, such as
// CI_COMMIT_BRANCH or github.sha; "" for none.
func meantField(name string) string {
	name = strings.ToLower(name)
	for _, word := range []struct{ part, field string }{
		{"default_branch", "default_branch"},
		{"branch", "branch"},
		{"ref_name", "branch"},
		{"tag", "tag"},
		{"title", "title"},
		{"message", "title"},
		{"sha", "commit"},
		{"commit", "commit"},
		{"repo", "repository"},
		{"project_path", "repository"},
		{"actor", "pusher"},
		{"user", "pusher"},
		{"pusher", "pusher"},
		{"author", "author"},
		{"ref", "ref"},
	} {
		if strings.Contains(name, word.part) {
			return word.field
		}
	}
	return ""
}
