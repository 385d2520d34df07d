package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What is read within two seconds is read in silence, and what takes longer is told in one line.
func TestTellReading(t *testing.T) {
	for took, want := range map[time.Duration]string{time.Second: "", 5 * time.Second: "reading rules…\n"} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			stop := (&Environment{Stderr: &out}).tellReading("rules")
			time.Sleep(took)
			stop()
			if out.String() != want {
				t.Errorf("%v: %q, want %q", took, out.String(), want)
			}
		})
	}
}

// No command but serve, which has a log, reads rules in silence.
func TestCommandsTellReading(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := f.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == "load_rules.go" || name == "serve.go" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("rulesfile.Load(")) {
			t.Errorf("%s has rulesfile.Load: use loadRules, which tells if it takes long", name)
		}
	}
}
