package codehost

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Paths that are not ASCII may be sent as they are, or as Git writes them.
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
			m, err := Trust("github", pushHeader(t, "github"), []byte(body))
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

// A list that is read without decoding is the same as the decoded one.
func TestWrittenLists(t *testing.T) {
	for _, text := range []written{
		`[]`, `[ ]`, `["a"]`, `["a","b"]`, "[\n\t\"a\" ,\r\n \"b\"\n]", `[""]`, `["é"]`, "[\"\xff\"]", `["a]","[b",",c"]`,
		`["a\n"]`, `["\\"]`, `["\"a\""]`, `["a",1]`, `[1]`, `[null]`, `["a",null]`, `[["a"]]`, `[[]]`, `["a",[]]`, `["a",{}]`, `[{"a":"b"}]`,
		`null`, `1`, `"a"`, `{}`, `{"a":"b"}`, `true`,
	} {
		got, gotErr := text.list()
		want, wantErr := text.decodedList()
		for i, path := range want.kept { // what is no UTF-8 is refused later, in either form
			want.kept[i] = strings.ReplaceAll(path, "\ufffd", "\xff")
		}
		if (gotErr != nil) != (wantErr != nil) || gotErr == nil && (!slices.Equal(got.kept, want.kept) || (got.kept == nil) != (want.kept == nil) || got.n != want.n || got.odd != want.odd) {
			t.Errorf("%s is %v (%v), want %v (%v)", text, got, gotErr, want, wantErr)
		}
	}
}

// A name may be written with escapes, and a field that is not read may have any value.
func TestObjectNames(t *testing.T) {
	for body, want := range map[string]string{
		`{"x":{"name":"no"},"\u006eame":"Ann","Name":"no"}`:          "Ann",
		`{"name":"Ann","name":"Bob"}`:                                "Bob",
		`{"\ud800":1,"na\me":2,"name":"Ann"}`:                        "error",
		"{\"name\xff\":\"no\",\"na\\u006d\xff\":1,\"name\":\"Ann\"}": "Ann",
		`{"name":"Ann"`: "error",
		`{"name"}`:      "error",
		`null`:          "",
		`["name"]`:      "error",
	} {
		var p person
		got := "error"
		if decodeJSON([]byte(body), &p) == nil {
			got = string(p.Name)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
}
