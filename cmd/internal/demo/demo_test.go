package demo

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"buildbridge/trigger/codearts/codeartstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A demo in which the service starts nothing must say so, and not succeed.
func TestDemoFails(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	d, err := start(t.Context(), Options{Out: io.Discard, Log: io.Discard, Once: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Status: 403}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
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

func TestDemoLeavesNothingBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out strings.Builder
	if err := Run(t.Context(), Options{Out: &out, Log: &out, Once: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "Both were built.\n") {
		t.Errorf("it printed:\n%s", out.String())
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("it left %v behind (%v)", left, err)
	}
}
