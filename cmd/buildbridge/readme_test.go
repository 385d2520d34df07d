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

// A page as a reader follows it: files are saved under the name that the text before
// the block gives, and commands after "$ " are typed, in the order of the page. What the
// program prints has to be what the page shows, word for word. -update writes it into the
// page.
func TestPages(t *testing.T) {
	var (
		block   = regexp.MustCompile("(?s)([^`]*(?:`[^`]+`[^`]*)*)```(\\w+)\n(.*?\n) *```\n")
		named   = regexp.MustCompile("(?s)\\bas\\s+`([\\w.-]+)`[^`]*$")
		session = regexp.MustCompile(`(?m)^\$ (.*(?:\n> .*)*)\n((?:[^$\n].*\n|\n)*)`)
	)
	for page, want := range map[string]struct {
		blocks   int  // of commands that are typed
		more     bool // the page has more, which need a server
		commands int
	}{
		"../../README.md":           {blocks: 2, more: true, commands: 5},
		"../../docs/cookbook.md":    {blocks: 15, commands: 34},
		"../../docs/rules.md":       {blocks: 10, commands: 19},
		"../../docs/rules-tests.md": {blocks: 4, commands: 10},
	} {
		t.Run(filepath.Base(page), func(t *testing.T) {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			dir, updated := t.TempDir(), string(text)
			gitUser(t)
			blocks, commands := 0, 0
			for _, m := range block.FindAllStringSubmatch(string(text), -1) {
				before, language, body := m[1], m[2], m[3]
				if name := named.FindStringSubmatch(before); name != nil && (language == "yaml" || language == "json") {
					if err := os.WriteFile(filepath.Join(dir, name[1]), []byte(body), 0o600); err != nil { //nolint:gosec // the page is ours
						t.Fatal(err)
					}
				}
				if language != "console" || blocks == want.blocks && want.more {
					continue
				}
				blocks++
				printed := session.ReplaceAllStringFunc(body, func(typed string) string {
					m := session.FindStringSubmatch(typed)
					commands++
					return "$ " + m[1] + "\n" + run(t, dir, m[1])
				})
				if diff := cmp.Diff(body, printed); diff != "" && !*update {
					t.Errorf("-shown +printed:\n%s", diff)
				}
				updated = strings.Replace(updated, body, printed, 1)
			}
			if blocks != want.blocks || commands != want.commands {
				t.Errorf("%d blocks with %d commands were typed, want %d with %d", blocks, commands, want.blocks, want.commands)
			}
			if *update {
				if err := os.WriteFile(page, []byte(updated), 0o600); err != nil { //nolint:gosec // the page is ours
					t.Fatal(err)
				}
			}
		})
	}
}

// gitUser gives Git a user, and nothing of the settings of whoever runs the test.
func gitUser(t *testing.T) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "gitconfig")
	if err := os.WriteFile(config, []byte("[user]\nname = ann\nemail = ann@example.com\n[init]\ndefaultBranch = main\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_CONFIG_GLOBAL", config)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
}

// run types a command of a page, which has to succeed, and returns what it prints.
func run(t *testing.T, dir, command string) string {
	t.Helper()
	command = strings.ReplaceAll(command, "\n> ", "\n")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(command, "./buildbridge", "buildbridge"))
	cmd.Dir = dir
	printed, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("$ %s: %v", command, err)
	}
	return string(printed)
}
