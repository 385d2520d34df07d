package mapping

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// flat prints parts: literals as they are, expressions between «».
func flat(parts template) string {
	var b strings.Builder
	for _, s := range parts {
		if s.text != "" {
			b.WriteString("«" + s.text + "»")
		} else {
			b.WriteString(s.literal)
		}
	}
	return b.String()
}

func TestSplitTemplate(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"empty":                           {"", ""},
		"literal":                         {"main", "main"},
		"expression":                      {"${a}", "«a»"},
		"text around":                     {"x-${a}-y", "x-«a»-y"},
		"two":                             {"${a}${b}", "«a»«b»"},
		"an escape":                       {"$${a}", "${a}"},
		"an escape, then an expression":   {"$${${a}", "${«a»"},
		"a dollar before an escape":       {"$$${a}", "$${a}"},
		"dollars alone":                   {"$ $$ $x $", "$ $$ $x $"},
		"braces alone":                    {"{a} } {", "{a} } {"},
		"a map":                           {`${ {"a": "b"}[x] }!`, `« {"a": "b"}[x] »!`},
		"nested maps":                     {`${{"a":{"b":c}}.a.b}!`, `«{"a":{"b":c}}.a.b»!`},
		"a brace in double quotes":        {`${"}"}!`, `«"}"»!`},
		"a brace in single quotes":        {`${'}'}!`, `«'}'»!`},
		"an escaped quote":                {`${"\"}"}!`, `«"\"}"»!`},
		"an escaped backslash":            {`${"\\"}!`, `«"\\"»!`},
		"a raw text with a backslash":     {`${r"\"}!`, `«r"\"»!`},
		"raw bytes":                       {`${bR'\'}!`, `«bR'\'»!`},
		"not raw: a name ending in r":     {`${var"\""}!`, `«var"\""»!`},
		"triple quotes":                   {`${"""a"}"b"""}!`, `«"""a"}"b"""»!`},
		"triple quotes over lines":        {"${'''a\n}'''}!", "«'''a\n}'''»!"},
		"a raw text in triple quotes":     {`${r"""\"""}!`, `«r"""\"""»!`},
		"an empty text":                   {`${""+''}!`, `«""+''»!`},
		"a comment":                       {"${a // }\n}!", "«a // }\n»!"},
		"slashes in text":                 {`${"https://x"}!`, `«"https://x"»!`},
		"the other quote inside":          {`${"'"}${'"'}`, `«"'"»«'"'»`},
		"a template in text is only text": {`${"${a}"}`, `«"${a}"»`},
		"characters of several bytes":     {"größe ${é}ß", "größe «é»ß"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			parts, err := splitTemplate(test.in)
			if err != nil {
				t.Fatal(err.message)
			}
			if diff := cmp.Diff(test.want, flat(parts)); diff != "" {
				t.Error(diff)
			}
			for _, s := range parts {
				if s.text != "" && !strings.HasPrefix(test.in[s.offset:], s.text) {
					t.Errorf("offset %d is not that of %q", s.offset, s.text)
				}
			}
		})
	}
}

func TestBadTemplates(t *testing.T) {
	tests := map[string]struct {
		in     string
		offset int
	}{
		"no end":             {"ab${c", 2},
		"no end of a map":    {"ab${ {c }", 2},
		"no end of text":     {`ab${"c}`, 4},
		"text over lines":    {"ab${\"c\n\"}", 4},
		"no end of triple":   {`ab${"""c""}`, 4},
		"only an escape":     {`ab${"\`, 4},
		"empty":              {"ab${}", 2},
		"spaces":             {"ab${ }", 2},
		"a comment to the e": {"ab${c // }", 2},
		"the second":         {"${a}${b", 4},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := splitTemplate(test.in)
			if err == nil {
				t.Fatal("no fault")
			}
			if err.offset != test.offset {
				t.Errorf("offset %d, want %d: %s", err.offset, test.offset, err.message)
			}
		})
	}
}

func FuzzSplitTemplate(f *testing.F) {
	for _, s := range []string{"", "${a}", "$${", `${"}"}`, `${r'\'}`, "${'''a\n'''}", "${{}}", "${ // \n}", `${"\"}`, "$$${$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parts, err := splitTemplate(s)
		if err != nil {
			if err.offset < 0 || err.offset > len(s) || err.message == "" {
				t.Errorf("%q: bad fault %+v", s, err)
			}
			return
		}
		// Put together again, it is the text it was.
		var b strings.Builder
		for _, seg := range parts {
			if seg.text != "" {
				b.WriteString("${" + seg.text + "}")
				if !strings.HasPrefix(s[seg.offset:], seg.text) {
					t.Errorf("%q: offset %d", s, seg.offset)
				}
			} else {
				b.WriteString(strings.ReplaceAll(seg.literal, "${", "$${"))
			}
		}
		if b.String() != s {
			t.Errorf("%q became %q", s, b.String())
		}
	})
}
