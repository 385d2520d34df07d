package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// have skips a test if a program is not installed.
func have(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip("SKIPPED: ", err)
	}
}

// A shell completes the command line by the script. The words are those that bash splits it into.
func TestCompletionOfBash(t *testing.T) {
	have(t, "bash")
	for line, want := range map[string]string{
		"buildbridge bui":                              "builds",
		"buildbridge builds re":                        "replay",
		"buildbridge builds list --sta":                "--state",
		"buildbridge builds list --state d":            "dead dry_run",
		"buildbridge builds list --state dead --resul": "--result",
		"buildbridge builds --json list --result f":    "failure",
		"buildbridge deliveries list --outcome ":       "accepted duplicate ignored rejected",
		"buildbridge serve --log-level ":               "debug error info warn",
		"buildbridge log-level w":                      "warn",
		"buildbridge help log":                         "log-level",
		"buildbridge completion ":                      "bash fish zsh",
		"buildbridge check --rules ru":                 "",
		"buildbridge nope ":                            "backup",
	} {
		script := `source <(buildbridge completion bash)
COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
if [[ $1 == *' ' ]]; then COMP_WORDS+=(''); COMP_CWORD=$((COMP_CWORD + 1)); fi
_buildbridge; echo "${COMPREPLY[*]}"`
		out, err := exec.CommandContext(t.Context(), "bash", "-c", script, "bash", line).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want && (want != "backup" || !strings.HasPrefix(got, want)) {
			t.Errorf("%q becomes %q, want %q; %v", line, got, want, err)
		}
	}
}

// The scripts of the other shells have no fault, as far as these shells are here.
func TestCompletionIsAScript(t *testing.T) {
	for shell, check := range map[string][]string{"bash": {"-n"}, "zsh": {"-n"}, "fish": {"--no-execute"}} {
		t.Run(shell, func(t *testing.T) {
			have(t, shell)
			script, err := exec.CommandContext(t.Context(), "buildbridge", "completion", shell).Output()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(file, script, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), shell, append(check, file)...).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// Every command has a page, and groff finds nothing wrong with any.
func TestManual(t *testing.T) {
	folder := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "buildbridge", "__man", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pages, err := filepath.Glob(filepath.Join(folder, "*.1"))
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "buildbridge-builds-list.1"))
	if err != nil || !strings.Contains(string(text), `.B \-\-commit=ID`) || !strings.Contains(string(text), `    buildbridge builds list \-\-result failure`) {
		t.Errorf("%v: %s", err, text)
	}
	have(t, "groff")
	if out, err := exec.CommandContext(t.Context(), "groff", append([]string{"-man", "-ww", "-z"}, pages...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}
