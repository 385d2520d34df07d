package codehost

import (
	"fmt"
	"slices"
	"testing"

	"buildbridge/mapping"
)

// Paths come as they are, or as Git writes them where they are not ASCII.
func TestPathsAreReadOrNotKnown(t *testing.T) {
	for phrase, c := range map[string]struct {
		json string // what the host sends, a JSON string
		want string // "" for a path that is not known
	}{
		"as it is":                       {`"docs/é.md"`, "docs/é.md"},
		"quoted by Git":                  {`"\"docs/\\303\\251.md\""`, "docs/é.md"},
		"all of Git's escapes":           {`"\"\\a\\b\\t\\n\\v\\f\\r\\\"\\\\\""`, "\a\b\t\n\v\f\r\"\\"},
		"quoted, other characters":       {`"\"é\\t\""`, "é\t"},
		"quotes of its own":              {`"\"x\""`, `"x"`},
		"one quote":                      {`"\"\\303"`, `"\303`},
		"only a quote":                   {`"\""`, `"`},
		"a backslash":                    {`"a\\303"`, `a\303`},
		"quoted, no escape of Git's":     {`"\"\\x41\""`, ""},
		"quoted, a long one":             {`"\"\\u0041\""`, ""},
		"quoted, cut":                    {`"\"\\30\""`, ""},
		"quoted, more than a byte":       {`"\"\\777\""`, ""},
		"quoted, a backslash at the end": {`"\"a\\\""`, ""},
		"quoted, Latin-1":                {`"\"docs/\\351.md\""`, ""},
		"Latin-1":                        {"\"docs/\xe9.md\"", ""},
		"Latin-1 that the host replaced": {`"docs/\ufffd.md"`, ""},
		"half of a character":            {`"docs/\ud83d.md"`, ""},
	} {
		t.Run(phrase, func(t *testing.T) {
			body := fmt.Sprintf(`{"ref":"refs/heads/main","before":"2222222222222222222222222222222222222222",`+
				`"after":"1111111111111111111111111111111111111111","repository":{"full_name":"acme/shop"},`+
				`"commits":[{"added":[],"removed":["a"],"modified":[%s]}]}`, c.json)
			m, err := Trust(mapping.GitHub, pushHeader(mapping.GitHub), []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			d, err := m.Decode()
			if err != nil {
				t.Fatal(err)
			}
			want, unknown := []string{"a", c.want}, ""
			if c.want == "" {
				want, unknown = want[:1], "a commit has a file whose name is not UTF-8"
			}
			slices.Sort(want)
			if e := d.Events[0]; !slices.Equal(e.Files, want) || e.FilesUnknown != unknown {
				t.Errorf("files %q, unknown because %q; want %q, %q", e.Files, e.FilesUnknown, want, unknown)
			}
		})
	}
}
