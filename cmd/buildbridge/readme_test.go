package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who saves the rules and the body of the README and types its commands sees what it
// shows.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{} // the first of each language
	for _, m := range regexp.MustCompile("(?s)```(\\w+)\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		if blocks[m[1]] == "" {
			blocks[m[1]] = m[2]
		}
	}
	dir := t.TempDir()
	for name, language := range map[string]string{"my-rules.yaml": "yaml", "push.json": "json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(blocks[language]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	typed := 0
	for shown := range strings.SplitSeq("\n"+blocks["console"], "\n$ ") {
		command, want, _ := strings.Cut(shown, "\n")
		if command == "" {
			continue
		}
		typed++
		cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(command, "./buildbridge", "buildbridge"))
		cmd.Dir = dir
		got, err := cmd.CombinedOutput()
		if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(string(got))); diff != "" || err != nil {
			t.Errorf("$ %s: %v\n-shown +printed:\n%s", command, err, diff)
		}
	}
	if typed != 3 {
		t.Errorf("%d commands were typed, want 3", typed)
	}
}
