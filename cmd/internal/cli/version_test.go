package cli

import (
	"bytes"
	"runtime"
	"testing"
)

// What was set when a release was built goes before what Go recorded.
func TestVersionThatWasSet(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	env := Environment{Stdout: &out, Stderr: t.Output(), Version: "v1.2.3", Revision: "6dcb09b"}
	if code := Run(t.Context(), []string{"version"}, env); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if got, want := out.String(), "buildbridge v1.2.3, revision 6dcb09b, "+runtime.Version()+"\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}
