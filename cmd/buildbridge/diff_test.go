package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
)

// Before a merge somebody asks a running bridge what a change of the rules would do to what came.
func TestDiff(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	b := w.serve()
	b.accept()
	if status := b.push("2", "acme/web"); status != http.StatusOK { // it builds nothing
		t.Fatalf("the delivery gives %d", status)
	}
	eventually(t, "what is ignored is kept", func() bool {
		out, _, _ := w.command(b, "deliveries", "list", "--outcome", "ignored")
		return strings.Contains(out, "acme/web")
	})
	w.write("new.yaml", strings.Replace(w.good, "repository: acme/shop", "repository: 'acme/*'", 1))
	w.write("none.yaml", strings.Replace(w.good, "repository: acme/shop", "repository: acme/pay", 1))

	w.prints(b, []string{"diff", "--rules", "rules.yaml", "--rules-new", "rules.yaml"}, "2 deliveries: 0 would build something else")
	for rules, want := range map[string]string{"new.yaml": "builds: 1 the same, 1 come, 0 go, 0 change", "none.yaml": "builds: 0 the same, 0 come, 1 go, 0 change"} {
		out, stderr, code := w.command(b, "diff", "--rules", "rules.yaml", "--rules-new", rules, "--since", "1h")
		if code != 1 || !strings.Contains(out, want) || stderr != "" {
			t.Errorf("%s: it exits with %d, and prints\n%s%s", rules, code, out, stderr)
		}
	}
	w.prints(b, []string{"diff", "--rules", "rules.yaml", "--rules-new", "new.yaml", "--repository", "acme/shop"}, "1 delivery: 0 would")
	_, stderr, code := w.command(b, "diff", "--rules", "rules.yaml", "--rules-new", "new.yaml", "--repository", "acme/none")
	if code != 0 || stderr != "buildbridge diff: note: nothing was compared: no delivery that the bridge keeps matches the filters\n" {
		t.Errorf("where nothing matches, it exits with %d, and says %s", code, stderr)
	}
	w.fails(b, 2, []string{"diff", "--rules", "rules.yaml", "--rules-new", "new.yaml", "--outcome", "lost"}, `outcome: "lost" is none of`)

	w.prints(b, []string{"deliveries", "export", "--output", "all.jsonl"}, "2 deliveries exported")
	path := filepath.Join(w.dir, "all.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v %v", info.Mode(), err)
	}
	for _, hidden := range []string{"header", "Signature", "sha256=", secret, "X-GitHub"} {
		if strings.Contains(strings.ToLower(string(text)), strings.ToLower(hidden)) {
			t.Errorf("it has %q: %s", hidden, text)
		}
	}
	if lines := strings.Split(string(text), "\n"); len(lines) != 4 || !strings.Contains(lines[0], `"message":"Count twice"`) ||
		!strings.Contains(lines[0], `"files":["cart.go"]`) || !strings.Contains(lines[1], `"outcome":"ignored"`) ||
		lines[2] != `{"end":true,"deliveries":2}` {
		t.Errorf("got %s", text)
	}
	stdout := w.prints(b, []string{"deliveries", "export"}, "2 deliveries exported")
	if stdout != string(text) {
		t.Errorf("to standard output it writes\n%s\nand into a file\n%s", stdout, text)
	}
	b.term()
	out, _, code := w.command(b, "diff", "--rules", "rules.yaml", "--rules-new", "new.yaml", "--deliveries", "all.jsonl")
	if code != 1 || !strings.Contains(out, "builds: 1 the same, 1 come, 0 go, 0 change") {
		t.Errorf("by the file, it exits with %d and prints\n%s", code, out)
	}
}
