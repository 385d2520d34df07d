package mapping

import (
	"os/exec"
	"strings"
	"testing"
)

// TestNoRefName compares what is said of patterns without wildcards with what Git says of the
// same names, and goes through patterns that have some.
func TestNoRefName(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Log("there is no git to compare with")
	}
	for _, name := range []string{
		"main", "a b", "a'b", `a"b`, "a~b", "a^b", "a:b", "a..b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a./b", "a//b", "/a", "a/", "@", "-a",
		"HEAD", "a@b", "a,b", "ä", "a\x01b", "a\x7fb", "a!b", "a#b", "a$b", "a%b", "a+b", "a(b)", "a}b", "a]b", "main 'release",
	} {
		why := noRefName(name)
		if git == "" {
			continue
		}
		allowed := exec.CommandContext(t.Context(), git, "check-ref-format", "refs/heads/"+name).Run() == nil
		if allowed != (why == "") {
			t.Errorf("%q: Git allows it: %v; we say %q", name, allowed, why)
		}
	}
	for pattern, want := range map[string]string{
		"**": "", "release/**": "", "**/x": "", "a/**/b": "", "v?.*": "", "[!a^~:]x": "", "{a b,c}": "", "*.x": "", "*.lock?": "", "**.": "ends with a dot",
		"a{b,c}/": "ends with /", "/**": "begins with /", `a\*`: "'*'", `a\[b`: "'['", `a\\b`: `'\\'`, "feature *": "a space", "*^{}": "'^'", "[ab].lock": ".lock",
		"a*..b": `".."`, "a/.{b,c}": "begins with a dot", `@\{u\}`: `"@{"`, "a/{**,b}": "", "[ab]//c": `"//"`, `[\]]~x`: "'~'",
	} {
		if _, err := newGlob(pattern); err != nil {
			t.Fatal(err)
		}
		if got := noRefName(pattern); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", pattern, got, want)
		}
	}
}
