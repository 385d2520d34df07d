package demo

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"buildbridge/trigger/codearts/codeartstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A demo in which the service starts nothing must say so, and not succeed.
func TestDemoFails(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var d *demo
	accepted := func() {
		for end := time.Now().Add(time.Minute); d.simulator.Requests(codeartstest.PathRun) == 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Error("the service was not called")
				break
			}
		}
		cancel()
	}
	d, err := start(t.Context(), Options{Out: onDelivery(accepted), Log: io.Discard, Once: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Status: 403}); err != nil {
		t.Fatal(err)
	}
	if err := d.show(ctx); err == nil || !strings.Contains(err.Error(), "0 of 1 builds were started") {
		t.Errorf("error %v, want that nothing was started", err)
	}
	if err := d.stop(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("it left %v behind (%v)", left, err)
	}
}

// onDelivery is called when it is printed that a delivery was accepted.
type onDelivery func()

func (f onDelivery) Write(text []byte) (int, error) {
	if strings.HasPrefix(string(text), "   delivery ") {
		f()
	}
	return len(text), nil
}

// What it says at the end can be typed as it is.
func TestInvitation(t *testing.T) {
	for _, program := range []string{"sh", "curl", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("NO_PROXY", "127.0.0.1")
	var out strings.Builder
	d, err := start(t.Context(), Options{Out: &out, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if err := d.show(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "Open " + d.bridge.AdminURL() + "/ in a browser"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("it does not begin with %q:\n%s", want, out.String())
	}
	pages := regexp.MustCompile(`(?m)^     (http://\S+/builds/\S+)$`).FindAllStringSubmatch(out.String(), -1)
	if len(pages) != 2 {
		t.Fatalf("it names %q, want the pages of two builds", pages)
	}
	if status, html := get(t, pages[1][1]); status != http.StatusOK || !strings.Contains(html, "exit status 1") {
		t.Errorf("the page of the failed build is %d %s", status, html)
	}
	out.Reset()
	d.invite()
	program, err := os.Executable() // no name finds it
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\n  "+program+" builds list --admin "+d.bridge.AdminURL()+"\n") {
		t.Errorf("it does not say how to list builds:\n%s", out.String())
	}
	_, show, _ := strings.Cut(out.String(), "\n  cat ")
	show, _, _ = strings.Cut(show, "\n")
	token, err := exec.CommandContext(t.Context(), "cat", show).Output()
	if err != nil || len(token) < 32 {
		t.Errorf("the token is %q (%v)", token, err)
	}
	_, lines, _ := strings.Cut(out.String(), "\n  signature=")
	answer, err := exec.CommandContext(t.Context(), "sh", "-c", "signature="+lines).Output()
	if err != nil || !strings.Contains(string(answer), `"outcome":"accepted"`) {
		t.Errorf("a push as it says is answered with %s (%v)", answer, err)
	}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// A demo that nobody can see has failed, and so has one without a place for its
// files.
func TestDemoSaysWhatIsMissing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if err := Run(t.Context(), Options{Out: fullDisk{}, Log: io.Discard}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want that it could not print", err)
	}
	gone := filepath.Join(t.TempDir(), "gone")
	t.Setenv("TMPDIR", gone)
	if err := Run(t.Context(), Options{Out: io.Discard, Log: io.Discard}); err == nil || !strings.Contains(err.Error(), gone+" (set TMPDIR for another): ") {
		t.Errorf("error %v, want one that names the folder", err)
	}
}

// fullDisk is a writer as /dev/full is one.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestDemoLeavesNothingBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out strings.Builder
	if err := Run(t.Context(), Options{Out: &out, Log: &out, Once: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "Both were built: the push with success, the tag without.\n") {
		t.Errorf("it printed:\n%s", out.String())
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("it left %v behind (%v)", left, err)
	}
}
