package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/codearts/codeartstest"
)

// A target is paused over kills and restarts: each build is then called once, and in order.
func TestPauseOverKills(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	b := w.serve()
	w.prints(b, []string{"pause", "--target", "north", "--reason", "CodeArts is in maintenance", "--until", "2h"},
		"target north is paused, until 20", ": CodeArts is in maintenance")
	w.prints(b, []string{"pause", "--target", "north", "--reason", "it takes longer"},
		"target north was paused already, by local: CodeArts is in maintenance, until 20", "target north is paused: it takes longer")
	for i := range 3 {
		for j := range 3 {
			if status := b.push(fmt.Sprintf("%d-%d", i, j), "acme/shop"); status != http.StatusAccepted {
				t.Fatalf("the delivery gives %d", status)
			}
		}
		eventually(t, "all are held", func() bool {
			waiting := w.builds(b, "--state", "waiting")
			for _, build := range waiting {
				if build.PausedAt.IsZero() || build.Reason != "target north is paused: it takes longer" || !build.DueAt.IsZero() {
					return false
				}
			}
			return len(waiting) == 3*(i+1)
		})
		b.signal(syscall.SIGKILL)
		b.wait()
		b = w.serve()
	}
	if n := w.calls.Load(); n != 0 {
		t.Fatalf("%d were called", n)
	}
	waiting := w.builds(b, "--state", "waiting")
	w.prints(b, []string{"builds", "list"}, "target north is paused: it takes longer")
	w.prints(b, []string{"builds", "show", waiting[0].ID}, "waiting: target north is paused: it takes longer", "paused since")
	w.prints(b, []string{"status"}, "target north: it takes longer, by local, since 20", "PAUSED", "Everything works.")
	if o := list[admin.Overview](w, b, "status"); len(o.Targets) == 0 || o.Targets[0].Paused != 9 || len(o.Pauses) != 1 || len(o.Replicas) != 1 {
		t.Errorf("the status is %+v", o)
	}
	w.prints(b, []string{"builds", "cancel", waiting[8].ID, "--reason", "wrong branch"}, waiting[8].ID+" is canceled")
	w.prints(b, []string{"builds", "show", waiting[8].ID}, "dead: canceled by local: wrong branch")

	w.prints(b, []string{"resume", "--target", "north"}, "target north is resumed")
	eventually(t, "all are started", func() bool { return len(w.builds(b, "--state", "started")) == 8 })
	if n := w.calls.Load(); n != 8 {
		t.Errorf("%d calls for 8 builds", n)
	}
	number := 0
	for i := range 8 { // the oldest first
		got := list[admin.BuildDetail](w, b, "builds", "show", waiting[7-i].ID)
		var its int
		if _, err := fmt.Sscan(got.BuildNumber, &its); err != nil || its <= number {
			t.Errorf("build %d of those that waited has the number %s after %d", i, got.BuildNumber, number)
		}
		number = its
	}
	w.fails(b, 1, []string{"builds", "cancel", waiting[0].ID}, "it does not wait any more")
	w.fails(b, 1, []string{"resume", "--target", "north"}, "target north is not paused")
	b.term()
}

func TestPauseThatIsWrong(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	b := w.serve()
	for _, c := range []struct {
		args string
		says string
	}{
		{"pause --reason x", "say what: --rule NAME"},
		{"pause --all", "missing flags: --reason=TEXT"},
		{"pause --all --target north --reason x", "can't be used together"},
		{"pause --rule= --reason x", "say what: --rule NAME"},
		{"pause --all --reason x --until 2020-01-01", "is in the past"},
		{"pause --all --reason x --until 400d", "more than a year from now"},
		{"pause --all --reason x --until tomorrow", "is neither a time from now, such as 2h"},
		{"resume", "say what: --rule NAME"},
		{"builds cancel", "name builds by their ids or by a filter"},
		{"builds cancel --rule cart", "needs --yes"},
		{"builds cancel --state started --yes", "only builds that wait can be canceled"},
		{"builds cancel --rule= --yes", "rule: empty"},
		{"serve --rules rules.yaml --hold --dry-run", "--hold and --dry-run exclude each other"},
	} {
		w.fails(b, 2, strings.Fields(c.args), c.says)
	}
	for _, c := range []struct{ args, says string }{
		{"pause --rule crat --reason x", `no rule is called "crat"; did you mean "cart"?`},
		{"pause --target nroth --reason x", `did you mean "north"?`},
		{"pause --repository acme/shpo --reason x", `no rule names the repository "acme/shpo"`},
		{"resume --all", "buildbridge resume: everything is not paused, and nothing else is"},
	} {
		w.fails(b, 1, strings.Fields(c.args), c.says)
	}
	b.term()
}

// Of what waits, what matches is canceled after it was shown.
func TestCancelByFilter(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	b := w.serve()
	w.prints(b, []string{"pause", "--all", "--reason", "x"})
	for i := range 4 {
		if status := b.push(fmt.Sprint(i), "acme/shop"); status != http.StatusAccepted {
			t.Fatalf("the delivery gives %d", status)
		}
	}
	w.prints(b, []string{"builds", "cancel", "--rule", "cart", "--dry-run"}, "4 builds match: waiting, the oldest first", "A dry run: 4 builds would be canceled.")
	if got := list[admin.BuildCancels](w, b, "builds", "cancel", "--rule", "cart", "--limit", "1", "--yes"); len(got.Canceled) != 1 || got.Left != 3 {
		t.Errorf("got %+v", got)
	}
	w.prints(b, []string{"builds", "cancel", "--state", "waiting", "--yes", "--reason", "wrong rule"}, "3 builds canceled")
	w.prints(b, []string{"builds", "cancel", "--state", "waiting", "--yes"}, "0 builds canceled")
	w.prints(b, []string{"builds", "replay", "--state", "dead", "--yes"}, "0 builds replayed") // nobody wants them
	w.prints(b, []string{"resume", "--all"}, "everything is resumed")
	if n := w.calls.Load(); n != 0 {
		t.Errorf("%d were called", n)
	}
	b.term()
}

// A bridge that is started with --hold calls nothing, over a kill too, until everything is resumed.
func TestServeOnHold(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	b := w.serve("--hold")
	b.push("1", "acme/shop")
	w.prints(b, []string{"status"}, "nothing is called, searched for, followed or said until: buildbridge resume --all", "everything: started with --hold, by serve --hold")
	b.signal(syscall.SIGKILL)
	b.wait()
	b = w.serve()
	b.push("2", "acme/shop")
	eventually(t, "both are held", func() bool {
		waiting := w.builds(b, "--state", "waiting")
		return len(waiting) == 2 && !waiting[0].PausedAt.IsZero() && !waiting[1].PausedAt.IsZero()
	})
	if n := w.calls.Load(); n != 0 {
		t.Fatalf("%d were called", n)
	}
	w.prints(b, []string{"resume", "--all"}, "everything is resumed")
	eventually(t, "both are started", func() bool { return len(w.builds(b, "--state", "started")) == 2 })
	var o map[string]json.RawMessage
	if o = list[map[string]json.RawMessage](w, b, "status"); o["on_hold"] != nil {
		t.Errorf("it is on hold: %s", o["on_hold"])
	}
	b.term()
}
