package trigger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/store"
)

// refsHost is a code host with the refs of its repositories.
type refsHost struct {
	fakeHost

	mu    sync.Mutex
	refs  map[string]map[string]string // commits, by repository and ref
	err   map[string]error             // by repository; "" for all
	looks map[string]int
	// during is called before the refs are read, after the look has begun.
	during func()
	// onItsWay is closed when the delivery of the ref that was set last has come; nil for none. Until then
	// one look may show the ref. A second would rightly take its push for missed: it waits.
	onItsWay chan struct{}
	shown    bool // a look has shown it
}

func (h *refsHost) TakesStatuses() bool { return false }

func (h *refsHost) Refs(_ context.Context, repository string, each func(hostapi.Ref) error) error {
	h.mu.Lock()
	h.looks[repository]++
	err := h.err[repository]
	if err == nil {
		err = h.err[""]
	}
	during := h.during
	h.mu.Unlock()
	if during != nil {
		during()
	}
	h.mu.Lock()
	for h.onItsWay != nil && h.shown {
		comes := h.onItsWay
		h.mu.Unlock()
		<-comes
		h.mu.Lock()
	}
	h.shown = h.onItsWay != nil
	refs := maps.Clone(h.refs[repository])
	h.mu.Unlock()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		if err := each(hostapi.Ref{Name: name, Commit: refs[name]}); err != nil {
			return err
		}
	}
	return nil
}

func (h *refsHost) set(repository, ref, commit string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refs[repository] == nil {
		h.refs[repository] = map[string]string{}
	}
	if h.refs[repository][ref] = commit; commit == "" {
		delete(h.refs[repository], ref)
	}
}

// setEarly sets a ref whose delivery comes later, and is over when comes is called.
func (h *refsHost) setEarly(repository, ref, commit string) (comes func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	way := make(chan struct{})
	h.refs[repository][ref], h.onItsWay, h.shown = commit, way, false
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.onItsWay = nil
		close(way)
	})
}

func (h *refsHost) fail(repository string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err[repository] = err
}

func (h *refsHost) looked(repository string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.looks[repository]
}

const every = 40 * time.Millisecond

// catchUpRules have one source, which catches up so, with some texts replaced.
func catchUpRules(t *testing.T, catchUp string, replace ...string) *mapping.Ruleset {
	t.Helper()
	text := strings.NewReplacer(replace...).Replace(`version: 1
sources: {github: {provider: github, insecure: true, api: {token: {env: TOKEN}, url: 'https://git.example.com'}` + catchUp + `}}
targets: {north: {region: cn-north-4, credentials: {token: {env: TOKEN}}}}
rules:
  - {name: cart, repository: acme/shop, when: {push: {branches: [main, 'release/**']}, tag: {tags: ['v*']}}, jobs: [{job_id: ` + job + `}]}
  - {name: docs, repository: 'acme/*', when: {push: {branches: [main], paths: ['docs/**'], unknown_paths: skip}}, jobs: [{job_id: ` + job2 + `}]}
`)
	rules, _, err := mapping.Parse([]mapping.Provider{{Name: "github"}}, mapping.File{Name: "rules.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	if source, _ := rules.Source("github"); source.CatchUp != nil {
		source.CatchUp.Every = every // less than rules may say
	}
	return rules
}

func newCatchUp(t *testing.T, missed string, s settings) (*testTrigger, *refsHost) {
	t.Helper()
	h := &refsHost{refs: map[string]map[string]string{}, err: map[string]error{}, looks: map[string]int{}}
	h.set("acme/shop", "refs/heads/main", commitN(0))
	h.set("acme/shop", "refs/heads/release/1", commitN(0))
	h.set("acme/shop", "refs/heads/other", commitN(0))
	h.set("acme/shop", "refs/tags/v1", commitN(0))
	if s.shared == nil {
		s.hosts = []trigger.Host{{Source: "github", API: h}}
	}
	s.rules = catchUpRules(t, `, catch_up: {missed: `+missed+`}`)
	b := newTestTrigger(t, s)
	return b, h
}

func commitN(n int) string { return fmt.Sprintf("%040x", n+1) }

// moreLooks waits until that many looks have begun and ended.
func (h *refsHost) moreLooks(t *testing.T, n int) {
	t.Helper()
	before := h.looked("acme/shop")
	until(t, "the refs are looked at", func() bool { return h.looked("acme/shop") > before+n })
}

// arrive is a delivery of a push to a branch.
func (b *testTrigger) arrive(t *testing.T, branch, commit, before string, files ...string) mapping.Receipt {
	t.Helper()
	e := mapping.Event{
		Source: "github", Provider: "github", Kind: mapping.Push, Ref: "refs/heads/" + branch, Branch: branch, Commit: commit, Before: before,
		Files: files, FilesComplete: true, Origin: mapping.OriginWebhook,
	}
	e.SetRepository("acme/shop")
	id := uuid.Must(uuid.NewV7()).String()
	d := mapping.Delivery{
		ID: id, Source: "github", Provider: "github", HostID: id, DuplicateKey: id, Event: "push", ReceivedAt: time.Now(),
		Body: []byte("{}"), Events: []mapping.Event{e},
	}
	builds := b.rules.Decide(&e)
	if len(builds) == 0 {
		b.Ignore(d, mapping.ReasonNoMatch, nil)
		return mapping.Receipt{}
	}
	r, err := b.Accept(t.Context(), d, builds)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b *testTrigger) caught(t *testing.T) []*store.Delivery {
	t.Helper()
	all, _, err := b.store.Deliveries(t.Context(), store.DeliveryFilter{Origin: string(mapping.OriginCatchUp)})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMissedPushesAreBuilt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s settings, _ string) {
		t.Helper()
		var log said
		s.stopped, s.log = false, &log
		b, h := newCatchUp(t, "build", s)
		h.moreLooks(t, 3)
		if got := b.caught(t); len(got) != 0 {
			t.Fatalf("the first look builds: %v", got)
		}
		h.set("acme/shop", "refs/heads/main", commitN(1))
		h.set("acme/shop", "refs/heads/other", commitN(1))     // no rule builds it
		h.set("acme/shop", "refs/heads/release/2", commitN(2)) // a new branch
		h.set("acme/shop", "refs/heads/release/1", "")         // deleted
		h.set("acme/shop", "refs/tags/v2", commitN(3))
		until(t, "all that was missed is built", func() bool { return len(b.caught(t)) == 3 })
		h.moreLooks(t, 5)
		until(t, "all are started", func() bool { return len(b.runs(t)) == 3 })
		runs := b.runs(t)
		slices.Sort(runs)
		if want := []string{commitN(1), commitN(2), "v2"}; !slices.Equal(runs, want) {
			t.Errorf("built %v, want %v", runs, want)
		}
		if got := b.metric(t, "buildbridge_missed_refs_total", map[string]string{"source": "github"}); got != 3 {
			t.Errorf("missed_refs_total is %v", got)
		}
		if n := log.count("push was missed"); n != 3 {
			t.Errorf("%d lines", n)
		}
		d, err := b.store.Delivery(t.Context(), b.caught(t)[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		var e mapping.Event
		if err := json.Unmarshal(d.Body, &e); err != nil || e.Repository != "acme/shop" || e.Ref != d.Ref || e.Origin != mapping.OriginCatchUp {
			t.Errorf("the body is %s: %v", d.Body, err)
		}

		// The deliveries come late, after all: also of a push before.
		r := b.arrive(t, "main", commitN(9), commitN(0), "src/a.go")
		if r.Builds[0].SupersededBy == "" {
			t.Errorf("an older push is built after a newer one: %+v", r)
		}
		r = b.arrive(t, "main", commitN(1), commitN(9), "src/a.go", "docs/a.md")
		if len(r.Builds) != 2 || r.Builds[0].SupersededBy == "" || r.Builds[1].SupersededBy != "" {
			t.Errorf("got %+v, want the second only: catch-up could not know its files", r)
		}
		if !strings.Contains(r.Builds[0].Reason, "built already by catch-up, as build "+r.Builds[0].SupersededBy) {
			t.Errorf("the reason is %q", r.Builds[0].Reason)
		}
		// The branch moves on, and is set back.
		b.arrive(t, "main", commitN(4), commitN(1), "src/a.go")
		h.set("acme/shop", "refs/heads/main", commitN(4))
		h.moreLooks(t, 3)
		r = b.arrive(t, "main", commitN(1), commitN(4), "src/a.go")
		h.set("acme/shop", "refs/heads/main", commitN(1))
		if r.Builds[0].SupersededBy != "" {
			t.Errorf("a branch that was set back is not built: %+v", r)
		}
		h.moreLooks(t, 3)
		if got := b.caught(t); len(got) != 3 {
			t.Errorf("%d were caught, want 3", len(got))
		}
	})
}

// A branch is deleted and made anew, between two looks, after catch-up has built it: its delivery
// could be that of an older push that comes late. The next looks know better.
// A push that is delivered while a look reads the refs is built once, also if the push before it
// was missed.
func TestDeliveryDuringALook(t *testing.T) {
	b, h := newCatchUp(t, "build", settings{})
	h.moreLooks(t, 2)
	delivered := make(chan struct{})
	h.mu.Lock()
	h.during = func() {
		rows, err := b.store.MissedOf(t.Context(), "github", "acme/shop")
		if err != nil || len(rows) == 0 {
			return
		}
		select {
		case <-delivered:
		default:
			h.set("acme/shop", "refs/heads/main", commitN(2))
			b.arrive(t, "main", commitN(2), commitN(1))
			close(delivered)
		}
	}
	h.mu.Unlock()
	h.set("acme/shop", "refs/heads/main", commitN(1))
	<-delivered
	h.moreLooks(t, 5)
	if caught := b.caught(t); len(caught) > 0 {
		t.Errorf("catch-up built %s of %s, whose delivery came", caught[0].Commit, caught[0].Ref)
	}
}

func TestBranchIsMadeAnew(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s settings, _ string) {
		t.Helper()
		s.stopped = false
		b, h := newCatchUp(t, "build", s)
		h.moreLooks(t, 3)
		const none = "0000000000000000000000000000000000000000"
		h.set("acme/shop", "refs/heads/release/9", commitN(1))
		until(t, "it is built", func() bool { return len(b.runs(t)) == 1 })
		if r := b.arrive(t, "release/9", commitN(2), none, "src/a.go"); r.Builds[0].SupersededBy == "" {
			t.Errorf("an older push is built after a newer one: %+v", r)
		}
		h.set("acme/shop", "refs/heads/release/9", commitN(2))
		until(t, "it is built", func() bool { return len(b.runs(t)) == 2 })
		h.moreLooks(t, 5)
		if runs := b.runs(t); len(runs) != 2 || runs[1] != commitN(2) {
			t.Errorf("built %v", runs)
		}
	})
}

func TestMissedPushesAreReported(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s settings, _ string) {
		t.Helper()
		var log said
		s.stopped, s.log = false, &log
		b, h := newCatchUp(t, "report", s)
		h.moreLooks(t, 3)
		h.set("acme/shop", "refs/heads/main", commitN(1))
		until(t, "it is reported", func() bool { return len(b.caught(t)) == 1 })
		h.moreLooks(t, 5)
		got := b.caught(t)
		if len(got) != 1 || got[0].Outcome != store.Ignored || got[0].Reason != "missed" || got[0].Commit != commitN(1) {
			t.Errorf("got %+v", got[0])
		}
		if n := log.count("push was missed"); n != 1 {
			t.Errorf("%d lines", n)
		}
		if runs := b.runs(t); len(runs) != 0 {
			t.Errorf("built %v", runs)
		}
		missed := func() int {
			all, _, err := b.store.Missed(t.Context(), store.MissedFilter{})
			if err != nil {
				t.Fatal(err)
			}
			return len(all)
		}
		if missed() != 1 {
			t.Error("it is not listed")
		}
		r := b.arrive(t, "main", commitN(1), commitN(0), "src/a.go")
		if r.Builds[0].SupersededBy != "" {
			t.Errorf("got %+v", r)
		}
		until(t, "it is not missed any more", func() bool { return missed() == 0 })
	})
}

func TestDeliveredPushesAreNotMissed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s settings, _ string) {
		t.Helper()
		s.stopped = false
		b, h := newCatchUp(t, "build", s)
		h.moreLooks(t, 3)
		for i := 1; i < 30; i++ { // before, while and after the refs are looked at
			if i%2 == 0 {
				b.arrive(t, "main", commitN(i), commitN(i-1), "src/a.go")
				h.set("acme/shop", "refs/heads/main", commitN(i))
				continue
			}
			comes := h.setEarly("acme/shop", "refs/heads/main", commitN(i))
			defer comes() // if it cannot be accepted: a look may wait for it
			b.arrive(t, "main", commitN(i), commitN(i-1), "src/a.go")
			comes()
		}
		h.moreLooks(t, 6)
		if got := b.caught(t); len(got) != 0 {
			t.Errorf("%d were caught: %+v", len(got), got[0])
		}
	})
}

// A push that its files keep from being built is none that was missed.
func TestIgnoredPushesAreNotMissed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s settings, _ string) {
		t.Helper()
		s.stopped = false
		b, h := newCatchUp(t, "build", s)
		h.moreLooks(t, 3)
		e := func(branch string) mapping.Event {
			e := mapping.Event{Kind: mapping.Push, Ref: "refs/heads/" + branch, Branch: branch, Commit: commitN(1)}
			e.SetRepository("acme/shop")
			return e
		}
		id := uuid.Must(uuid.NewV7()).String()
		b.Ignore(mapping.Delivery{
			ID: id, Source: "github", Event: "push", ReceivedAt: time.Now(), Events: []mapping.Event{e("x"), e("main"), e("release/1")},
		}, mapping.ReasonNoMatch, nil)
		until(t, "the ignored log is written", func() bool { // the looks of this test are quicker
			_, err := b.store.Delivery(t.Context(), id)
			return err == nil
		})
		for _, branch := range []string{"main", "release/1"} {
			h.set("acme/shop", "refs/heads/"+branch, commitN(1))
		}
		h.moreLooks(t, 6)
		if got := b.caught(t); len(got) != 0 {
			t.Errorf("%d were caught: %+v", len(got), got[0])
		}
	})
}

// What a delivery named may be forgotten: what is found then is only reported.
func TestIgnoredLogForgets(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s settings, _ string) {
		t.Helper()
		var log said
		s.stopped, s.ignored, s.log = false, 1, &log
		b, h := newCatchUp(t, "build", s)
		h.moreLooks(t, 3)
		for _, branch := range []string{"main", "x"} { // the rules ignore both
			e := mapping.Event{Kind: mapping.Push, Ref: "refs/heads/" + branch, Branch: branch, Commit: commitN(1)}
			e.SetRepository("acme/shop")
			id := uuid.Must(uuid.NewV7()).String()
			b.Ignore(mapping.Delivery{ID: id, Source: "github", Event: "push", ReceivedAt: time.Now(), Events: []mapping.Event{e}}, mapping.ReasonNoMatch, nil)
			until(t, "it is in the ignored log", func() bool {
				_, err := b.store.Delivery(t.Context(), id)
				return err == nil
			})
		}
		h.set("acme/shop", "refs/heads/main", commitN(1))
		until(t, "it is reported", func() bool { return log.count("push was missed.*not built: the ignored log does not reach back") == 1 })
		h.moreLooks(t, 5)
		if runs := b.runs(t); len(runs) != 0 {
			t.Errorf("built %v", runs)
		}
		if missed, _, err := b.store.Missed(t.Context(), store.MissedFilter{}); err != nil || len(missed) != 1 || missed[0].Built {
			t.Error(missed, err)
		}
	})
}

func TestRefsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		err     error
		outcome string
		line    string
		most    int // looks
	}{
		"the repository is gone":    {&hostapi.Refusal{Fate: hostapi.FateFinal, Code: "404", Reason: "no such repository"}, "refused", "left out, and tried again later", 1},
		"the token expires":         {&hostapi.Refusal{Fate: hostapi.FateSource, Code: "401", Reason: "the token is wrong"}, "failed", "all repositories of the source wait", 5},
		"the host is down":          {&hostapi.Refusal{Code: hostapi.CodeNotSent, Reason: "connection refused"}, "failed", "all repositories of the source wait", 5},
		"the host never answers":    {&hostapi.Refusal{Code: hostapi.CodeTimeout, Reason: "no answer"}, "failed", "refs cannot be read, it is tried again", 20},
		"what it answers is no git": {errors.New("gibberish"), "failed", "refs cannot be read, it is tried again", 20},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			var log said
			b, h := newCatchUp(t, "build", settings{log: &log})
			h.moreLooks(t, 2)
			before := h.looked("acme/shop")
			h.fail("acme/shop", c.err)
			h.set("acme/shop", "refs/heads/main", commitN(1)) // nobody knows yet
			labels := map[string]string{"source": "github", "outcome": c.outcome}
			until(t, "it fails", func() bool { return b.metric(t, "buildbridge_catch_up_looks_total", labels) >= 1 })
			quiet := time.NewTimer(20 * every)
			defer quiet.Stop()
			<-quiet.C
			if n := h.looked("acme/shop") - before; n > c.most+1 {
				t.Errorf("%d looks, want %d at most", n, c.most)
			}
			if n := log.count("level=WARN.*" + c.line); n != 1 {
				t.Errorf("%d lines %q", n, c.line)
			}
			if got := b.caught(t); len(got) != 0 {
				t.Errorf("built %v", got)
			}
			h.fail("acme/shop", nil)
			b.sql(t, `UPDATE repositories SET due_at = 1`)
			b.again(t, h)
			until(t, "what was missed meanwhile is built", func() bool { return len(b.runs(t)) == 1 })
		})
	}
}

// again takes the rules with a new client of the host, as a reload with another token does.
func (b *testTrigger) again(t *testing.T, h *refsHost) {
	t.Helper()
	b.hosts = []trigger.Host{{Source: "github", API: &anotherHost{h}}}
	b.setTargets(t, patient())
}

type anotherHost struct{ *refsHost }

// Every replica looks, and each push is built once, by whoever is the first.
func TestReplicasCatchUpOnce(t *testing.T) {
	t.Parallel()
	h := &refsHost{refs: map[string]map[string]string{}, err: map[string]error{}, looks: map[string]int{}}
	h.set("acme/shop", "refs/heads/main", commitN(0))
	all := replicas(t, settings{
		hosts: []trigger.Host{{Source: "github", API: h}}, rules: catchUpRules(t, `, catch_up: {missed: build}`),
	})
	h.moreLooks(t, 3)
	want := 0
	for i := 1; i <= 40; i++ {
		branch := fmt.Sprint("release/", i)
		h.set("acme/shop", "refs/heads/"+branch, commitN(i))
		want++
		if i%2 == 0 { // its delivery comes, sooner or later
			all[i%3].loops.Go(func() {
				late := time.NewTimer(time.Duration(i) * 5 * time.Millisecond)
				defer late.Stop()
				<-late.C
				all[i%3].arrive(t, branch, commitN(i), "", "src/a.go")
			})
		}
	}
	for _, b := range all {
		b.loops.Wait()
	}
	until(t, "all are started", func() bool { return len(all[0].runs(t)) >= want })
	h.moreLooks(t, 5)
	counts := map[string]int{}
	for _, run := range all[0].runs(t) {
		counts[run]++
	}
	for commit, n := range counts {
		if n != 1 {
			t.Errorf("commit %s is built %d times", commit, n)
		}
	}
	if len(counts) != want {
		t.Errorf("%d are built, want %d", len(counts), want)
	}
}

// A host shows some of its refs for a while, or none. When it shows all again, these are no pushes.
func TestRefsComeBack(t *testing.T) {
	t.Parallel()
	for phrase, most := range map[string]int{"some": 1, "none": 0} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b, h := newCatchUp(t, "build", settings{})
			h.moreLooks(t, 2)
			h.mu.Lock()
			all := maps.Clone(h.refs["acme/shop"])
			for ref := range all {
				if len(h.refs["acme/shop"]) > most {
					delete(h.refs["acme/shop"], ref)
				}
			}
			h.mu.Unlock()
			if most == 0 {
				until(t, "no ref is a failed look, which is saved", func() bool {
					all, err := b.store.Repositories(t.Context())
					return err == nil && len(all) == 1 && all[0].Failures > 0
				})
				if n := b.metric(t, "buildbridge_catch_up_looks_total", map[string]string{"source": "github", "outcome": "refused"}); n < 1 {
					t.Errorf("%v looks were refused", n)
				}
			} else {
				h.moreLooks(t, 3)
			}
			h.mu.Lock()
			h.refs["acme/shop"] = all
			h.mu.Unlock()
			h.set("acme/shop", "refs/heads/release/3", commitN(3))
			b.sql(t, `UPDATE repositories SET due_at = 1`)
			b.again(t, h)
			until(t, "what is new is built", func() bool { return len(b.caught(t)) > 0 })
			h.moreLooks(t, 3)
			if got := b.caught(t); len(got) != 1 || got[0].Commit != commitN(3) {
				t.Errorf("%d are built, the first is %+v", len(got), got[0])
			}
		})
	}
}

func TestRepositoriesThatDelivered(t *testing.T) {
	t.Parallel()
	b, h := newCatchUp(t, "report", settings{})
	h.moreLooks(t, 1)
	h.set("acme/other", "refs/heads/main", commitN(0))
	e := mapping.Event{Kind: mapping.Push, Ref: "refs/heads/main", Branch: "main", Commit: commitN(0)}
	for _, name := range []string{"acme/other", "none/names-it"} {
		e.SetRepository(name)
		b.Ignore(mapping.Delivery{ID: uuid.Must(uuid.NewV7()).String(), Source: "github", ReceivedAt: time.Now(), Events: []mapping.Event{e}}, mapping.ReasonNoMatch, nil)
	}
	b.setTargets(t, patient()) // the leader looks for repositories after a reload, too
	b.rules = catchUpRules(t, `, catch_up: {}`)
	until(t, "a repository that delivered is looked at", func() bool {
		b.setTargets(t, patient())
		return h.looked("acme/other") > 0
	})
	if h.looked("none/names-it") > 0 {
		t.Error("a repository is looked at that no rule names")
	}
	// Rules may name it long after it delivered.
	h.set("none/names-it", "refs/heads/main", commitN(0))
	b.rules = catchUpRules(t, `, catch_up: {}`, "'acme/*'", "'none/*'")
	until(t, "a repository that delivered before is looked at", func() bool {
		b.setTargets(t, patient())
		return h.looked("none/names-it") > 0
	})
	b.rules = catchUpRules(t, "")
	b.setTargets(t, patient())
	until(t, "none is looked at any more", func() bool {
		all, err := b.store.Repositories(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(all, func(r *store.Repository) bool { return !r.DueAt.IsZero() })
	})
}

// Refs that cannot be read are shown where people look first.
func TestOverviewOfCatchUpThatFails(t *testing.T) {
	t.Parallel()
	b, h := newCatchUp(t, "report", settings{})
	h.fail("", &hostapi.Refusal{Fate: hostapi.FateSource, Code: "401", Reason: "the token is wrong"})
	until(t, "status says so", func() bool {
		o, err := b.Overview(t.Context())
		return err == nil && slices.ContainsFunc(o.Faults, func(f store.Fault) bool {
			return f.About == store.FaultOfSource && f.Name == "github" && strings.Contains(f.Says, "the token is wrong") &&
				strings.HasPrefix(f.Says, "source github: the refs of 1 repositories cannot be read")
		})
	})
	until(t, "the metric says so", func() bool { return b.series(t, "buildbridge_catch_up_repositories")["github failing"] == 1 })
}
