package codehost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"buildbridge/mapping"
)

// fields is testdata/<provider>/fields.json: the paths of the important fields in push.http.
type fields struct {
	Ref        string   `json:"ref"`        // its full name or, as in the sample, the short one
	Repository []string `json:"repository"` // its path or web address, or owner and name
	Commit     string   `json:"commit"`     // of a branch
	TagCommit  string   `json:"tag_commit"` // of a tag; "" where the host does not tell
	Needed     []string `json:"needed"`     // further fields that decide what is built
}

func fieldsOf(t testing.TB, provider string) fields {
	t.Helper()
	var f fields
	text, err := fs.ReadFile(os.DirFS("testdata"), provider+"/fields.json")
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil || f.Ref == "" || len(f.Repository) == 0 || f.Commit == "" {
		t.Fatalf("testdata/%s/fields.json has to give the paths of ref, repository and commit: %v", provider, err)
	}
	return f
}

// splitAddress splits a repository at the end of the host, if it is sent as a web address.
func splitAddress(repository string) (host, path string) {
	scheme, rest, ok := strings.Cut(repository, "://")
	if !ok {
		return "", repository
	}
	name, path, _ := strings.Cut(rest, "/")
	return scheme + "://" + name + "/", path
}

// needed matches the paths of the fields that decide what is built, and of the objects and
// lists around them.
func (f fields) needed() *regexp.Regexp {
	var patterns []string
	for _, path := range slices.Concat([]string{f.Ref, f.Commit}, f.Repository, f.Needed) {
		for end, c := range path + "." {
			if c == '.' || c == '[' {
				patterns = append(patterns, pathPattern(path[:end]))
			}
		}
		if i := strings.LastIndexByte(path, '['); i > 0 {
			patterns = append(patterns, pathPattern(path[:i+3]))
		}
	}
	return regexp.MustCompile("^(" + strings.Join(patterns, "|") + ")$")
}

// pathPattern matches a path with any elements of its lists.
func pathPattern(path string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(path), `\[0\]`, `\[\d+\]`)
}

// If a field is missing, null, of another type or there twice, nothing is built that was not
// pushed, and a field that is not needed costs no build.
func TestFieldsMissingNullOddAndDoubled(t *testing.T) {
	for _, provider := range providerNames() {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			paths, err := filepath.Glob(filepath.Join("testdata", provider, "*.http"))
			if err != nil || len(paths) == 0 {
				t.Fatalf("no deliveries: %v", err)
			}
			seen := make(map[string]bool) // fields, in deliveries of one kind
			tried, needed := 0, fieldsOf(t, provider).needed()
			for _, file := range paths {
				header, raw := readDelivery(t, file)
				if header.Get("Content-Type") == formType {
					continue
				}
				decode := func(body []byte) (Delivery, error) {
					m, err := Trust(provider, header, body)
					if err != nil {
						return Delivery{}, err
					}
					return m.Decode()
				}
				want, err := decode(raw)
				if err != nil {
					t.Fatal(err)
				}
				kind := string(want.Ignored)
				for _, e := range want.Events {
					kind += fmt.Sprint(e.Kind, e.Created)
				}
				again := func(path string) bool {
					defer func() { seen[kind+path] = true }()
					return seen[kind+path]
				}
				changed(t, raw, again, func(path, change string, body []byte) {
					tried++
					got, err := decode(body)
					if fault := compareChanged(want, got, err, needed.MatchString(path), change); fault != "" {
						t.Errorf("%s: %s is %s: %s", file, path, change, fault)
					}
				})
			}
			t.Logf("%d bodies", tried)
		})
	}
}

// compareChanged says what is wrong with the result of decoding a changed delivery.
func compareChanged(want, got Delivery, err error, needed bool, change string) string {
	switch {
	case err != nil && !errors.Is(err, ErrMalformed):
		return err.Error()
	case err != nil && !needed:
		return "refused: " + err.Error()
	case err != nil:
		return ""
	case !needed && len(got.Events) != len(want.Events):
		return fmt.Sprintf("%d events, want %d", len(got.Events), len(want.Events))
	}
	for _, e := range got.Events {
		i := slices.IndexFunc(want.Events, func(w mapping.Event) bool {
			return e.Kind == w.Kind && e.Repository == w.Repository && e.Ref == w.Ref &&
				(e.Commit == w.Commit || e.Kind == mapping.Tag && e.Commit == "")
		})
		if i < 0 {
			return fmt.Sprintf("a wrong build of %s, %s at %q", e.Repository, e.Ref, e.Commit)
		}
		// The files of a list that is missing cannot be known.
		w := want.Events[i]
		gone := change == "missing" || change == "null"
		if !gone && e.FilesComplete && (!w.FilesComplete || !slices.Equal(e.Files, w.Files)) {
			return fmt.Sprintf("files %q are said to be complete", e.Files)
		}
	}
	return ""
}

// node is a JSON value that can have a name twice.
type node struct {
	open   byte     // of an object or an array, else 0
	text   string   // of what is neither
	names  []string // of the fields of an object
	values []*node
}

// odds has a value of each type but null.
var odds = []*node{
	{text: "7"}, {text: `"x"`}, {text: "true"}, {open: '{'}, {open: '['},
}

func parseBody(t *testing.T, raw []byte) *node {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return parseNode(t, d)
}

func parseNode(t *testing.T, d *json.Decoder) *node {
	token, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	open, ok := token.(json.Delim)
	if !ok {
		text, err := json.Marshal(token)
		if err != nil {
			t.Fatal(err)
		}
		return &node{text: string(text)}
	}
	n := &node{open: open.String()[0]}
	for d.More() {
		if open == '{' {
			n.names = append(n.names, parseNode(t, d).text)
		}
		n.values = append(n.values, parseNode(t, d))
	}
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) String() string {
	var b bytes.Buffer
	n.write(&b)
	return b.String()
}

func (n *node) write(b *bytes.Buffer) {
	if n.open == 0 {
		b.WriteString(n.text)
		return
	}
	b.WriteByte(n.open)
	for i, v := range n.values {
		if i > 0 {
			b.WriteByte(',')
		}
		if n.open == '{' {
			b.WriteString(n.names[i] + ":")
		}
		v.write(b)
	}
	b.WriteByte(n.open + 2) // } or ]
}

// sameKind reports whether two values have the same JSON type.
func (n *node) sameKind(o *node) bool {
	kind := func(n *node) byte {
		switch {
		case n.open != 0:
			return n.open
		case n.text == "true", n.text == "false":
			return 't'
		case n.text[0] == '"', n.text == "null":
			return n.text[0]
		}
		return '0'
	}
	return kind(n) == kind(o)
}

// at gives the value at a path, nil if there is none.
func (n *node) at(path string) *node {
	for _, step := range strings.FieldsFunc(path, func(c rune) bool { return c == '.' || c == '[' || c == ']' }) {
		i, err := strconv.Atoi(step)
		if n.open == '{' {
			i = slices.Index(n.names, strconv.Quote(step))
		} else if err != nil {
			return nil
		}
		if i < 0 || i >= len(n.values) {
			return nil
		}
		n = n.values[i]
	}
	return n
}

// value is the text at a path, "" if there is none.
func (n *node) value(path string) string {
	at := n.at(path)
	if path == "" || at == nil || at.text == "null" {
		return ""
	}
	if text, err := strconv.Unquote(at.text); err == nil {
		return text
	}
	return at.text
}

// changed gives the body with one change at a time: of each field, and of the first and the
// last element of each list, in each way. It leaves out paths for which again is true.
func changed(t *testing.T, raw []byte, again func(path string) bool, try func(path, change string, body []byte)) {
	root := parseBody(t, raw)
	send := func(path, change string) {
		try(path, change, []byte(root.String()))
	}
	var walk func(n *node, path string)
	walk = func(n *node, path string) {
		names, values := n.names, n.values
		for i, v := range values {
			at := fmt.Sprintf("%s[%d]", path, i)
			if n.open == '{' {
				at = strings.TrimPrefix(path+"."+strings.Trim(names[i], `"`), ".")
			} else if i > 0 && i < len(values)-1 {
				continue
			}
			walk(v, at)
			if again(at) {
				continue
			}
			set := func(change string, to ...*node) {
				n.values = slices.Concat(values[:i], to, values[i+1:])
				if n.open == '{' {
					n.names = slices.Concat(names[:i], slices.Repeat(names[i:i+1], len(to)), names[i+1:])
				}
				send(at, change)
				n.names, n.values = names, values
			}
			null := &node{text: "null"}
			if v.text != "null" {
				set("null", null)
			}
			if n.open == '{' {
				set("missing")
				set("doubled", v, v)
				set("null, then as it was", null, v)
			}
			twice := n.open == '{'
			for _, odd := range odds {
				if odd.sameKind(v) {
					continue
				}
				set(odd.String(), odd)
				if twice {
					set(odd.String()+", then as it was", odd, v)
					set("as it was, then "+odd.String(), v, odd)
					twice = false
				}
			}
		}
	}
	walk(root, "")
}
