package mapping

import (
	"strings"
	"testing"
)

func mustGlobs(t *testing.T, patterns ...string) globs {
	t.Helper()
	var out globs
	for _, p := range patterns {
		g, err := newGlob(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, g)
	}
	return out
}

func TestGlobs(t *testing.T) {
	tests := map[string]struct {
		list     []string
		takes    []string
		excludes []string
	}{
		"no list":                     {nil, []string{"", "main", "a/b"}, nil},
		"a literal":                   {[]string{"main"}, []string{"main"}, []string{"", "Main", "main/x", "a/main"}},
		"a star stays in its segment": {[]string{"release/*"}, []string{"release/1", "release/"}, []string{"release/1/2", "release", "x/release/1"}},
		"two stars cross":             {[]string{"release/**"}, []string{"release/1", "release/1/2", "release"}, []string{"releases/1"}},
		"two stars in front":          {[]string{"**/*.md"}, []string{"a.md", "a/b/c.md"}, []string{"a.md/x", "a.mdx"}},
		"two stars in the middle":     {[]string{"a/**/z"}, []string{"a/z", "a/b/c/z"}, []string{"a/bz", "az"}},
		"a question mark":             {[]string{"v?"}, []string{"v1", "vé"}, []string{"v", "v12", "v/"}},
		"a class":                     {[]string{"v[0-9]"}, []string{"v1"}, []string{"vx"}},
		"a negated class":             {[]string{"v[^0-9]"}, []string{"vx", "v/"}, []string{"v1"}},
		"classes with hyphens":        {[]string{"[a-]", "[-a]", `[z\-a]`, "[a-c-b]", `\[z-a]`, "[a-a]"}, []string{"a", "-", "z", "b", "[z-a]"}, nil},
		"braces":                      {[]string{"{main,release/*}"}, []string{"main", "release/1"}, []string{"dev"}},
		"an escape":                   {[]string{`a\*`}, []string{"a*"}, []string{"ab"}},
		"a literal exclamation mark":  {[]string{`\!x`}, []string{"!x"}, []string{"x", "y"}},
		"exclusion after":             {[]string{"*", "!main"}, []string{"dev"}, []string{"main"}},
		"exclusion before":            {[]string{"!main", "*"}, []string{"main", "dev"}, nil},
		"the last match decides": {
			[]string{"main", "release/**", "!release/old-**", "release/old-but-loved"},
			[]string{"main", "release/1", "release/old-but-loved"},
			[]string{"release/old-1", "dev"},
		},
		"only exclusions start from all":       {[]string{"!wip/**", "!tmp"}, []string{"main", "x/wip"}, []string{"wip/a", "tmp"}},
		"an exclusion first, then an addition": {[]string{"!wip/**", "wip/keep"}, []string{"main", "wip/keep"}, []string{"wip/a"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			list := mustGlobs(t, test.list...)
			for _, s := range test.takes {
				if !list.match(s) {
					t.Errorf("%s does not take %q", list, s)
				}
			}
			for _, s := range test.excludes {
				if list.match(s) {
					t.Errorf("%s takes %q", list, s)
				}
			}
		})
	}
}

func TestBadGlobs(t *testing.T) {
	tests := map[string]string{
		"empty":           "",
		"only the mark":   "!",
		"open class":      "a[b",
		"open brace":      "{a,b",
		"open escape":     `a\`,
		"reversed range":  "a[z-a]",
		"after a range":   "[a-cz-x]",
		"negated":         "[^z-a]",
		"escaped end":     `[z-\a]`,
		"after another":   `\[{a,[b-d]}[!é-a]`,
		"too long":        strings.Repeat("a", maxGlobLength+1),
		"too many ways":   strings.Repeat("{a,b}", 7),
		"ways in a class": strings.Repeat("{[}b],b}", 7),
		"ways in a nest":  "{a,{b,{c,{d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v}}}}{a,b}{a,b}",
	}
	for name, pattern := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := newGlob(pattern); err == nil {
				t.Errorf("%q was taken", pattern)
			}
		})
	}
}

// What is in a class is neither a brace nor an end of one.
func TestBraceWays(t *testing.T) {
	tests := map[string]struct {
		pattern string
		want    int
	}{
		"none":                     {"a/*,b", 1},
		"one after the other":      {"{a,b}/{c,d,e}", 6},
		"escaped":                  {`\{a,b\}`, 1},
		"classes with braces":      {"{[}b],b}{[^}],b}", 4},
		"a class with a comma":     {"{[,],b}", 2},
		"a class with its escape":  {`{[\]}],b}`, 2},
		"an open brace in a class": {"[{]{a,b}", 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := braceWays(test.pattern); got != test.want {
				t.Errorf("%q has %d ways, want %d", test.pattern, got, test.want)
			}
		})
	}
}

func TestEmpty(t *testing.T) {
	tests := map[string]struct {
		list []string
		want bool
	}{
		"no list":                      {nil, false},
		"a literal":                    {[]string{"main"}, false},
		"all excluded":                 {[]string{"main", "a/*", "!**"}, true},
		"one is left":                  {[]string{"main", "a/*", "!m*"}, false},
		"added again":                  {[]string{"main", "!**", "main"}, false},
		"exclusions alone":             {[]string{"!main"}, false},
		"an exclusion of all":          {[]string{"!**"}, true},
		"an exclusion of all, then an": {[]string{"!**", "main"}, false},
		"the same, excluded":           {[]string{"x/*", "!x/*"}, true},
		"each excluded by its own":     {[]string{"a", "b", "!b", "!a"}, true},
		"excluded, then added":         {[]string{"a", "!a", "a"}, false},
		"all but one excluded":         {[]string{"a", "b", "!a"}, false},
		"another pattern excluded":     {[]string{"x/*", "!x/**"}, false},
		"first an exclusion":           {[]string{"!a", "b", "!b"}, false},
		"all excluded, then one more":  {[]string{"!**", "b", "!b"}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := mustGlobs(t, test.list...).empty(); got != test.want {
				t.Errorf("empty of %v is %v", test.list, got)
			}
		})
	}
}

// The index relies on it: a name that matches begins with the prefix.
func TestLiteralPrefix(t *testing.T) {
	tests := map[string]string{
		"acme/shop":    "acme/shop",
		"acme/*":       "acme",
		"acme/sh?p":    "acme/sh",
		"acme/[ab]":    "acme",
		"acme/{**,b}":  "acme",
		"{acme,b}/x":   "",
		`a\*`:          "a",
		"**":           "",
		"acme/**":      "acme",
		"acme/**/x":    "acme",
		"acme/shop/**": "acme/shop",
	}
	for pattern, want := range tests {
		if got := literalPrefix(pattern); got != want {
			t.Errorf("prefix of %q: %q, want %q", pattern, got, want)
		}
	}
}
