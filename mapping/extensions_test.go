package mapping

import (
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// What cel-go's extensions answer, this program does, where it does not refuse.
func TestExtensions(t *testing.T) {
	lang, err := newLanguage()
	if err != nil {
		t.Fatal(err)
	}
	reference, err := cel.NewEnv(cel.OptionalTypes(), ext.Lists(), ext.Sets(), ext.Regex(), ext.Strings())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`["c", "a", "b"].sort() == ["a", "b", "c"]`, `[3, 1, 2].sort() == [1, 2, 3]`, `["a", "b"].reverse() == ["b", "a"]`, `"ab".reverse() == "ba"`,
		`["a", "b", "a"].distinct() == ["a", "b"]`, `[0.0, -0.0, 1.0, 0.0].distinct().size() == 2`,
		`[b"a", b"a"].distinct() == [b"a"]`, `[type(1), type(2), type("")].distinct().size() == 2`, `[null, null].distinct() == [null]`,
		`["1970-01-01T00:00:00Z", "1970-01-01T01:00:00+01:00"].map(t, timestamp(t)).distinct().size() == 1`,
		`[1u, 2u, 1u].distinct() == [1u, 2u]`, `[true, false, true].distinct().size() == 2`, `[duration("60s"), duration("1m")].distinct().size() == 1`,
		`[1, 2, 3, 4].slice(1, 3) == [2, 3]`, `lists.range(3) == [0, 1, 2]`,
		`sets.contains(["a", "b"], ["b"])`, `sets.equivalent(["a", "b"], ["b", "a", "a"])`, `sets.intersects(["a"], ["b"])`,
		`regex.extractAll(x, r'[A-Z]+-[0-9]+')`, `regex.extractAll(x, r'([A-Z]+)-[0-9]+')`, `regex.extractAll(x, 'nothing')`, `regex.extractAll(x, '')`, `regex.extractAll(x, '(Z)?')`,
		`regex.replace(x, r'([A-Z]+)-([0-9]+)', r'\2\\\1!')`, `regex.replace(x, '', '-')`, `regex.replace(x, '(Z)?T', r'<\1\0>')`, `regex.replace(x, 'nothing', r'\7')`,
		`regex.replace(x, '[A-Z]', '.', 0)`, `regex.replace(x, '[A-Z]', '.', 1)`, `regex.replace(x, '[A-Z]', '.', 5)`, `regex.replace(x, '[A-Z]', '.', 99)`,
		`regex.replace(x, '[A-Z]', '.', -7)`, `regex.replace(x, 'T', '')`, `regex.replace(x, r'^T|\bx', '.')`, `regex.replace(x, '(?i)t', '$1')`,
	} {
		full := strings.ReplaceAll(text, "x,", `"SHOP-12: x, TT SHOP-3 and é PAY-9",`)
		ours := strings.ReplaceAll(text, "x,", `(event.branch + ""),`)
		checked, issues := reference.Compile(full)
		if issues.Err() != nil {
			t.Fatalf("%s: %v", full, issues.Err())
		}
		program, err := reference.Program(checked)
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := program.Eval(map[string]any{})
		if err != nil {
			t.Fatalf("%s: %v", full, err)
		}
		e, faults := lang.compile(ours)
		if faults != nil {
			t.Fatalf("%s: %v", ours, faults)
		}
		got, err := new(meter).eval(e, pushEvent(func(e *Event) { e.Branch = "SHOP-12: x, TT SHOP-3 and é PAY-9" }), new(constants))
		if err != nil || got.Equal(want) != types.True {
			t.Errorf("%s: got %v, %v; want %v", text, native(got), err, native(want))
		}
	}
}

func native(v ref.Val) any {
	if v == nil {
		return nil
	}
	return v.Value()
}

// TestExtensionsRefused checks what is refused when a file is loaded, or when it is evaluated.
func TestExtensionsRefused(t *testing.T) {
	lang, err := newLanguage()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`regex.extractAll(event.branch, event.tag) == []`:     "regex.extractAll: write the pattern as one literal text: its size is checked when the file is loaded",
		`regex.replace(event.branch, event.tag, "x") == ""`:   "regex.replace: write the pattern as one literal text: its size is checked when the file is loaded",
		`regex.replace(event.branch, "a{1,1000}", "x") == ""`: "regex.replace: the pattern is too large",
		`regex.extractAll(event.branch, ".{1,1000}") == []`:   "regex.extractAll: the pattern is too large",
		`regex.extractAll(event.branch, "(a)(b)") == []`:      "regex.extractAll: the pattern has 2 groups",
		`regex.extractAll(event.branch, "(") == []`:           "regex.extractAll: error parsing regexp",
		`regex.extract(event.branch, "a") == ""`:              `unknown name "regex.extract"`,
		`[[1]].flatten() == [1]`:                              `unknown name "flatten"`,
		`[event.files].distinct().size() == 1`:                "only texts, numbers, and lists or maps of them can be compared",
		`sets.contains([event.files], [event.files])`:         "only texts, numbers, and lists or maps of them can be compared",
		`sets.intersects(event.files, dyn(event.files))`:      "only texts, numbers, and lists or maps of them can be compared",
		`[event.files].sort().size() == 1`:                    "sort cannot be called as list.sort()",
		`event.files.sortBy(f, f.size()).size() == 1`:         `unknown name`,
		`event.files.hasAll(["a"])`:                           `unknown name "hasAll"`,
	} {
		_, faults := lang.compile(text)
		if len(faults) == 0 || !strings.Contains(faults[0].message, want) {
			t.Errorf("%s: %v, want %s", text, faults, want)
		}
	}
	for text, want := range map[string]string{
		`lists.range(10001).size() > 0`:                                                       "exceeds maximum",
		`lists.range(-1).size() > 0`:                                                          "non-negative",
		`[1].slice(0, 2).size() > 0`:                                                          "",
		`sets.equivalent(event.files, event.files)`:                                           "sets.equivalent: the texts are too long for this call",
		`sets.contains(event.files, event.files)`:                                             "sets.contains: the texts are too long for this call",
		`sets.intersects(event.files, event.files)`:                                           "sets.intersects: the texts are too long for this call",
		`regex.extractAll(event.message, "m").size() > 0`:                                     "it takes too long",
		`regex.extractAll(event.message, "m(.*x)?").size() > 0`:                               "it takes too long",
		`regex.replace(event.message, "m", "n") != ""`:                                        "it takes too long",
		`regex.replace(event.message, "m+", event.message) != ""`:                             "", // 8 KiB for 8 KiB
		`regex.replace(event.branch, "x", r'\1') != ""`:                                       "the replacement names group 1, and the pattern has 0",
		`regex.replace(event.branch, "x", r'\x') != ""`:                                       `is followed by a digit`,
		`regex.replace(event.branch, "x$", event.branch + event.branch + event.branch) != ""`: "",
		`regex.replace(event.branch, "(m+)x", r'\1\1\1\1\1') != ""`:                           "regex.replace: the result may be longer than 32768 bytes",
	} {
		e, faults := lang.compile(text)
		if faults != nil {
			t.Errorf("%s: %v", text, faults)
			continue
		}
		var m meter
		v, err := m.eval(e, largeEvent(), new(constants))
		if m.spent > maxCost || (want != "" && (err == nil || !strings.Contains(err.Error(), want))) {
			t.Errorf("%s: %v, %v for %d, want %s", text, native(v), err, m.spent, want)
		}
	}
}
