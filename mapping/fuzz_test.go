package mapping

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"buildbridge/mapping/internal/yamldoc"
)

// FuzzParse checks that no text makes Parse panic, that a fault always has a
// place in its file, and that a set comes with an error or not, never both.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range append(paths, "../rules.yaml") {
		data, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range []string{
		"a: &a [*a]", "&a *a", "<<: *a", "? a\n: b", "- - - - -", "!!binary x", "{a: {b: [", "\ufeffversion: 1", "%YAML 1.2\n---\nversion: 1",
		"version: 1\r\nrules:\r\n  - name: a\r\n", "version: 1\rrules: []", "a: |2-\n   x", "a: >+\n\n\n", "'", "\"\\", "- &", "- *", "- !", ": :", "?", "---\n...\n---",
		"version: &v 1\nrules: [{<<: [{name: a}, {<<: {}}]}]", strings.Repeat("[", 200), strings.Repeat("- ", 200), strings.Repeat("{a: ", 200), strings.Repeat("!a ", 200),
		"version: 1\nvars: {a: x, b: '${a}'}\ndefaults: {if: vars.a == '', parameters: {p: '${each.x}'}, target: '${vars.b}', report: true}\nrules:\n  - {name: r, when: {push: }}\n",
		ruleWith("name: r, for_each: {repository: {a/b: {x: y}, A/b: {}, a/c: {z: '${'}}}, when: {push: {branches: '${each.x}${vars.y}'}}, jobs: [{job_id: '${each.job}', parameters: {p: }}]"),
		"version: 1\nx-a: !b\nvars: *c\ndefaults: {<<: x}\nrules: [{name: r, when: {tag: {tags: '${[vars].map(v, v.a)[0]}'}}, jobs: [" + goodJob + "]}]\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		files := []File{{Name: "a.yaml", Data: data}}
		rs, warnings, err := Parse(testProviders, files...)
		if (rs == nil) == (err == nil) {
			t.Fatalf("set: %v, error: %v", rs != nil, err)
		}
		for _, w := range warnings {
			checkFault(t, w, files)
		}
		if err == nil {
			rs.Decide(pushEvent(nil))
			rs.Explain(tagEvent("v1.0.0"))
			return
		}
		var faults Faults
		if !errors.As(err, &faults) || len(faults) == 0 {
			t.Fatalf("want Faults, got %v", err)
		}
		for _, fault := range faults {
			if fault.File != "a.yaml" || fault.Line < 1 || fault.Column < 1 || fault.Message == "" || strings.Contains(fault.Error(), "cannot be read") {
				t.Errorf("%+v", fault)
			}
		}
	})
}

// FuzzParameter checks that no expression makes compiling or evaluating panic, or
// costs more than it may, and that a build that is alive has sound values.
func FuzzParameter(f *testing.F) {
	for _, s := range []string{
		"${event.branch}", `${event.tag.trimPrefix("v")}`, "${event.files.map(f, f + f).join()}", "${1/0}", `${event.message.replace("", "x")}`,
		`${"%s".format([event])}`, "${[1,2,3].all(x, x > 0)}", "${event.files[-1]}", "${event.commit.substring(-1)}", "${string(timestamp(0))}",
		"${type(event)}", "${event.branch.matchesGlob(event.branch)}", `${{"a": {"b": 1}}.a.b}`, "${optional.none()}", "${size(event.files) % 0}", "$${x}${'\\n'}",
		"${vars.x}", "${each.repository}", "${vars}", "${[each].map(e, e.x)}", "${has(vars.x) && vars == each}", "${vars . x + event.branch}",
	} {
		f.Add(s, "main", "message")
	}
	for _, s := range worst() {
		f.Add("${"+s+"}", "main", strings.Repeat("m", maxSeen))
	}
	lang, err := newLanguage()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value, branch, message string) {
		clear(lang.expressions)
		clear(lang.templates)
		s := scope{findings: new(findings), language: lang, constants: new(constants), file: &yamldoc.File{Name: "a.yaml"}}
		parsed := s.template(yamldoc.Text{Value: value, At: yamldoc.Position{Line: 1, Column: 1}}, "p")
		for _, fault := range s.faults {
			if fault.Line < 1 || fault.Column < 1 || fault.Message == "" {
				t.Errorf("%+v", fault)
			}
		}
		if len(s.faults) > 0 {
			return
		}
		var m meter
		got, err := parsed.value(&m, pushEvent(func(e *Event) { e.Branch, e.Message = branch, message }), new(constants))
		if m.spent > maxCosts {
			t.Errorf("%q cost %d", value, m.spent)
		}
		if err != nil {
			return
		}
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxValue || strings.IndexFunc(got, unicode.IsControl) >= 0 {
			t.Errorf("%q gave %q", value, got)
		}
	})
}
