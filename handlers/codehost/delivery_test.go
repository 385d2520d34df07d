package codehost

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// readDelivery reads a delivery in the form of HTTP: headers, an empty line, the body. Where the path carries
// a secret, the line of the request comes first.
func readDelivery(t testing.TB, path string) (http.Header, []byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, body, ok := bytes.Cut(raw, []byte("\n\n"))
	if !ok {
		t.Fatalf("%s: no empty line after the headers", path)
	}
	secret := ""
	if bytes.HasPrefix(head, []byte("POST ")) {
		line, rest, _ := bytes.Cut(head, []byte("\n"))
		target, err := url.Parse(strings.Fields(string(line))[1])
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		head, secret = rest, target.Path[strings.LastIndexByte(target.Path, '/')+1:]
	}
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(head, "\n\n"...)))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if secret != "" {
		header[PathSecret] = []string{secret}
	}
	return http.Header(header), bytes.TrimSuffix(body, []byte("\n"))
}

// providerNames are the names of all hosts, for the tests that try each of them.
func providerNames() []string {
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	return names
}

// TestMain first checks that testdata has the samples of every host, without which most
// tests would fail.
func TestMain(m *testing.M) {
	missing := ""
	for _, provider := range providerNames() {
		for _, name := range []string{
			"push.http", "push_new_branch.http", "push_forced.http", "branch_deleted.http",
			"tag_lightweight.http", "tag_annotated.http", "tag_deleted.http", "fields.json",
		} {
			path := filepath.Join("testdata", provider, name)
			if _, err := os.Stat(path); err != nil {
				missing += "\n\t" + path
			}
		}
	}
	if missing != "" {
		fmt.Fprintf(os.Stderr, "CONTRIBUTING.md, \"Adding a code host\", says what has to be in these files, which are missing:%s\n", missing)
		os.Exit(1) //nolint:forbidigo // the end of the test binary
	}
	m.Run()
}

// deliveries lists testdata/<provider>/*.http for every provider.
func deliveries(t testing.TB) map[string][]string {
	t.Helper()
	paths := make(map[string][]string)
	for _, provider := range providerNames() {
		found, err := filepath.Glob(filepath.Join("testdata", provider, "*.http"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no deliveries of %s: %v", provider, err)
		}
		paths[provider] = found
	}
	return paths
}

func TestDecode(t *testing.T) {
	for provider, paths := range deliveries(t) {
		for _, path := range paths {
			name := strings.TrimSuffix(filepath.Base(path), ".http")
			t.Run(provider+"/"+name, func(t *testing.T) {
				header, raw := readDelivery(t, path)
				m, err := Trust(provider, header, raw)
				if err != nil {
					t.Fatal(err)
				}
				d, err := m.Decode()
				if err != nil {
					t.Fatal(err)
				}
				checkDelivery(t, provider, d)

				got, err := json.MarshalIndent(struct {
					HostID, Event, DuplicateKey string
					DuplicateWindow             time.Duration
					Events                      []mapping.Event
					LeftOut                     []LeftOut
					Ignored                     mapping.Reason
					Header                      map[string]string
				}{d.HostID, d.Event, d.DuplicateKey, d.DuplicateWindow, d.Events, d.LeftOut, d.Ignored, d.Header}, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				golden := strings.TrimSuffix(path, ".http") + ".golden.json"
				if *update {
					if err := os.WriteFile(golden, append(got, '\n'), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
					t.Errorf("-want +got, rewrite with -update:\n%s", diff)
				}

				// The stored header and body are decoded to the same.
				kept := http.Header{}
				for name, value := range m.header {
					kept.Set(name, value)
				}
				again, err := Trust(provider, kept, m.stored())
				if err != nil {
					t.Fatal(err)
				}
				replayed, err := again.Decode()
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(d, replayed); diff != "" {
					t.Errorf("decoded again from what is stored: -first +again:\n%s", diff)
				}

				// A body that was saved without its headers is recognised. Only a header tells an
				// invented push from a real one, and where the pages of Gerrit are.
				bare := http.Header{}
				for _, name := range []string{m.host.pingHeader, originHeader, "Content-Type"} {
					if value := header.Get(name); value != "" {
						bare.Set(name, value)
					}
				}
				guessed, err := Saved(provider, bare, raw)
				if err != nil {
					t.Fatal(err)
				}
				if g, err := guessed.Decode(); err == nil {
					if diff := cmp.Diff(d.Events, g.Events); diff != "" {
						t.Errorf("decoded without the headers: -with +without:\n%s", diff)
					}
				} else if len(d.Events) > 0 {
					t.Errorf("decoded without the headers: %v", err)
				}
			})
		}
	}
}

// checkDelivery checks what is true for every delivery of every host.
func checkDelivery(t testing.TB, provider string, d Delivery) {
	t.Helper()
	if (len(d.Events) == 0) == (d.Ignored == "") {
		t.Errorf("%d events, ignored %q: one of both", len(d.Events), d.Ignored)
	}
	if d.DuplicateKey == "" || len(d.DuplicateKey) > maxHostID+3 || len(d.HostID) > maxHostID {
		t.Errorf("duplicate key %q of host id %q", d.DuplicateKey, d.HostID)
	}
	if (d.HostID == "" && !strings.HasPrefix(d.DuplicateKey, "event:")) != (d.DuplicateWindow == digestWindow) {
		t.Errorf("duplicate window %s of host id %q", d.DuplicateWindow, d.HostID)
	}
	if len(d.Events) == 0 && !slices.ContainsFunc(d.LeftOut, func(l LeftOut) bool { return l.Reason == d.Ignored }) {
		t.Errorf("ignored %q, left out %v", d.Ignored, d.LeftOut)
	}
	for _, l := range d.LeftOut {
		if l.Why == "" || len(l.Ref) > mapping.MaxRef || strings.ContainsFunc(l.String(), unicode.IsControl) {
			t.Errorf("left out %q", l)
		}
	}
	for _, e := range d.Events {
		if err := mapping.CheckRef(e.Ref); err != nil || len(e.Repository) > mapping.MaxRepository || !isUTF8(e.Repository) {
			t.Errorf("%q of %q: %v", e.Ref, e.Repository, err)
		}
		if strings.HasSuffix(e.Message, "\n") || strings.HasSuffix(e.Message, "\r") {
			t.Errorf("message %q", e.Message)
		}
		if slices.ContainsFunc(e.Files, func(path string) bool { return !isUTF8(path) }) {
			t.Errorf("files %q", e.Files)
		}
		if e.Provider != provider || e.Source != "" {
			t.Errorf("provider %q, source %q", e.Provider, e.Source)
		}
		host, err := hostOf(provider)
		if err != nil {
			t.Fatal(err)
		}
		alone := host.NoOwner && e.Owner == "" && e.Name == e.Repository
		if e.Name == "" || !alone && (e.Owner == "" || e.Owner+"/"+e.Name != e.Repository) {
			t.Errorf("repository %q of %q and %q", e.Repository, e.Owner, e.Name)
		}
		switch e.Kind {
		case mapping.Push:
			if e.Ref != "refs/heads/"+e.Branch || e.Branch == "" || e.Tag != "" || !IsObjectID(e.Commit) {
				t.Errorf("push of %q: branch %q, tag %q, commit %q", e.Ref, e.Branch, e.Tag, e.Commit)
			}
		case mapping.Tag:
			if e.Ref != "refs/tags/"+e.Tag || e.Tag == "" || e.Branch != "" || e.FilesComplete {
				t.Errorf("tag of %q: branch %q, tag %q, files %t", e.Ref, e.Branch, e.Tag, e.FilesComplete)
			}
			if e.Commit != "" && !IsObjectID(e.Commit) {
				t.Errorf("tag of commit %q", e.Commit)
			}
		default:
			t.Errorf("kind %q", e.Kind)
		}
		if isZeroID(e.Commit) {
			t.Error("a commit of zeros")
		}
		if e.Files == nil || !slices.IsSorted(e.Files) || len(slices.Compact(slices.Clone(e.Files))) != len(e.Files) {
			t.Errorf("files %#v are null, not sorted or not unique", e.Files)
		}
		if e.FilesComplete != (e.FilesUnknown == "") {
			t.Errorf("files complete: %t, and why not: %q", e.FilesComplete, e.FilesUnknown)
		}
		if e.FilesComplete && (e.Created || e.Forced) {
			t.Error("files of a new or rewritten ref said to be complete")
		}
	}
}

func TestDuplicateKey(t *testing.T) {
	decode := func(t *testing.T, provider string, header http.Header, body string) Delivery {
		t.Helper()
		return decodeBody(t, provider, header, []byte(body))
	}
	gitee := http.Header{"X-Gitee-Event": {"Issue Hook"}}
	first := decode(t, "gitee", gitee, `{"a":1,"timestamp":"1","sign":"x","password":"p"}`)
	for name, test := range map[string]struct {
		body string
		same bool
	}{
		"sent again with another time and signature": {`{"sign":"y","timestamp":"2","password":"q","a":1}`, true},
		"another value": {`{"a":2,"timestamp":"1","sign":"x","password":"p"}`, false},
		"another field": {`{"a":1,"b":1,"timestamp":"1"}`, false},
		"a field moved": {`{"b":{"a":1}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := decode(t, "gitee", gitee, test.body)
			if (d.DuplicateKey == first.DuplicateKey) != test.same {
				t.Errorf("key %s, first %s", d.DuplicateKey, first.DuplicateKey)
			}
			if d.HostID != "" || d.DuplicateWindow != 10*time.Minute {
				t.Errorf("host id %q, window %s", d.HostID, d.DuplicateWindow)
			}
		})
	}
	for phrase, test := range map[string]struct {
		provider, header, more string
		window                 time.Duration
	}{
		"a push of Codeup has no id but its body": {"codeup", "X-Codeup-Event", "", 10 * time.Minute},
	} {
		t.Run(phrase, func(t *testing.T) {
			push := func(value, after string) Delivery {
				header := http.Header{}
				header.Set(test.header, value)
				return decode(t, test.provider, header, `{"object_kind":"push","ref":"refs/heads/main","before":"`+strings.Repeat("1", 40)+`","after":"`+strings.Repeat(after, 40)+
					`","repository":{"homepage":"https://git.example.com/org/web/shop"}`+test.more+`}`)
			}
			a, b, c := push("a", "2"), push("b", "2"), push("a", "3")
			if a.DuplicateKey != b.DuplicateKey || a.DuplicateKey == c.DuplicateKey || a.DuplicateWindow != test.window {
				t.Errorf("keys %s, %s and %s for %s", a.DuplicateKey, b.DuplicateKey, c.DuplicateKey, a.DuplicateWindow)
			}
		})
	}
	t.Run("an id of CodeArts Repo counts for one ref and commit", func(t *testing.T) {
		push := func(uuid, ref, commit string) string {
			return decode(t, "codearts-repo", nil, `{"object_kind":"push","uuid":"`+uuid+`","ref":"`+ref+`","after":"`+strings.Repeat(commit, 40)+
				`","project":{"path_with_namespace":"acme/shop"}}`).DuplicateKey
		}
		first := push("u", "refs/heads/one", "1")
		if again := push("u", "refs/heads/one", "1"); again != first {
			t.Errorf("the same again: %s and %s", first, again)
		}
		for phrase, key := range map[string]string{
			"another ref":    push("u", "refs/heads/two", "1"),
			"another commit": push("u", "refs/heads/one", "2"),
			"another id":     push("v", "refs/heads/one", "1"),
			"a long ref":     push("u", "refs/heads/"+strings.Repeat("x", 300), "1"),
		} {
			if key == first || len(key) > maxHostID+3 {
				t.Errorf("%s: %s", phrase, key)
			}
		}
	})
	t.Run("an id in the body of GitCode counts before that of its headers", func(t *testing.T) {
		push := func(header, id, uuid string) string {
			return decode(t, "gitcode", http.Header{header: {id}}, `{"object_kind":"push",`+uuid+`"ref":"refs/heads/one","after":"`+strings.Repeat("1", 40)+
				`","project":{"path_with_namespace":"acme/shop"}}`).DuplicateKey
		}
		for _, header := range []string{"X-Gitcode-Delivery", "X-Atomgit-Delivery"} {
			if a, b, c := push(header, "1", `"uuid":"u",`), push(header, "2", `"uuid":"u",`), push(header, "1", `"uuid":"v",`); a != b || a == c {
				t.Errorf("%s: keys %s, %s and %s", header, a, b, c)
			}
			if a, b, c := push(header, "1", ""), push(header, "1", `"uuid":"",`), push(header, "2", ""); a != b || a == c {
				t.Errorf("%s without uuid: keys %s, %s and %s", header, a, b, c)
			}
		}
	})
	t.Run("a push of TGit counts for its body, whatever its headers", func(t *testing.T) {
		push := func(trace, time string) Delivery {
			return decode(t, "tgit", http.Header{"X-Trace-Id": {trace}, "X-Send-Timestamp": {trace}}, `{"object_kind":"push","ref":"refs/heads/one","before":"`+
				strings.Repeat("1", 40)+`","after":"`+strings.Repeat("2", 40)+`","push_timestamp":"`+time+`","repository":{"homepage":"https://git.example.com/acme/shop"}}`)
		}
		if a, b, c := push("1", "7"), push("2", "7"), push("1", "8"); a.DuplicateKey != b.DuplicateKey || a.DuplicateKey == c.DuplicateKey || a.DuplicateWindow != 10*time.Minute {
			t.Errorf("keys %s, %s and %s for %s", a.DuplicateKey, b.DuplicateKey, c.DuplicateKey, a.DuplicateWindow)
		}
	})
	t.Run("an event of Gerrit counts for its refs and its second", func(t *testing.T) {
		event := func(kind, project, ref, before, after, second string) string {
			change := `{"oldRev":"` + strings.Repeat(before, 40) + `","newRev":"` + strings.Repeat(after, 40) + `","refName":"` + ref + `","project":"` + project + `"}`
			changes := `"refUpdate":` + change
			if kind == "batch-ref-updated" {
				changes = `"refUpdates":[` + change + `]`
			}
			d := decode(t, "gerrit", nil, `{"type":"`+kind+`",`+changes+`,"eventCreatedOn":`+second+`}`)
			if d.DuplicateWindow != 0 && second != `""` {
				t.Errorf("a window of %s", d.DuplicateWindow)
			}
			return d.DuplicateKey
		}
		first := event("ref-updated", "shop", "refs/heads/one", "1", "2", "7")
		for phrase, same := range map[string]string{
			"the same again":       event("ref-updated", "shop", "refs/heads/one", "1", "2", "7"),
			"the short name":       event("ref-updated", "shop", "one", "1", "2", "7"),
			"the same, in a batch": event("batch-ref-updated", "shop", "refs/heads/one", "1", "2", "7"),
		} {
			if same != first {
				t.Errorf("%s: %s and %s", phrase, same, first)
			}
		}
		for phrase, other := range map[string]string{
			"another project": event("ref-updated", "cart", "refs/heads/one", "1", "2", "7"),
			"another ref":     event("ref-updated", "shop", "refs/heads/two", "1", "2", "7"),
			"another before":  event("ref-updated", "shop", "refs/heads/one", "3", "2", "7"),
			"another after":   event("ref-updated", "shop", "refs/heads/one", "1", "3", "7"),
			"another second":  event("ref-updated", "shop", "refs/heads/one", "1", "2", "8"),
			"no second":       event("ref-updated", "shop", "refs/heads/one", "1", "2", `""`),
		} {
			if other == first {
				t.Errorf("%s: the same key", phrase)
			}
		}
	})
	t.Run("an id of the host counts whatever the body", func(t *testing.T) {
		header := func(id string) http.Header {
			return http.Header{"X-Github-Event": {"issues"}, "X-Github-Delivery": {id}}
		}
		a := decode(t, "github", header("1"), `{"a":1}`)
		b := decode(t, "github", header("1"), `{"a":2}`)
		c := decode(t, "github", header("2"), `{"a":1}`)
		if a.DuplicateKey != b.DuplicateKey || a.DuplicateKey == c.DuplicateKey || a.DuplicateWindow != 0 {
			t.Errorf("keys %s, %s and %s", a.DuplicateKey, b.DuplicateKey, c.DuplicateKey)
		}
		long := decode(t, "github", header(strings.Repeat("1", 257)), `{"a":1}`)
		other := decode(t, "github", header(strings.Repeat("1", 258)), `{"a":1}`)
		if len(long.HostID) > maxHostID || long.DuplicateKey == other.DuplicateKey {
			t.Errorf("long ids became %q and %q", long.DuplicateKey, other.DuplicateKey)
		}
	})
}
