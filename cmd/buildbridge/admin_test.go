package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/codearts/codeartstest"
)

// command runs the program against a bridge, from the bridge's folder.
func (w *world) command(b *bridge, args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "buildbridge", args...)
	cmd.Dir, cmd.Env = w.dir, append(os.Environ(), "BUILDBRIDGE_ADMIN="+b.admin, "WRONG=guess")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			w.t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	return out.String(), errs.String(), code
}

// prints checks that a command succeeds and prints all the texts.
func (w *world) prints(b *bridge, args []string, want ...string) (stdout string) {
	w.t.Helper()
	stdout, stderr, code := w.command(b, args...)
	if code != 0 {
		w.t.Fatalf("buildbridge %s exits with %d: %s", strings.Join(args, " "), code, stderr)
	}
	for _, text := range want {
		if !strings.Contains(stdout+stderr, text) {
			w.t.Errorf("buildbridge %s does not print %q:\n%s%s", strings.Join(args, " "), text, stdout, stderr)
		}
	}
	return stdout
}

// fails checks the exit code of a command and the texts on standard error.
func (w *world) fails(b *bridge, code int, args []string, want ...string) {
	w.t.Helper()
	stdout, stderr, got := w.command(b, args...)
	if got != code {
		w.t.Errorf("buildbridge %s exits with %d, want %d: %s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	for _, text := range want {
		if !strings.Contains(stderr, text) {
			w.t.Errorf("buildbridge %s does not say %q: %s", strings.Join(args, " "), text, stderr)
		}
	}
}

// list returns the entries of a list, by --json.
func list[T any](w *world, b *bridge, args ...string) (page T) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.prints(b, append(args, "--json"))), &page); err != nil {
		w.t.Fatal(err)
	}
	return page
}

func (w *world) builds(b *bridge, args ...string) []admin.Build {
	w.t.Helper()
	return list[admin.BuildPage](w, b, append([]string{"builds", "list"}, args...)...).Builds
}

// Builds that the service refused are sent again after that is fixed, each once.
func TestReplayBuilds(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Status: http.StatusForbidden, Times: 3}); err != nil {
		t.Fatal(err)
	}
	b := w.serve()
	for _, id := range []string{"1", "2", "3"} {
		if status := b.push(id, "acme/shop"); status != http.StatusAccepted {
			t.Fatalf("the delivery gives %d", status)
		}
	}
	eventually(t, "all are dead", func() bool { return len(w.builds(b, "--state", "dead")) == 3 })
	dead := w.builds(b, "--state", "dead", "--rule", "cart", "--since", "1h", "--all")
	oldest := dead[2].ID

	w.prints(b, []string{"builds", "list"}, "RECEIVED", "REASON", oldest, "no permission")
	if out := w.prints(b, []string{"builds", "list", "--limit", "1"}, "There are more"); strings.Count(out, "\n") != 2 || strings.Contains(out, oldest) {
		t.Errorf("a list of one has\n%s", out)
	}
	w.prints(b, []string{"builds", "list", "--state", "started"}, "no builds")
	w.prints(b, []string{"builds", "show", oldest}, "dead: ", "f9d6c8466d614a9788e9a0acf6c15f46", "call", `"build_commit_id"`)
	w.fails(b, 1, []string{"builds", "show", "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e"}, "no build has the id")
	w.fails(b, 2, []string{"builds", "list", "--state", "ded"}, `"ded" is none of waiting, calling`)
	w.fails(b, 2, []string{"builds", "replay", "--state", "dead", "--rule", "", "--yes"}, "rule: empty")

	// Only the token that serve made allows writing.
	w.fails(b, 1, []string{"builds", "replay", oldest, "--admin-token", "env:WRONG"}, "this token is unknown", "the token of env:WRONG was sent")
	w.fails(b, 1, []string{"builds", "replay", oldest, "--database", "other.db"}, "needs a token", "there is no other.db.admin-token")
	w.fails(b, 1, []string{"builds", "replay", oldest, "--admin-token", "env:UNSET"}, "UNSET is not set")

	w.prints(b, []string{"builds", "replay", oldest, "--reason", "the key was wrong"}, oldest+" is replayed as ")
	again := w.builds(b, "--replay-of", oldest)
	if len(again) != 1 || again[0].Actor != "local" || again[0].Why != "the key was wrong" {
		t.Errorf("the replays of %s are %+v", oldest, again)
	}
	w.prints(b, []string{"builds", "show", again[0].ID}, "asked for by  local\n", "why           the key was wrong\n")
	if line := b.logged("build is replayed"); line["actor"] != "local" || line["why"] != "the key was wrong" {
		t.Errorf("the log has %v", line)
	}
	w.fails(b, 2, []string{"builds", "replay", "--state", "dead"}, "needs --yes", ": buildbridge builds replay --state dead --yes\n")
	dry := w.prints(b, []string{"builds", "replay", "--state", "dead", "--dry-run"}, "2 builds match: dead, the oldest first\nRECEIVED",
		dead[0].ID, "A dry run: 2 builds would be replayed.")
	if strings.Index(dry, dead[1].ID) > strings.Index(dry, dead[0].ID) {
		t.Errorf("the oldest is not the first:\n%s", dry)
	}
	w.prints(b, []string{"builds", "replay", "--state", "dead", "--limit", "1", "--dry-run"}, "A dry run: 1 build would be replayed.")
	if found := list[admin.ReplayCount](w, b, "builds", "replay", "--state", "dead", "--dry-run"); found.Builds != 2 || len(found.First) != 2 {
		t.Errorf("a dry run finds %+v", found)
	}
	w.fails(b, 2, []string{"builds", "replay", "--state", "dead", "--limit=-1", "--yes"}, "--limit must be 0 or more")
	if some := list[admin.BuildReplays](w, b, "builds", "replay", "--state", "dead", "--limit", "1", "--yes"); len(some.Replayed) != 1 ||
		some.Replayed[0].ReplayOf != dead[1].ID || some.Left != 1 {
		t.Errorf("with a limit of 1 it replays %+v", some)
	}
	w.prints(b, []string{"builds", "replay", "--state", "dead", "--yes"}, dead[0].ID+" is replayed as", "1 build replayed")
	eventually(t, "all are started", func() bool { return len(w.builds(b, "--state", "started")) == 3 })
	if more := list[admin.BuildReplays](w, b, "builds", "replay", "--rule", "cart", "--yes"); len(more.Replayed) != 0 {
		t.Errorf("what was replayed is replayed again: %+v", more)
	}
	if n := w.simulator.RunCount(); n != 3 {
		t.Errorf("%d builds were started, want 3", n)
	}
	if replays := w.builds(b, "--replay-of", oldest); len(replays) != 1 || replays[0].BuildNumber == "" {
		t.Errorf("the replays of %s are %+v", oldest, replays)
	}

	// One that cannot be replayed is reported, and does not stop the others.
	w.fails(b, 1, []string{"builds", "replay", "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e", oldest}, "no build has the id")
	eventually(t, "the other is started", func() bool { return w.simulator.RunCount() == 4 })

	token, err := os.ReadFile(filepath.Join(w.dir, "buildbridge.db.admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.output(), strings.TrimSpace(string(token))) {
		t.Error("the token is logged")
	}
	b.term()
}

// The worker of a build has the same name as in its log.
func TestBuildThatIsWorked(t *testing.T) {
	w := newWorld(t, time.Minute, codeartstest.Options{})
	if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	b := w.serve()
	worker, _ := b.logged("serving")["worker"].(string)
	b.accept()
	eventually(t, "the call is on the wire", func() bool { return w.calls.Load() == 1 })
	build := w.builds(b)[0]
	if build.Worker != worker || worker == "" || !build.DueAt.IsZero() {
		t.Errorf("it is worked by %q, and due at %v; want %q", build.Worker, build.DueAt, worker)
	}
	if out := w.prints(b, []string{"builds", "show", build.ID}, "worked by", worker); strings.Contains(out, "next ") {
		t.Errorf("a build that is worked waits too:\n%s", out)
	}
	b.signal(os.Kill)
	b.wait()
}

// A delivery that built nothing is built by a replay after the rules have changed.
func TestReplayDeliveries(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	b := w.serve()
	if status := b.push("1", "acme/web"); status != http.StatusOK {
		t.Fatalf("the delivery gives %d", status)
	}
	var ignored []admin.Delivery
	eventually(t, "it is kept", func() bool {
		ignored = list[admin.DeliveryPage](w, b, "deliveries", "list", "--outcome", "ignored", "--repository", "acme/web").Deliveries
		return len(ignored) == 1
	})
	id := ignored[0].ID
	w.prints(b, []string{"deliveries", "list"}, "RECEIVED", id, "ignored", "no_rule")
	w.prints(b, []string{"deliveries", "show", id}, "ignored: no_rule", "github", "acme/web")
	w.prints(b, []string{"deliveries", "replay", id}, "is replayed as", "ignored: no_rule")

	w.write("rules.yaml", strings.ReplaceAll(w.good, "acme/shop", "'acme/*'"))
	b.logged("rules reloaded")
	w.prints(b, []string{"deliveries", "explain", id}, "ignored: no_rule", "now: accepted, 1 build", `rule "cart" matches`, "would build rule \"cart\"")
	w.prints(b, []string{"deliveries", "replay", "--reason", "no_rule", "--since", "1h", "--dry-run"},
		"1 delivery matches: ignored", "ignored: no_rule", "accepted, 1 build", "A dry run: 1 delivery would be replayed.")
	w.fails(b, 2, []string{"deliveries", "replay", "--reason", "no_rule"}, "replaying all deliveries that match needs --yes")
	w.fails(b, 2, []string{"deliveries", "replay"}, "name deliveries by their ids or by a filter, such as --reason no_rule")
	w.fails(b, 2, []string{"deliveries", "replay", id, "--reason", "no_rule"}, "by their ids or by a filter, not both")
	w.prints(b, []string{"deliveries", "replay", "--reason", "no_rule", "--yes", "--why", "the rule was wrong"},
		"accepted", `of rule "cart"`, "1 delivery replayed")
	w.prints(b, []string{"deliveries", "replay", "--reason", "no_rule", "--yes"}, "0 deliveries replayed")
	eventually(t, "it is built", func() bool { return w.simulator.RunCount() == 1 })
	accepted := list[admin.DeliveryPage](w, b, "deliveries", "list", "--outcome", "accepted").Deliveries
	// It replays the replay that was ignored too.
	if len(accepted) != 1 || accepted[0].ReplayOf == "" || accepted[0].ReplayOf == id {
		t.Fatalf("got %+v", accepted)
	}
	shown := list[admin.DeliveryDetail](w, b, "deliveries", "show", accepted[0].ID)
	if len(shown.Builds) != 1 || !strings.Contains(string(shown.Body), "acme/web") {
		t.Errorf("got %+v", shown)
	}
	w.prints(b, []string{"deliveries", "show", accepted[0].ID}, "replay of", accepted[0].ReplayOf, shown.Builds[0].ID, "asked for by  local\n", "the rule was wrong")
	if b := shown.Builds[0]; shown.Actor != "local" || b.Actor != "local" || b.Why != "the rule was wrong" {
		t.Errorf("got %+v", shown)
	}
	w.fails(b, 1, []string{"deliveries", "replay", "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e"}, "no delivery has the id")

	// Its source is no longer in the rules.
	w.write("rules.yaml", strings.ReplaceAll(w.good, "{github: {", "{gitlab: {"))
	eventually(t, "the replay is refused", func() bool {
		_, stderr, code := w.command(b, "deliveries", "replay", id)
		return code == 1 && strings.Contains(stderr, `the rules have no source "github" any more`)
	})
	b.term()
}

func TestAdminTokensOfSettings(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	w.write("reader", "read-token\n")
	w.write("writer", "write-token\n")
	b := w.serve("--admin-read-token", "file:reader", "--admin-write-token", "file:writer")
	w.fails(b, 1, []string{"builds", "list"}, "reading needs a token", "there is no buildbridge.db.admin-token")
	w.prints(b, []string{"builds", "list", "--admin-token", "file:reader"})
	w.fails(b, 1, []string{"builds", "replay", "--state", "dead", "--yes", "--admin-token", "file:reader"}, "this token is for reading")
	w.prints(b, []string{"builds", "replay", "--state", "dead", "--yes", "--admin-token", "file:writer"}, "0 builds replayed")
	w.write("reader", "rotated\n") // the bridge and the command both read it again
	w.prints(b, []string{"builds", "list", "--admin-token", "file:reader"})
	b.term()
}
