package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// The examples for CI do what the page about tests says: their commands are run in order, with
// an archive of the program, on the rules and tests of the page.
func TestExamplesForCI(t *testing.T) {
	page, err := os.ReadFile("../../docs/rules-tests.md")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, m := range regexp.MustCompile("as `([\\w./-]+)`[^`]*```yaml\n([^`]*)```").FindAllStringSubmatch(string(page), -1) {
		files[m[1]] = m[2]
	}
	var gitHub struct {
		Jobs struct {
			Rules struct {
				Steps []struct{ Run string }
			}
		}
	}
	var gitLab struct {
		Rules struct{ Script []string }
	}
	if err := yaml.Unmarshal([]byte(files[".github/workflows/rules.yaml"]), &gitHub); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(files[".gitlab-ci.yml"]), &gitLab); err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, s := range gitHub.Jobs.Rules.Steps {
		if s.Run != "" {
			steps = append(steps, s.Run)
		}
	}
	archive := archived(t)
	for host, commands := range map[string][]string{"GitHub": steps, "GitLab": gitLab.Rules.Script} {
		t.Run(host, func(t *testing.T) {
			if len(commands) != 3 {
				t.Fatalf("got %q, want three commands", commands)
			}
			dir := t.TempDir()
			for _, name := range []string{"rules.yaml", "rules.test.yaml", "dev.test.yaml"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			sh := func(command string) (string, error) {
				cmd := exec.CommandContext(t.Context(), "bash", "-eo", "pipefail", "-c", command)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "ARCHIVE=file://"+archive)
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			for _, command := range commands {
				if out, err := sh(command); err != nil {
					t.Fatalf("%s: %v: %s", command, err, out)
				}
			}
			if _, err := sh(`sed -i 's/\[main,/[main, dev,/' rules.yaml`); err != nil {
				t.Fatal(err)
			}
			if out, err := sh(commands[2]); err == nil || !strings.Contains(out, "dev.test.yaml:2:5: FAILED: ") {
				t.Errorf("%v: %s", err, out)
			}
			report, err := os.ReadFile(filepath.Join(dir, "report.xml"))
			if err != nil || !strings.Contains(string(report), `<testsuite name="dev.test.yaml" tests="1" failures="1" `) {
				t.Errorf("%v: %s", err, report)
			}
		})
	}
}

// archived makes an archive as a release has it, with a program that starts the one that is
// tested.
func archived(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program, err := exec.LookPath("buildbridge")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "buildbridge_1.2.3_linux_amd64")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	start := "#!/bin/sh\nexec '" + program + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(folder, "buildbridge"), []byte(start), 0o700); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "archive.tar.gz")
	cmd := exec.CommandContext(t.Context(), "tar", "-C", dir, "-czf", archive, filepath.Base(folder))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	return archive
}
