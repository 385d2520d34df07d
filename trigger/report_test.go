package trigger_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/store"
)

// fakeHost is a code host that remembers what it is told.
type fakeHost struct {
	running bool // it has a word for builds that run
	refs    bool // it answers with an id
	none    bool // it has no statuses
	limit   mapping.RateLimit
	// answer is asked before a status is taken; nil takes all.
	answer func(ctx context.Context, s hostapi.Status) error

	mu    sync.Mutex
	tries int
	posts []hostapi.Status // those that were taken
}

func (h *fakeHost) TakesStatuses() bool      { return !h.none }
func (h *fakeHost) SaysRunning() bool        { return h.running }
func (h *fakeHost) Limit() mapping.RateLimit { return h.limit }

func (h *fakeHost) Refs(context.Context, string, func(hostapi.Ref) error) error { return nil }

func (h *fakeHost) Post(ctx context.Context, s hostapi.Status) (string, error) {
	h.mu.Lock()
	h.tries++
	answer := h.answer
	h.mu.Unlock()
	if answer != nil {
		if err := answer(ctx, s); err != nil {
			return "", err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.posts = append(h.posts, s)
	if !h.refs {
		return "", nil
	}
	if s.Previous != "" {
		return s.Previous, nil
	}
	return fmt.Sprint("r", len(h.posts)), nil
}

// becomes changes how it answers.
func (h *fakeHost) becomes(answer func(ctx context.Context, s hostapi.Status) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

func (h *fakeHost) told() (posts []hostapi.Status, tries int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.posts), h.tries
}

func (h *fakeHost) states() (states []hostapi.State) {
	posts, _ := h.told()
	for _, s := range posts {
		states = append(states, s.State)
	}
	return states
}

func refuses(r hostapi.Refusal) func(context.Context, hostapi.Status) error {
	return func(context.Context, hostapi.Status) error { return &r }
}

// newReporter is a trigger that follows builds and tells this host.
func newReporter(t *testing.T, h *fakeHost, s settings) *testTrigger {
	t.Helper()
	s.hosts = []trigger.Host{{Source: "github", API: h}}
	return newFollower(t, s)
}

func reported(commit string) mapping.Build {
	b := push(commit)
	b.Context = "buildbridge/cart"
	return b
}

// deliverOld accepts a delivery that came a while ago, so that pending is said at once.
func (b *testTrigger) deliverOld(t *testing.T, builds ...mapping.Build) (ids []string) {
	t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	r, err := b.Accept(t.Context(), mapping.Delivery{
		ID: id, Source: "github", Provider: "github", DuplicateKey: id, Event: "push", ReceivedAt: time.Now().Add(-store.PendingAfter), Body: []byte("{}"),
	}, builds)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range r.Builds {
		ids = append(ids, r.ID)
	}
	return ids
}

// status is that of a build's context.
func (b *testTrigger) status(t *testing.T, id string) *store.Status {
	t.Helper()
	row, err := b.store.Build(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	st, err := b.store.StatusOf(t.Context(), row)
	if errors.Is(err, store.ErrNotFound) {
		return &store.Status{}
	}
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// said waits until a host was told these states, and no more.
func (b *testTrigger) said(t *testing.T, h *fakeHost, want ...hostapi.State) (last hostapi.Status) {
	t.Helper()
	until(t, fmt.Sprintf("the host was told %v", want), func() bool {
		if got := h.states(); len(got) > len(want) {
			t.Fatalf("the host was told %v, want %v", got, want)
		}
		return len(h.states()) == len(want)
	})
	if diff := cmp.Diff(want, h.states()); diff != "" {
		t.Fatal(diff)
	}
	posts, _ := h.told()
	return posts[len(posts)-1]
}

// sql changes the database, as time would.
func (b *testTrigger) sql(t *testing.T, statement string) {
	t.Helper()
	driver, path := "sqlite", "file:"+b.path+"?_pragma=busy_timeout(10000)"
	if strings.Contains(b.path, "://") {
		driver, path = "pgx", b.path
	}
	db, err := sql.Open(driver, path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestEndsOfBuildsAreSaid(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		outcome codeartstest.Outcome
		fault   codeartstest.Fault
		build   func(b *mapping.Build)
		want    hostapi.State
		text    string // its beginning
	}{
		"success":           {outcome: codeartstest.Outcome{Result: "SUCCESS", After: 2 * time.Second}, want: hostapi.Success, text: "Build 1 succeeded in "},
		"failure":           {outcome: codeartstest.Outcome{Result: "FAILURE", Step: "compile", Message: "exit\nstatus 1", After: 2 * time.Second}, want: hostapi.Failure, text: `Build 1 failed in step "compile" after `},
		"timeout":           {outcome: codeartstest.Outcome{Result: "timeout"}, want: hostapi.Failure, text: "Build 1 took too long: the service stopped it"},
		"aborted":           {outcome: codeartstest.Outcome{Result: "ABORTED"}, want: hostapi.Canceled, text: "Build 1 was stopped at the service"},
		"lost":              {outcome: codeartstest.Outcome{Result: "MELTED"}, want: hostapi.Error, text: "What became of build 1 is not known: "},
		"dead":              {fault: codeartstest.Fault{Path: codeartstest.PathRun, Status: 400, Code: "CB.00060200", Message: "no such job"}, want: hostapi.Error, text: "Not started: "},
		"dead on arrival":   {build: func(b *mapping.Build) { b.Dead = "no parameter" }, want: hostapi.Error, text: "Not started: no parameter"},
		"a tag on a commit": {build: func(b *mapping.Build) { *b = tag("v1"); b.TagCommit, b.Context = commitA, "buildbridge/cart/tag" }, want: hostapi.Success, text: "Build 1 succeeded"},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			h := &fakeHost{running: true}
			target := following()
			target.ConsoleURL = "https://console.example.com/{job_id}/{build_no}?record={record_id}&project={project_id}"
			b := newReporter(t, h, settings{target: target})
			if c.outcome.Result != "" {
				b.outcome(t, c.outcome)
			}
			if c.fault.Path != "" {
				b.fault(t, c.fault)
			}
			p := reported(commitA)
			if c.build != nil {
				c.build(&p)
			}
			id := b.deliver(t, p)[0]
			got := b.said(t, h, c.want) // once: pending is not worth a word
			if !strings.HasPrefix(got.Description, c.text) || strings.Contains(got.Description, "\n") {
				t.Errorf("got %q, want %q", got.Description, c.text)
			}
			if got.Repository != "acme/shop" || got.Commit != commitA || got.Ref != p.Ref || got.Context != p.Context || got.Previous != "" {
				t.Errorf("got %+v", got)
			}
			if c.want == hostapi.Success {
				row := b.await(t, id, store.Started)
				if want := fmt.Sprintf("https://console.example.com/%s/1?record=%s&project=%s", job, row.RecordID, row.ProjectID); got.TargetURL != want {
					t.Errorf("got %q, want %q", got.TargetURL, want)
				}
				if got.Begun.IsZero() || got.Ended.IsZero() {
					t.Errorf("got %+v", got)
				}
			} else if linked := strings.Contains(got.Description, "uild 1"); linked != (got.TargetURL != "") {
				t.Errorf("got %q", got.TargetURL)
			}
			until(t, "nothing more is to be said", func() bool {
				st := b.status(t, id)
				return st.DueAt.IsZero() && st.Sent == string(c.want) && st.Since.IsZero()
			})
		})
	}
}

// A status links to the page of its build where the pages have an address, and so does the log.
func TestStatusLinksToThePage(t *testing.T) {
	t.Parallel()
	h, log, target := &fakeHost{}, &said{}, following()
	target.ConsoleURL = "https://console.example.com/{job_id}"
	b := newReporter(t, h, settings{target: target, log: log, buildURL: func(id string) string { return "https://ci.example.com/builds/" + id }})
	b.outcome(t, codeartstest.Outcome{Result: "SUCCESS", After: time.Second})
	id := b.deliver(t, reported(commitA))[0]
	if got := b.said(t, h, hostapi.Success); got.TargetURL != "https://ci.example.com/builds/"+id {
		t.Errorf("the status links to %q", got.TargetURL)
	}
	for _, line := range []string{"build started", "build ended", "status set"} {
		until(t, "the log has "+line+" with the page", func() bool { return log.count(line+".*url.*https://ci.example.com/builds/"+id) == 1 })
	}
}

func TestPendingAndRunningAreSaid(t *testing.T) {
	t.Parallel()
	for phrase, running := range map[string]bool{"with a word for it": true, "without": false} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			h, clock := &fakeHost{running: running, refs: true}, new(shifted)
			b := newReporter(t, h, settings{sim: codeartstest.Options{Now: clock.Now}})
			b.outcome(t, codeartstest.Outcome{Result: "SUCCESS", Queued: time.Hour, After: time.Hour})
			id := b.deliverOld(t, reported(commitA))[0]
			want := []hostapi.State{hostapi.Pending}
			b.said(t, h, want...)
			clock.skip(time.Hour)
			if running {
				want = append(want, hostapi.Running)
			}
			until(t, "it runs", func() bool { return !b.result(t, id, store.Running).RunningAt.IsZero() })
			b.said(t, h, want...)
			clock.skip(time.Hour)
			want = append(want, hostapi.Success)
			if last := b.said(t, h, want...); last.Previous != "r1" {
				t.Errorf("got %+v, want what was answered to the first", last)
			}
		})
	}
}

// The commit shows that a run waits for a person, and that it goes on.
func TestWaitingForAPersonIsSaid(t *testing.T) {
	t.Parallel()
	for phrase, state := range map[string]hostapi.State{"with a word for what runs": hostapi.Running, "without": hostapi.Pending} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			h := &fakeHost{running: state == hostapi.Running, refs: true}
			b := newReporter(t, h, settings{})
			b.outcome(t, codeartstest.Outcome{Paused: 300 * time.Millisecond, After: time.Hour})
			build := flow(commitA)
			build.Context = "buildbridge/cart"
			id := b.deliverOld(t, build)[0]
			says := func(word string) {
				t.Helper()
				until(t, "the commit shows that it "+word, func() bool {
					posts, _ := h.told()
					return len(posts) > 0 && posts[len(posts)-1].State == state && strings.Contains(posts[len(posts)-1].Description, word)
				})
			}
			says("waits for a person")
			b.sim.Resume(pipelineID, "")
			says("runs")
			if _, err := b.StopBuild(t.Context(), id, mapping.By{}); err != nil {
				t.Fatal(err)
			}
			b.result(t, id, store.Aborted)
			until(t, "its end is said", func() bool { return b.status(t, id).Sent == string(hostapi.Canceled) })
			if posts, _ := h.told(); posts[len(posts)-1].Previous != "r1" {
				t.Errorf("got %+v, want what was answered to the first", posts[len(posts)-1])
			}
		})
	}
}

// A build changes while the host is being told of it: the next word follows at once.
func TestAWordThatChangesOnItsWay(t *testing.T) {
	t.Parallel()
	open := make(chan struct{})
	h := &fakeHost{answer: func(ctx context.Context, _ hostapi.Status) error {
		select {
		case <-open:
		case <-ctx.Done():
		}
		return ctx.Err()
	}}
	clock := new(shifted)
	b := newReporter(t, h, settings{sim: codeartstest.Options{Now: clock.Now}})
	b.outcome(t, codeartstest.Outcome{Paused: time.Hour, After: 2 * time.Hour})
	build := flow(commitA)
	build.Context = "buildbridge/cart"
	id := b.deliverOld(t, build)[0]
	until(t, "it runs, and the host is being told", func() bool {
		_, tries := h.told()
		return tries > 0 && !b.await(t, id, store.Started).RunningAt.IsZero()
	})
	clock.skip(time.Hour)
	until(t, "it waits for a person", func() bool { return b.await(t, id, store.Started).WaitsForPerson() })
	close(open)
	until(t, "the commit shows that it waits", func() bool {
		posts, _ := h.told()
		return len(posts) > 0 && strings.Contains(posts[len(posts)-1].Description, "waits for a person")
	})
}

func TestNothingIsSaid(t *testing.T) {
	t.Parallel()
	h := &fakeHost{}
	unfollowed := following()
	unfollowed.Follow = false
	b := newReporter(t, h, settings{target: unfollowed})
	id := b.deliverOld(t, reported(commitA))[0]
	b.await(t, id, store.Started)
	plain := push(commitB)
	b.await(t, b.deliverOld(t, plain)[0], store.Started)
	dead := reported(commitB)
	dead.Dead = "no parameter"
	b.deliver(t, dead)
	b.said(t, h, hostapi.Error) // of the last one alone
}

// What was said to be pending gets an end, whatever becomes of it.
func TestWhatWasBegunIsEnded(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		then func(t *testing.T, b *testTrigger, id string)
		want hostapi.State
		text string
	}{
		"it is superseded": {func(t *testing.T, b *testTrigger, _ string) {
			t.Helper()
			next := push(commitB)
			next.Target = "nowhere"
			next.Concurrency.Replace = mapping.ReplaceWaiting
			b.deliver(t, next)
		}, hostapi.Canceled, "A newer push took the place of this build"},
		"it dies": {func(t *testing.T, b *testTrigger, id string) {
			t.Helper()
			b.sql(t, `UPDATE builds SET received_at = 1, deadline = 2 WHERE id = '`+id+`'`)
		}, hostapi.Error, "Not started: "},
		"it is pruned": {func(t *testing.T, b *testTrigger, id string) {
			t.Helper()
			b.sql(t, `DELETE FROM builds WHERE id = '`+id+`'`)
		}, hostapi.Error, "What became of this build is not known"},
		"it is not followed": {func(t *testing.T, b *testTrigger, id string) {
			t.Helper()
			b.sql(t, `UPDATE builds SET state = 'started', due_at = 0, build_no = '9', started_at = 5 WHERE id = '`+id+`'`)
		}, hostapi.Error, "Build 9 was started, and is not followed"},
		"it was lost, and nobody was told": {func(t *testing.T, b *testTrigger, id string) {
			t.Helper()
			b.sql(t, `UPDATE builds SET state = 'started', due_at = 0, build_no = '9', started_at = 5, result = 'lost', message = 'the job is gone' WHERE id = '`+id+`'`)
		}, hostapi.Error, "What became of build 9 is not known: the job is gone"},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			h := &fakeHost{refs: true}
			b := newReporter(t, h, settings{})
			waits := reported(commitA)
			waits.Target = "nowhere"
			id := b.deliverOld(t, waits)[0]
			b.said(t, h, hostapi.Pending)
			until(t, "it is saved", func() bool { return b.status(t, id).Sent == "pending" })
			c.then(t, b, id)
			b.sql(t, `UPDATE statuses SET due_at = 1 WHERE due_at > 0`) // the sweep
			got := b.said(t, h, hostapi.Pending, c.want)
			if !strings.HasPrefix(got.Description, c.text) || got.Previous != "r1" || got.Commit != commitA {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// The host may have taken that a build is pending: the answer was lost, or the process was killed before it was
// saved. The build is superseded before anything else is said.
func TestWordThatMayHaveArrived(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		answer hostapi.Refusal
		ended  bool
	}{
		"no answer":        {hostapi.Refusal{Code: hostapi.CodeTimeout}, true},
		"a gateway's 408":  {hostapi.Refusal{Code: "408"}, true},
		"broken JSON":      {hostapi.Refusal{Code: hostapi.CodePage}, true},
		"a sign-in page":   {hostapi.Refusal{Code: hostapi.CodePage, Fate: hostapi.FateSource}, false},
		"a commit is gone": {hostapi.Refusal{Code: "500", Fate: hostapi.FateFinal}, false},
		"not sent":         {hostapi.Refusal{Code: hostapi.CodeNotSent}, false},
		"locked":           {hostapi.Refusal{Code: "409"}, false},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			c.answer.Reason, c.answer.After = phrase, time.Minute
			h := &fakeHost{}
			h.answer = func(_ context.Context, s hostapi.Status) error {
				if s.State != hostapi.Pending {
					return nil
				}
				return &c.answer
			}
			b := newReporter(t, h, settings{})
			waits, next := reported(commitA), push(commitB)
			waits.Target, next.Target, next.Concurrency.Replace = "nowhere", "nowhere", mapping.ReplaceWaiting
			id := b.deliverOld(t, waits)[0]
			until(t, "it is saved", func() bool { return b.status(t, id).Attempts == 1 })
			if sent := b.status(t, id).Sent; (sent == store.StatusUnknown) != c.ended {
				t.Errorf("the host was told %q", sent)
			}
			if !c.ended {
				return
			}
			b.deliver(t, next)
			b.sql(t, `UPDATE statuses SET due_at = 1 WHERE due_at > 0`)
			b.said(t, h, hostapi.Canceled)
		})
	}
}

// The host is down while a build begins and ends: it is told the end alone.
func TestHostThatIsDown(t *testing.T) {
	t.Parallel()
	for phrase, down := range map[string]hostapi.Refusal{
		"it cannot be reached": {Fate: hostapi.FateAgain, Code: "not_sent", Reason: "not reached"},
		"it fails":             {Fate: hostapi.FateAgain, Code: "502", Reason: "bad gateway"},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			h := &fakeHost{answer: refuses(down)}
			b := newReporter(t, h, settings{})
			b.outcome(t, codeartstest.Outcome{Result: "SUCCESS", Queued: time.Second, After: 2 * time.Second})
			id := b.deliverOld(t, reported(commitA))[0]
			b.result(t, id, store.Success)
			until(t, "the reason is seen", func() bool { return b.status(t, id).Reason == down.Reason })
			h.becomes(nil)
			b.said(t, h, hostapi.Success)
			until(t, "the reason is gone", func() bool { return b.status(t, id).Reason == "" })
			if n := b.metric(t, "buildbridge_status_posts_total", map[string]string{"source": "github", "code": down.Code}); n < 1 || n > 10 {
				t.Errorf("%v posts failed", n)
			}
			if n := b.metric(t, "buildbridge_status_posts_total", map[string]string{"source": "github", "code": "200"}); n != 1 {
				t.Errorf("%v posts were taken", n)
			}
		})
	}
}

// A token that is wrong stops the statuses of its source: they are tried one at a time, all of them say why,
// and go on when it is right.
func TestTokenThatIsWrong(t *testing.T) {
	t.Parallel()
	log := &said{}
	h := &fakeHost{answer: refuses(hostapi.Refusal{Fate: hostapi.FateSource, Code: "401", Reason: "the token of source github is wrong"})}
	b := newReporter(t, h, settings{log: log})
	var ids []string
	for i := range 30 {
		p := reported(fmt.Sprintf("%040x", i+1))
		p.Ref = fmt.Sprint("refs/heads/b", i)
		ids = append(ids, b.deliver(t, p)...)
	}
	for _, id := range ids {
		b.result(t, id, store.Success)
	}
	for _, id := range ids {
		until(t, "the reason is seen", func() bool { return strings.Contains(b.status(t, id).Reason, "the token of source github is wrong") })
	}
	if _, tries := h.told(); tries > 12 {
		t.Errorf("%d posts with a wrong token", tries)
	}
	h.becomes(nil)
	until(t, "all is said", func() bool { return len(h.states()) == len(ids) })
	for _, message := range []string{"code host takes no statuses", "code host takes statuses again"} {
		if n := log.count("level=(WARN|INFO).*" + message); n != 1 {
			t.Errorf("the log says %q %d times", message, n)
		}
	}
}

func TestStatusThatIsRefused(t *testing.T) {
	t.Parallel()
	log := &said{}
	h := &fakeHost{answer: refuses(hostapi.Refusal{Fate: hostapi.FateFinal, Code: "422", Reason: "the host has no commit " + commitA})}
	clock := new(shifted)
	b := newReporter(t, h, settings{log: log, sim: codeartstest.Options{Now: clock.Now}})
	b.outcome(t, codeartstest.Outcome{Result: "SUCCESS", Queued: time.Hour, After: time.Hour, Times: 1})
	id := b.deliverOld(t, reported(commitA))[0]
	until(t, "the pending is refused", func() bool { return strings.Contains(b.status(t, id).Reason, "has no commit") })
	clock.skip(2 * time.Hour)
	b.result(t, id, store.Success)
	until(t, "it is given up", func() bool {
		st := b.status(t, id)
		return st.DueAt.IsZero() && strings.Contains(st.Reason, "has no commit")
	})
	if _, tries := h.told(); tries != 2 || log.count("status refused") != 1 {
		t.Errorf("%d posts, %d lines in the log", tries, log.count("status refused"))
	}
	h.becomes(nil)
	b.deliver(t, reported(commitA)) // a newer build is tried again
	b.said(t, h, hostapi.Success)
}

// A host that refuses one word may take the next: the end is told though it took no pending, and
// what it shows as pending gets its end though that was refused once.
func TestEndIsToldAfterARefusal(t *testing.T) {
	t.Parallel()
	for phrase, refused := range map[string]hostapi.State{"the pending": hostapi.Pending, "the end": hostapi.Success} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			var once atomic.Bool
			h := &fakeHost{answer: func(_ context.Context, s hostapi.Status) error {
				if s.State == refused && !once.Swap(true) {
					return &hostapi.Refusal{Fate: hostapi.FateFinal, Code: "403", Reason: "not now"}
				}
				return nil
			}}
			b := newReporter(t, h, settings{})
			b.outcome(t, codeartstest.Outcome{Result: "SUCCESS", After: 2 * time.Second})
			id := b.deliverOld(t, reported(commitA))[0]
			b.result(t, id, store.Success)
			if refused == hostapi.Success {
				until(t, "the end is refused", func() bool { return b.status(t, id).Reason == "not now" })
				if wait := time.Until(b.status(t, id).DueAt); wait < 5*time.Minute {
					t.Errorf("it is tried again in %s", wait)
				}
				b.sql(t, `UPDATE statuses SET due_at = 1`)
			}
			until(t, "the end is told", func() bool { return b.status(t, id).Sent == string(hostapi.Success) })
		})
	}
}

// The end of an older build that the host refuses for good does not keep the newest from being told.
func TestRefusedEndOfAnOlderBuild(t *testing.T) {
	t.Parallel()
	h := &fakeHost{refs: true}
	b := newReporter(t, h, settings{})
	waits := reported(commitA)
	waits.Target = "nowhere"
	id := b.deliverOld(t, waits)[0]
	b.said(t, h, hostapi.Pending)
	until(t, "it is saved", func() bool { return b.status(t, id).Sent == "pending" })
	h.becomes(func(_ context.Context, s hostapi.Status) error {
		if s.State == hostapi.Canceled {
			return &hostapi.Refusal{Fate: hostapi.FateFinal, Code: "404", Reason: "the pipeline is gone"}
		}
		return nil
	})
	newest := reported(commitA)
	newest.Dead = "no parameter"
	b.deliver(t, newest)
	b.said(t, h, hostapi.Pending, hostapi.Error)
}

// A status that cannot be sent says nothing of a host that is down: it stays so.
func TestStatusThatCannotBeSent(t *testing.T) {
	t.Parallel()
	log := &said{}
	h := &fakeHost{}
	var down atomic.Bool
	h.answer = func(context.Context, hostapi.Status) error {
		if !down.Swap(true) {
			return &hostapi.Refusal{Fate: hostapi.FateSource, Code: hostapi.CodeNotSent, Reason: "not reached"}
		}
		return &hostapi.Refusal{Fate: hostapi.FateFinal, Code: hostapi.CodeNotSent, Reason: "a name without an owner"}
	}
	b := newReporter(t, h, settings{log: log})
	p := reported(commitA)
	p.Dead = "no parameter"
	id := b.deliver(t, p)[0]
	until(t, "it is refused", func() bool {
		st := b.status(t, id)
		return st.DueAt.IsZero() && st.Reason == "a name without an owner"
	})
	if n := log.count("code host takes statuses again"); n != 0 {
		t.Errorf("the log says so %d times", n)
	}
}

// However many requests a status takes, none is sent after its lease.
func TestPostEndsBeforeItsLease(t *testing.T) {
	t.Parallel()
	left := make(chan time.Duration, 1)
	h := &fakeHost{answer: func(ctx context.Context, _ hostapi.Status) error {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		return nil
	}}
	b := newReporter(t, h, settings{})
	p := reported(commitA)
	p.Dead = "no parameter"
	b.deliver(t, p)
	if got := <-left; got <= 0 || got > store.Lease-2*time.Second {
		t.Errorf("a post has %s, and its lease %s", got, store.Lease)
	}
}

func TestStatusIsGivenUpAfterADay(t *testing.T) {
	t.Parallel()
	h := &fakeHost{answer: refuses(hostapi.Refusal{Fate: hostapi.FateAgain, Code: "502", Reason: "bad gateway", After: time.Minute})}
	b := newReporter(t, h, settings{})
	id := b.deliver(t, reported(commitA))[0]
	b.result(t, id, store.Success)
	until(t, "it was tried", func() bool { return b.status(t, id).Reason == "bad gateway" })
	b.sql(t, `UPDATE statuses SET due_at = 1, since = 1`)
	until(t, "it is given up", func() bool {
		st := b.status(t, id)
		return st.DueAt.IsZero() && st.Reason == "given up after a day: bad gateway"
	})
}

// The source is not in the rules any more, and comes back.
func TestSourceThatIsNotInTheRules(t *testing.T) {
	t.Parallel()
	h := &fakeHost{}
	b := newFollower(t, settings{})
	id := b.deliver(t, reported(commitA))[0]
	b.result(t, id, store.Success)
	until(t, "the reason is seen", func() bool { return strings.Contains(b.status(t, id).Reason, `no api for source "github"`) })
	b.hosts = []trigger.Host{{Source: "github", API: h}}
	b.setTargets(t, following())
	b.sql(t, `UPDATE statuses SET due_at = 1`)
	b.said(t, h, hostapi.Success)
}

func TestStatusesAfterARestart(t *testing.T) {
	t.Parallel()
	h, clock := &fakeHost{}, new(shifted)
	b := newReporter(t, h, settings{sim: codeartstest.Options{Now: clock.Now}})
	b.outcome(t, codeartstest.Outcome{Result: "FAILURE", After: time.Hour})
	id := b.deliverOld(t, reported(commitA))[0]
	b.said(t, h, hostapi.Pending)
	b.await(t, id, store.Started)
	b.close(t)
	b.open(t, settings{target: following(), follow: each(20 * time.Millisecond)})
	clock.skip(time.Hour)
	b.said(t, h, hostapi.Pending, hostapi.Failure)
}

// Of two builds of a commit the newer one has the status: the end of the older one is not said. What
// the older one began at a host that keeps them apart is ended.
func TestNewestBuildHasTheStatus(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		refs bool
		want []hostapi.State
	}{
		"one status":          {false, []hostapi.State{hostapi.Pending, hostapi.Pending, hostapi.Failure}},
		"a check run of each": {true, []hostapi.State{hostapi.Pending, hostapi.Canceled, hostapi.Pending, hostapi.Failure}},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			h, clock := &fakeHost{refs: c.refs}, new(shifted)
			b := newReporter(t, h, settings{sim: codeartstest.Options{Now: clock.Now}})
			b.outcome(t, codeartstest.Outcome{Result: "SUCCESS", After: 2 * time.Hour})
			older := b.deliverOld(t, reported(commitA))[0]
			b.said(t, h, hostapi.Pending)
			b.await(t, older, store.Started)
			b.outcome(t, codeartstest.Outcome{Result: "FAILURE", After: time.Hour})
			twin := reported(commitA)
			twin.Ref = "refs/heads/twin"
			newer := b.deliverOld(t, twin)[0]
			b.said(t, h, c.want[:len(c.want)-1]...)
			clock.skip(time.Hour)
			b.result(t, newer, store.Failure)
			b.said(t, h, c.want...)
			clock.skip(time.Hour)
			b.result(t, older, store.Success)
			until(t, "the status is saved", func() bool { return b.status(t, older).DueAt.IsZero() })
			b.said(t, h, c.want...)
			posts, _ := h.told()
			for i, s := range posts {
				ref, previous := twin.Ref, ""
				switch {
				case i == 0:
					ref = "refs/heads/main"
				case c.refs && i == 1:
					ref, previous = "refs/heads/main", "r1"
				case c.refs && i == 3:
					previous = "r3"
				}
				if s.Ref != ref || s.Previous != previous {
					t.Errorf("post %d is about %s after %q, want %s after %q", i, s.Ref, s.Previous, ref, previous)
				}
			}
		})
	}
}

// A post takes so long that another one is made: nobody knows which of the two arrived last.
func TestSlowPostIsSaidAgain(t *testing.T) {
	t.Parallel()
	held, release := make(chan struct{}), make(chan struct{})
	goesOn := sync.OnceFunc(func() { close(release) })
	defer goesOn()
	var second atomic.Bool
	h := &fakeHost{answer: func(context.Context, hostapi.Status) error {
		if !second.Swap(true) {
			close(held)
			<-release
		}
		return nil
	}}
	clock := new(shifted)
	b := newReporter(t, h, settings{sim: codeartstest.Options{Now: clock.Now}})
	b.outcome(t, codeartstest.Outcome{Result: "SUCCESS", After: time.Hour})
	id := b.deliverOld(t, reported(commitA))[0]
	<-held
	clock.skip(time.Hour)
	b.result(t, id, store.Success)
	b.sql(t, `UPDATE statuses SET due_at = 1`) // its lease ends
	b.said(t, h, hostapi.Success)
	goesOn()
	b.said(t, h, hostapi.Success, hostapi.Pending, hostapi.Success)
}

func TestPostThatPanics(t *testing.T) {
	t.Parallel()
	h := &fakeHost{answer: func(context.Context, hostapi.Status) error { panic("it is wrong") }}
	b := newReporter(t, h, settings{})
	id := b.deliver(t, reported(commitA))[0]
	b.result(t, id, store.Success)
	until(t, "the reason is seen", func() bool { return b.status(t, id).Reason == "buildbridge failed inside: it is wrong" })
}

func TestRateLimitOfAHost(t *testing.T) {
	t.Parallel()
	for database, path := range map[string]func() string{"SQLite": func() string { return "" }, "Postgres": func() string { return server.Database(t) }} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			h := &fakeHost{limit: mapping.RateLimit{PerSecond: 5, Burst: 1}}
			b := newReporter(t, h, settings{path: path()})
			begin := time.Now()
			for i := range 16 {
				p := reported(fmt.Sprintf("%040x", i+1))
				p.Dead = "no parameter"
				b.deliver(t, p)
			}
			until(t, "all is said", func() bool { return len(h.states()) == 16 })
			if took := time.Since(begin); took < 2800*time.Millisecond {
				t.Errorf("16 posts at 5 a second took %s", took)
			}
			b.setTargets(t, following()) // a reload allows no burst
			b.said(t, h, slices.Repeat([]hostapi.State{hostapi.Error}, 16)...)
		})
	}
}

// Replicas tell a host that fails a third of the time, sometimes after it has taken the status. At the end
// every commit has the state of its newest build.
func TestReplicasSayTheNewestState(t *testing.T) {
	t.Parallel()
	h, failed := &fakeHost{running: true}, map[string]int{} // in a row, by commit
	h.answer = func(_ context.Context, s hostapi.Status) error {
		n := rand.N(10)
		h.mu.Lock()
		if failed[s.Commit]++; failed[s.Commit] > 3 { // the waits become ever longer
			n = 9
		}
		if n >= 4 {
			failed[s.Commit] = 0
		}
		h.mu.Unlock()
		switch {
		case n < 2:
			return &hostapi.Refusal{Fate: hostapi.FateAgain, Code: "502", Reason: "bad gateway"}
		case n < 4: // it was taken, and no answer came
			h.mu.Lock()
			h.posts = append(h.posts, s)
			h.mu.Unlock()
			return &hostapi.Refusal{Fate: hostapi.FateAgain, Code: "timeout", Reason: "no answer"}
		case n < 5:
			time.Sleep(rand.N(300 * time.Millisecond))
		}
		return nil
	}
	s := settings{target: following(), follow: each(50 * time.Millisecond), hosts: []trigger.Host{{Source: "github", API: h}}}
	s.sim.BuildTime = 300 * time.Millisecond
	all := replicas(t, s)
	newest := map[string]string{} // by commit
	for i := range 60 {
		commit := fmt.Sprintf("%040x", i%12+1)
		p := reported(commit)
		p.Ref = fmt.Sprint("refs/heads/b", i)
		if i%3 == 0 {
			all[0].outcome(t, codeartstest.Outcome{Result: []string{"FAILURE", "ABORTED"}[i%2], After: time.Duration(i%5) * 200 * time.Millisecond})
		}
		id := all[i%3].deliver(t, p)
		if i%2 == 0 {
			id = all[i%3].deliverOld(t, p)
		}
		newest[commit] = id[0]
	}
	for commit, id := range newest {
		until(t, "all is said of commit "+commit, func() bool { return all[0].status(t, id).DueAt.IsZero() && all[0].status(t, id).Sent != "" })
		row, err := all[0].store.Build(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		want := map[store.Result]hostapi.State{store.Success: hostapi.Success, store.Failure: hostapi.Failure, store.Aborted: hostapi.Canceled}[row.Result]
		posts, _ := h.told()
		for _, s := range slices.Backward(posts) {
			if s.Commit != commit {
				continue
			}
			if s.State != want || !strings.Contains(s.Description, "uild "+row.BuildNumber) {
				t.Errorf("commit %s: the host shows %s (%s), want %s of build %s", commit, s.State, s.Description, want, row.BuildNumber)
			}
			break
		}
	}
}

func TestSeriesOfStatuses(t *testing.T) {
	t.Parallel()
	h := &fakeHost{answer: refuses(hostapi.Refusal{Fate: hostapi.FateAgain, Code: "not_sent", Reason: "not reached", After: time.Minute})}
	b := newReporter(t, h, settings{})
	waiting := func(n int) error {
		return testutil.GatherAndCompare(b.reg, strings.NewReader(fmt.Sprintf(`
# HELP buildbridge_statuses_waiting Statuses on commits that the code host was not told yet.
# TYPE buildbridge_statuses_waiting gauge
buildbridge_statuses_waiting{source="github"} %d
`, n)), "buildbridge_statuses_waiting")
	}
	if err := waiting(0); err != nil {
		t.Error(err)
	}
	for _, code := range []string{"200", "timeout", "not_sent"} {
		if n := b.metric(t, "buildbridge_status_posts_total", map[string]string{"source": "github", "code": code}); n != 0 {
			t.Errorf("%s: got %v, want 0 from the start", code, n)
		}
	}
	dead := reported(commitA)
	dead.Dead = "no parameter"
	b.deliver(t, dead)
	until(t, "one waits", func() bool { return waiting(1) == nil })
}
