package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"buildbridge/handlers/admin"
)

const (
	diffRules = `version: 1
sources: {github: {provider: github, insecure: true}}
targets: {north: {region: cn-north-4, credentials: {chain: true}}}
rules: [{name: cart, repository: 'acme/*', when: {push: {}}, jobs: [{job_id: f9d6c8466d614a9788e9a0acf6c15f46, parameters: {x: "%s"}}]}]
`
	recordedLine = `{"id":"%d","received_at":"2026-11-29T08:00:00Z","source":"github","provider":"github","outcome":"accepted","events":[` +
		`{"kind":"push","repository":"acme/shop%[1]d","ref":"refs/heads/main","branch":"main","commit":"6dcb09b5b57875f334f61aebed695e2e4193db5e"}]}` + "\n"
	recordedEnd = `{"end":true,"deliveries":%d}` + "\n"
)

// newDiff compares two sets of rules that give a parameter another value.
func newDiff(t *testing.T) *diffCommand {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]string{"old.yaml": "1", "new.yaml": "2"} {
		if err := os.WriteFile(filepath.Join(dir, name), fmt.Appendf(nil, diffRules, value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &diffCommand{Rules: []string{filepath.Join(dir, "old.yaml")}, RulesNew: []string{filepath.Join(dir, "new.yaml")}, Examples: 10}
}

// A hundred thousand deliveries are read with the memory of a few, and the progress is told.
func TestDiffOfMany(t *testing.T) {
	const n = 100_000
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var most atomic.Uint64
	input, lines := io.Pipe()
	told := make(chan struct{})
	go func() {
		out := bufio.NewWriter(lines)
		for i := range n {
			_, _ = fmt.Fprintf(out, recordedLine, i)
			if i%(n/10) == n/10-1 {
				runtime.GC()
				runtime.ReadMemStats(&after)
				most.Store(max(most.Load(), after.HeapAlloc))
			}
			if i == n/2 {
				_ = out.Flush()
				<-told // while nothing comes
			}
		}
		_, _ = fmt.Fprintf(out, recordedEnd, n)
		_ = out.Flush()
		_ = lines.Close()
	}()
	var out, errs strings.Builder
	stderr := writerFunc(func(p []byte) (int, error) {
		if errs.Len() == 0 {
			defer close(told)
		}
		return errs.Write(p)
	})
	c := newDiff(t)
	c.Deliveries = "-"
	if err := c.Run(t.Context(), &Environment{Stdin: input, Stdout: &out, Stderr: stderr}); !errors.Is(err, errReported) {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "100000 deliveries: 100000 would build something else\n") || !strings.Contains(out.String(), "(others)") {
		t.Errorf("got %s", &out)
	}
	if grown := int64(most.Load()) - int64(before.HeapAlloc); grown > 16<<20 { //nolint:gosec // far below
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if !regexp.MustCompile(`^(\d+ deliveries compared\n)+$`).MatchString(errs.String()) {
		t.Errorf("the progress is %q", errs.String())
	}
}

// A line that is far too long ends the reading, and takes no memory.
func TestDiffOfLongLine(t *testing.T) {
	c := newDiff(t)
	c.Deliveries = "-"
	text := io.MultiReader(strings.NewReader(fmt.Sprintf(recordedLine, 1)), io.LimitReader(endless{}, 1<<30))
	var out strings.Builder
	err := c.Run(t.Context(), &Environment{Stdin: text, Stdout: &out, Stderr: io.Discard})
	if err == nil || err.Error() != "standard input:2: this line has more than 16 MiB, and none of an export has: the rest is not read" || out.Len() > 0 {
		t.Errorf("got %v, %s", err, &out)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// A systematic mistake is shown some times, and counted.
func TestDiffOfWrongLines(t *testing.T) {
	c := newDiff(t)
	c.Deliveries = "-"
	err := c.Run(t.Context(), &Environment{Stdin: strings.NewReader(strings.Repeat("{}\n", 50)), Stdout: io.Discard, Stderr: io.Discard})
	if err == nil || strings.Count(err.Error(), "standard input:") != maxBadLines || !strings.HasSuffix(err.Error(), "\nand 30 more such lines") {
		t.Errorf("got %v", err)
	}
}

// An answer that is cut short, or is none of a bridge, is an error: neither a short file nor a comparison.
func TestExportThatIsCutShort(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   string
	}{
		"no end": {
			func(w http.ResponseWriter) { _, _ = fmt.Fprintf(w, recordedLine, 1) },
			"the export is not complete: the answer ends in the middle after 1 delivery: the log of the bridge says why",
		},
		"a line is missing": {
			func(w http.ResponseWriter) { _, _ = fmt.Fprintf(w, recordedLine+recordedEnd, 1, 2) },
			"the export is not complete: of the answer, its last line counts 2 deliveries, and it has 1 delivery",
		},
		"the connection breaks": {func(w http.ResponseWriter) {
			_, _ = fmt.Fprintf(w, recordedLine, 1)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "the export is not complete: "},
		"half a line": {
			func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"id":"1",`) },
			"/api/v1/deliveries/export:1: not JSON of an export: ",
		},
		"an older bridge": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error":"no delivery has the id \"export\": an id is a UUID"}`)
		}, "this bridge cannot export deliveries: its program is older than this one"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != admin.Prefix+"/deliveries/export" {
					t.Errorf("asked for %s", r.URL)
				}
				test.answer(w)
			}))
			defer server.Close()
			dir := t.TempDir()
			export := &deliveriesExport{Output: filepath.Join(dir, "all.jsonl")}
			export.Admin = server.URL
			env := &Environment{Stdout: io.Discard, Stderr: io.Discard}
			if err := export.Run(t.Context(), env); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the export gives %v, want %q", err, test.want)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("it leaves %v, %v", left, err)
			}
			c := newDiff(t)
			c.Admin = server.URL
			var out strings.Builder
			env.Stdout = &out
			if err := c.Run(t.Context(), env); err == nil || !strings.Contains(err.Error(), test.want) || out.Len() > 0 {
				t.Errorf("the comparison gives %v, %s; want %q", err, &out, test.want)
			}
		})
	}
}

// What is not known is told by its reason, of which there may be many.
func TestReasons(t *testing.T) {
	r := reasons{}
	r.add("")
	for i := range 30 {
		r.add(fmt.Sprint("reason ", i))
		r.add("reason 0")
	}
	var errs strings.Builder
	r.tell(&Environment{Stderr: &errs})
	if text := errs.String(); strings.Count(text, "\n") != 11 || !strings.Contains(text, "of 31 deliveries the events are not known: reason 0\n") ||
		!strings.Contains(text, "of 20 deliveries the events are not known: other reasons\n") {
		t.Errorf("got %s", text)
	}
}

// emptyExport is a bridge that has no deliveries.
func emptyExport(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, recordedEnd, 0)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
