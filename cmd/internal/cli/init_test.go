package cli

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"buildbridge/handlers/codehost"
)

// What init writes for each code host is good as it is, and so is what it has in comments.
func TestInit(t *testing.T) {
	for _, provider := range codehost.Providers() {
		t.Run(provider.Name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			run := func(args ...string) string {
				t.Helper()
				var out, errs bytes.Buffer
				if code := Run(t.Context(), args, Environment{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs}); code != 0 {
					t.Errorf("buildbridge %s exits with %d: %s%s", strings.Join(args, " "), code, out.String(), errs.String())
				}
				return out.String()
			}
			told := run("init", "--provider", provider.Name, "--repository", "Group/Sub/1.0")
			address := "/webhooks/" + provider.Name
			if provider.PathSecret {
				address += "/<the value of GERRIT_WEBHOOK_SECRET>"
			}
			if !strings.Contains(told, address+"\n") {
				t.Errorf("it does not tell the address of the webhook: %s", told)
			}
			good := func() {
				t.Helper()
				if said := run("check", "--strict"); said != "rules.yaml: 2 rules, 1 source, 1 target: ok\n" {
					t.Errorf("check says %s", said)
				}
				run("test")
				run("fmt", "--check", ".")
			}
			good()

			text, err := os.ReadFile("rules.yaml")
			if err != nil {
				t.Fatal(err)
			}
			commented := regexp.MustCompile(`(?m)^( +)# ((?:api|report|catch_up|paths): .*)$`)
			want := 3
			if bytes.Contains(text, []byte("provider: gerrit")) { // which sends no files
				want = 2
			}
			if n := len(commented.FindAll(text, -1)); n != want {
				t.Errorf("%d fields are in comments, want %d", n, want)
			}
			written := commented.ReplaceAll(text, []byte("$1$2"))
			if err := os.WriteFile("rules.yaml", written, 0o600); err != nil { //nolint:gosec // of the test
				t.Fatal(err)
			}
			good()
		})
	}
}

// A name that is taken gives files that are good, whatever is in it.
func TestInitOfOddRepositories(t *testing.T) {
	for repository, taken := range map[string]bool{
		`acme/o'p "x" #y`: true, "acme/true": true, "acme/1.0": true, "Größe/店": true, "acme/-x": true, "acme/- x": true, "acme/a & b": true,
		`acme/o"p: #x`: false, "acme/a:b": false, "acme/": false, " acme/shop": false, "acme /shop ": false, "acme/${vars.x}": false,
		"acme/a\tb": false, "acme//b": false, "shop": false,
	} {
		t.Run(repository, func(t *testing.T) {
			t.Chdir(t.TempDir())
			var out bytes.Buffer
			run := func(args ...string) int {
				return Run(t.Context(), args, Environment{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out})
			}
			switch code := run("init", "--repository", repository); {
			case !taken && (code != exitUsage || !strings.Contains(out.String(), "is not the full name of one repository")):
				t.Errorf("it exits with %d: %s", code, &out)
			case taken && (code != exitOK || run("check", "--strict")+run("test")+run("fmt", "--check", ".") != 0):
				t.Errorf("it is not good: %s", &out)
			}
		})
	}
}
