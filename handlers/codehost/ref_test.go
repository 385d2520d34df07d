package codehost

import (
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"buildbridge/mapping"
)

// pushOf is a push of a branch, or of a tag, as a host sends it. Its ref and its
// repository are JSON strings.
func pushOf(t *testing.T, provider, ref, repository string) (http.Header, []byte) {
	sample, prefix := "push.http", branchPrefix
	if strings.HasPrefix(ref, `"`+tagPrefix) {
		sample, prefix = "tag_lightweight.http", tagPrefix
	}
	header, raw := readDelivery(t, filepath.Join("testdata", provider, sample))
	body, paths := parseBody(t, raw), fieldsOf(t, provider)
	// Some hosts send the short name, some the two halves of the repository's.
	if !strings.HasPrefix(body.value(paths.Ref), "refs/") {
		ref = strings.Replace(ref, prefix, "", 1)
	}
	names := []string{repository}
	if len(paths.Repository) > 1 {
		names = strings.SplitN(strings.Trim(repository, `"`), "/", 2)
		names[0], names[1] = `"`+names[0]+`"`, `"`+names[1]+`"`
	}
	body.at(paths.Ref).text = ref
	for i, path := range paths.Repository {
		host, _ := splitAddress(body.value(path))
		body.at(path).text = `"` + host + names[i][1:]
	}
	return header, []byte(body.String())
}

// inJSON writes a text as a JSON string, and what is not UTF-8 as it is.
func inJSON(s string) string {
	encoded, err := json.Marshal(s)
	if err != nil || !utf8.ValidString(s) {
		return `"` + s + `"`
	}
	return string(encoded)
}

func decodePush(t *testing.T, provider, ref, repository string) (Delivery, error) {
	t.Helper()
	header, body := pushOf(t, provider, ref, repository)
	m, err := Trust(provider, header, body)
	if err != nil {
		t.Fatal(err)
	}
	return m.Decode()
}

// Names that Git forbids are malformed.
func TestRefsThatGitForbidsAreMalformed(t *testing.T) {
	for phrase, c := range map[string]struct {
		name string // of a branch, and of a tag
		want string // in the error
	}{
		"a line break":             {"v1\n--force", "a control character"},
		"NUL":                      {"v1\x00", "a control character"},
		"DEL":                      {"v1\x7f", "a control character"},
		"a space":                  {"v 1", "' '"},
		"a tilde":                  {"v~1", "'~'"},
		"a caret":                  {"v^1", "'^'"},
		"a colon":                  {"v:1", "':'"},
		"a question mark":          {"v?", "'?'"},
		"an asterisk":              {"v*", "'*'"},
		"a bracket":                {"v[1]", "'['"},
		"a backslash":              {`v\1`, `'\\'`},
		"two dots":                 {"a..b", `".."`},
		"a reflog":                 {"a@{1}", `"@{"`},
		"two slashes":              {"a//b", `"//"`},
		"a slash at its beginning": {"/a", `"//"`},
		"a slash at its end":       {"a/", `a "/" at its end`},
		"a dot at its beginning":   {".a", `a part that begins with "."`},
		"a dot at a part's":        {"a/.b", `a part that begins with "."`},
		"a dot at its end":         {"a.", `a "." at its end`},
		"a lock":                   {"a.lock", `a part that ends in ".lock"`},
		"a part that is a lock":    {"a.lock/b", `a part that ends in ".lock"`},
		"too long":                 {strings.Repeat("é", 508), "bytes, at most 1024 are taken"},
		"not UTF-8":                {"a\xff", "is not UTF-8"},
		"what was not UTF-8":       {"a\ufffd", "is not UTF-8"},
	} {
		for _, provider := range providerNames() {
			for _, prefix := range []string{branchPrefix, tagPrefix} {
				t.Run(provider+"/"+prefix+phrase, func(t *testing.T) {
					d, err := decodePush(t, provider, inJSON(prefix+c.name), `"acme/shop"`)
					if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
						t.Errorf("events %+v, error %v; want %q in it", d.Events, err, c.want)
					}
				})
			}
		}
	}
}

// Odd names that Git allows are taken.
func TestRefsThatGitAllowsAreTaken(t *testing.T) {
	for _, name := range []string{
		"main", "a.b", "feature/é", "分支", "-x", "@", "a@b", "a{b", "HEAD", "a.lock.b", "lock", "a-b_c", "$(id)", "a;b", "a|b&c`d`",
		`a"b'c`, "a#b%20", "1.0.0+5", "a,b!(c)]", "\u0085", "\u202e", "\u00a0", strings.Repeat("é", 500), strings.Repeat("x", mapping.MaxRef-len(branchPrefix)),
	} {
		for _, provider := range providerNames() {
			d, err := decodePush(t, provider, inJSON(branchPrefix+name), `"acme/shop"`)
			if err != nil || len(d.Events) != 1 || d.Events[0].Branch != name {
				t.Errorf("%s, branch %.100q: %v, events %.200v", provider, name, err, d.Events)
			}
		}
	}
}

// The database cannot index longer names, and no host has them.
func TestRepositoriesTooLongOrNotUTF8AreMalformed(t *testing.T) {
	const most = mapping.MaxRepository
	for phrase, c := range map[string]struct {
		repository string
		want       string // in the error, "" for none
	}{
		"the longest":        {"acme/" + strings.Repeat("x", most-5), ""},
		"longer":             {"acme/" + strings.Repeat("x", most-4), "has 513 bytes, at most 512 are taken"},
		"not UTF-8":          {"acme/sh\xffop", "is not UTF-8"},
		"what was not UTF-8": {"acme/sh\ufffdop", "is not UTF-8"},
	} {
		for _, provider := range providerNames() {
			t.Run(provider+"/"+phrase, func(t *testing.T) {
				_, err := decodePush(t, provider, `"refs/heads/main"`, inJSON(c.repository))
				if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("error %v, want %q in it", err, c.want)
				}
			})
		}
	}
}
