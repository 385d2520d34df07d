package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"buildbridge/trigger/store"
	"buildbridge/trigger/store/postgrestest"
)

var server postgrestest.Server //nolint:gochecknoglobals // one for all tests

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
			code = 1
		}
		os.Exit(code) //nolint:forbidigo // goleak hands over the exit of TestMain
	}))
}

// The suite is what every database has to pass. open gives a store on the same
// database each time it is called; the one before is closed by then.
func suite(t *testing.T, fresh func(t *testing.T) (open func() *store.Store)) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, open func() *store.Store){
		"what is accepted is read back":                 acceptedIsReadBack,
		"the longest names are taken":                   longestNames,
		"a duplicate writes nothing":                    duplicateWritesNothing,
		"bodies are their own":                          bodiesAreTheirOwn,
		"acceptances at once all get their own answer":  manyAtOnce,
		"a bad row fails alone":                         badRowFailsAlone,
		"a bad row does not make the database ill":      badRowIsNoIllness,
		"what is accepted is worked after a restart":    workedAfterRestart,
		"of two who change a build one is stale":        oneIsStale,
		"text that is none is saved":                    noTextIsSaved,
		"a number is claimed once":                      numberIsClaimedOnce,
		"an answer beats an adoption":                   answerBeatsAdoption,
		"a call knows the numbers seen before it":       callKnowsNumbers,
		"a line keeps its order":                        orderingKeyKeepsOrder,
		"one call a service, job, and ref or commit":    oneCallAtATime,
		"a hold ends after an hour":                     holdEnds,
		"a lost call holds another commit for an hour":  lostCallHolds,
		"newest supersedes what waits, nothing else":    newestSupersedes,
		"of many newest at once the last one waits":     newestAtOnce,
		"newest spares those of its own delivery":       newestSparesItsOwn,
		"the queue is counted":                          queueIsCounted,
		"what built nothing is kept aside":              ignoredIsKept,
		"builds are listed by filter and page":          buildsAreListed,
		"deliveries are listed by filter and page":      deliveriesAreListed,
		"what failed is replayed once":                  failedIsReplayedOnce,
		"of replays at the same time one is committed":  oneReplayAtATime,
		"of delivery replays at the same time one is":   oneDeliveryReplayAtATime,
		"what is old is forgotten, unresolved is not":   oldIsForgotten,
		"what built nothing is forgotten before builds": oldIgnoredIsForgotten,
		"what is in blocks is listed":                   listedByBlocks,
		"blocks are forgotten with their rows":          blocksAreForgotten,
		"a clock that was ahead keeps nothing":          clockWasAhead,
		"large bodies are forgotten a few at a time":    largeBodiesAreForgotten,
		"bodies are forgotten once":                     bodiesAreForgottenOnce,
		"a build that waits for two is not forgotten":   waitsForTwo,
		"nothing cuts a lease short":                    leaseStays,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

func logger(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func delivery(key string) *store.Delivery {
	return &store.Delivery{
		ID: newID(), Source: "github", Provider: "github", HostID: key, DuplicateKey: key, Event: "push",
		Repository: "acme/shop", Ref: "refs/heads/main", ReceivedAt: time.Now().UTC().Truncate(time.Microsecond),
		Header: map[string]string{"X-Github-Event": "push"}, Body: []byte(`{"ref":"refs/heads/main"}`),
	}
}

func build(d *store.Delivery) *store.Build {
	return &store.Build{
		ID: newID(), Delivery: d.ID, Rule: "cart", Target: "north", JobID: "job", Repository: "acme/shop", Ref: "refs/heads/main",
		Commit: strings.Repeat("a", 40), Body: []byte(`{"job_id":"job"}`), State: store.Waiting,
		ReceivedAt: d.ReceivedAt, Deadline: d.ReceivedAt.Add(24 * time.Hour),
	}
}

// accept commits a delivery of its own with one build that change may alter.
func accept(t *testing.T, s *store.Store, change func(b *store.Build)) *store.Build {
	t.Helper()
	d := delivery(newID())
	b := build(d)
	if change != nil {
		change(b)
	}
	if of, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil || of != "" {
		t.Fatal(of, err)
	}
	return read(t, s, b.ID)
}

func read(t *testing.T, s *store.Store, id string) *store.Build {
	t.Helper()
	b, err := s.Build(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func begin(t *testing.T, s *store.Store, b *store.Build, now time.Time) store.Hold {
	t.Helper()
	if b.Service == "" {
		b.Service = b.Target // each leads to one of its own
	}
	hold, err := s.BeginCall(t.Context(), b, now)
	if err != nil {
		t.Fatal(err)
	}
	return hold
}

func save(t *testing.T, s *store.Store, b *store.Build, state store.State) {
	t.Helper()
	b.State = state
	if err := s.Save(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// due takes what is due until all of these builds were, and returns every build that
// was.
func due(t *testing.T, s *store.Store, want ...string) (got []string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		for _, target := range []string{"north", "south"} {
			builds, err := s.Due(t.Context(), target, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range builds {
				got = append(got, b.ID)
			}
		}
		if !slices.ContainsFunc(want, func(id string) bool { return !slices.Contains(got, id) }) {
			return got
		}
		if time.Now().After(end) {
			t.Fatalf("%v are due, want %v", got, want)
		}
	}
}

func acceptedIsReadBack(t *testing.T, open func() *store.Store) {
	s := open()
	d := delivery("k")
	b := build(d)
	b.Marker, b.Newest, b.ReplayOf, b.ByHand = "BRIDGE", true, newID(), true
	b.Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if of, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil || of != "" {
		t.Fatal(of, err)
	}
	gotDelivery, err := s.Delivery(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	d.Verdicts = []byte{}
	if diff := cmp.Diff(d, gotDelivery); diff != "" {
		t.Error(diff)
	}
	b.Seq = 1
	if b.DueAt = read(t, s, b.ID).DueAt; time.Since(b.DueAt).Abs() > time.Minute {
		t.Errorf("it is due at %s", b.DueAt)
	}
	if diff := cmp.Diff(b, read(t, s, b.ID), cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".version" }, cmp.Ignore())); diff != "" {
		t.Error(diff)
	}
	if builds, err := s.BuildsOf(t.Context(), d.ID); err != nil || len(builds) != 1 {
		t.Errorf("got %v, %v", builds, err)
	}
	for _, err := range []error{second(s.Build(t.Context(), "none")), second(s.Delivery(t.Context(), "none"))} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
}

// Postgres has room for 2,704 bytes in a row of an index. What decoders and the rules
// let through at the most fits, also where it cannot be compressed.
func longestNames(t *testing.T, open func() *store.Store) {
	s := open()
	text := func(bytes int) string {
		const from = "!#$%&()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz{|}~"
		text := make([]byte, bytes)
		for i := range text {
			text[i] = from[rand.IntN(len(from))]
		}
		return string(text)
	}
	const (
		ref, repository   = 1024, 512 // that a decoder takes
		name, rule        = 64, 128   // of a source, a target; of a rule
		widest            = 4         // bytes of a character
		hostID            = 256
		service, buildNos = 300 * widest, 64 * widest
	)
	longest := func(b *store.Build) {
		b.Ref, b.Repository, b.Rule, b.Commit = text(ref), text(repository), text(rule*widest), text(64)
		b.Target, b.JobID, b.Service = text(name), text(32), text(service)
	}
	d := delivery("id:" + text(hostID))
	d.Source, d.Event = text(name), text(100)
	first, held := build(d), build(d)
	longest(first)
	d.Repository, d.Ref = first.Repository, first.Ref
	id := held.ID
	*held = *first
	held.ID, held.ByHand, held.Newest = id, true, true
	if _, err := s.Accept(t.Context(), d, []*store.Build{first, held}); err != nil {
		t.Fatal(err)
	}
	where := first.Service
	first, held = read(t, s, first.ID), read(t, s, held.ID)
	first.Service, held.Service = where, where
	if hold := begin(t, s, first, time.Now()); hold != store.NoHold {
		t.Errorf("got %q", hold)
	}
	if hold := begin(t, s, held, time.Now()); hold != store.HoldCall {
		t.Errorf("got %q", hold)
	}
	first.BuildNumber = text(buildNos)
	save(t, s, first, store.Started)
	if got, err := s.Claimed(t.Context(), where, first.JobID, []string{first.BuildNumber}); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	aside := *d
	aside.ID, aside.Outcome, aside.Reason = newID(), store.Ignored, text(100)
	s.LogIgnored(&aside)
	await(t, "the ignored one is written", func() bool { return second(s.Delivery(t.Context(), aside.ID)) == nil })
}

func second[T any](_ T, err error) error { return err }

func duplicateWritesNothing(t *testing.T, open func() *store.Store) {
	s := open()
	for phrase, c := range map[string]struct {
		change    func(d *store.Delivery)
		duplicate bool
	}{
		"the same key":                {func(*store.Delivery) {}, true},
		"the same key, in the window": {func(d *store.Delivery) { d.DuplicateWindow = time.Minute }, true},
		"the same key, later":         {func(d *store.Delivery) { d.DuplicateWindow, d.ReceivedAt = time.Minute, d.ReceivedAt.Add(time.Hour) }, false},
		"another key":                 {func(d *store.Delivery) { d.DuplicateKey = newID() }, false},
		"another source":              {func(d *store.Delivery) { d.Source = "gitee" }, false},
		"no key":                      {func(d *store.Delivery) { d.DuplicateKey = "" }, false},
	} {
		t.Run(phrase, func(t *testing.T) {
			first := delivery(newID())
			if _, err := s.Accept(t.Context(), first, []*store.Build{build(first)}); err != nil {
				t.Fatal(err)
			}
			d := delivery(first.DuplicateKey)
			c.change(d)
			want := ""
			if c.duplicate {
				want = first.ID
			}
			b := build(d)
			got, err := s.Accept(t.Context(), d, []*store.Build{b})
			if err != nil || got != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
			if _, err := s.Build(t.Context(), b.ID); errors.Is(err, store.ErrNotFound) != c.duplicate {
				t.Errorf("its build: %v", err)
			}
		})
	}
}

func manyAtOnce(t *testing.T, open func() *store.Store) {
	s := open()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		ids  []string
		dups int
	)
	for i := range 400 {
		wg.Go(func() {
			d := delivery(fmt.Sprint(i / 2)) // each key twice
			b := build(d)
			b.Ref = fmt.Sprint("refs/heads/", i)
			of, err := s.Accept(t.Context(), d, []*store.Build{b})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Error(err)
			case of != "":
				dups++
			default:
				ids = append(ids, b.ID)
			}
		})
	}
	wg.Wait()
	if len(ids) != 200 || dups != 200 {
		t.Fatalf("%d accepted, %d duplicates, want 200 of each", len(ids), dups)
	}
	if got := due(t, s, ids...); len(got) != 200 {
		t.Errorf("%d are due, want 200", len(got))
	}
}

func badRowFailsAlone(t *testing.T, open func() *store.Store) {
	s := open()
	taken := accept(t, s, nil)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			d := delivery(newID())
			b := build(d)
			bad := i%8 == 0
			if bad {
				b.ID = taken.ID // the row is there already
			}
			_, err := s.Accept(t.Context(), d, []*store.Build{b})
			if (err != nil) != bad {
				t.Errorf("bad %v: got %v", bad, err)
			}
			_, err = s.Delivery(t.Context(), d.ID)
			if errors.Is(err, store.ErrNotFound) != bad {
				t.Errorf("bad %v: its delivery: %v", bad, err)
			}
		})
	}
	wg.Wait()
}

func badRowIsNoIllness(t *testing.T, open func() *store.Store) {
	s := open()
	d := delivery(newID())
	b := build(d)
	if _, err := s.Accept(t.Context(), d, []*store.Build{b, b}); err == nil {
		t.Error("the same row was added twice")
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("got %v", err)
	}
}

func workedAfterRestart(t *testing.T, open func() *store.Store) {
	s := open()
	waiting := accept(t, s, nil)
	calling := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/calling" })
	begin(t, s, calling, time.Now())
	due(t, s, waiting.ID) // the process dies before it does anything
	done := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/done" })
	begin(t, s, done, time.Now())
	done.BuildNumber = "1"
	save(t, s, done, store.Started)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	if s.Caller() == calling.Caller {
		t.Error("two processes have one name")
	}
	if got := due(t, s, waiting.ID, calling.ID); len(got) != 2 {
		t.Errorf("%d are due, want 2", len(got))
	}
	if got := read(t, s, calling.ID); got.State != store.Calling || got.Attempts != 1 {
		t.Errorf("got %+v", got)
	}
}

func oneIsStale(t *testing.T, open func() *store.Store) {
	s := open()
	one := accept(t, s, nil)
	two := read(t, s, one.ID)
	begin(t, s, one, time.Now())
	if _, err := s.BeginCall(t.Context(), two, time.Now()); !errors.Is(err, store.ErrStale) {
		t.Errorf("got %v", err)
	}
	two.State = store.Dead
	if err := s.Save(t.Context(), two); !errors.Is(err, store.ErrStale) {
		t.Errorf("got %v", err)
	}
	if got := read(t, s, one.ID); got.State != store.Calling {
		t.Errorf("got %s", got.State)
	}
}

func noTextIsSaved(t *testing.T, open func() *store.Store) {
	s := open()
	b := accept(t, s, nil)
	const bad = "a\x00b\xb4"
	b.Reason, b.BuildNumber = bad, bad
	b.Record(store.Attempt{Outcome: store.Started, Error: bad})
	save(t, s, b, store.Started)
	got := read(t, s, b.ID)
	if got.Reason != "ab\uFFFD" || got.BuildNumber != got.Reason || len(got.Log) != 1 {
		t.Errorf("got %q, %q, %+v", got.Reason, got.BuildNumber, got.Log)
	}
}

func numberIsClaimedOnce(t *testing.T, open func() *store.Store) {
	s := open()
	one := accept(t, s, nil)
	begin(t, s, one, time.Now())
	one.BuildNumber, one.StartedAt = "7", time.Now()
	save(t, s, one, store.Started)
	two := accept(t, s, nil)
	begin(t, s, two, time.Now())
	two.BuildNumber, two.Adopted, two.State = "7", true, store.Started
	if err := s.Save(t.Context(), two); !errors.Is(err, store.ErrClaimed) {
		t.Errorf("got %v", err)
	}
	got, err := s.Claimed(t.Context(), "north", "job", []string{"6", "7", "8"})
	if err != nil || !cmp.Equal(got, map[string]bool{"7": true}) {
		t.Errorf("got %v, %v", got, err)
	}
	// It is claimed whatever target led to the service.
	south := accept(t, s, func(b *store.Build) { b.Target = "south" })
	south.Service = one.Service
	begin(t, s, south, time.Now())
	south.BuildNumber, south.Adopted, south.State = "7", true, store.Started
	if err := s.Save(t.Context(), south); !errors.Is(err, store.ErrClaimed) {
		t.Errorf("by another target: %v", err)
	}
	// A number of another job is another number, and so is one of another service.
	elsewhere := accept(t, s, func(b *store.Build) { b.Target = "south" })
	begin(t, s, elsewhere, time.Now())
	elsewhere.BuildNumber, elsewhere.Adopted = "7", true
	save(t, s, elsewhere, store.Started)
	other := accept(t, s, func(b *store.Build) { b.JobID = "other" })
	other.BuildNumber, other.Adopted = "7", true
	save(t, s, other, store.Started)
	// The service counts anew: the answer is believed.
	two.Adopted = false
	save(t, s, two, store.Started)
	if got := read(t, s, one.ID); got.State != store.Started || got.BuildNumber != "7" {
		t.Errorf("got %+v", got)
	}
}

func answerBeatsAdoption(t *testing.T, open func() *store.Store) {
	s := open()
	lost := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/lost" })
	begin(t, s, lost, time.Now())
	save(t, s, lost, store.Unknown)
	answered := accept(t, s, nil)
	begin(t, s, answered, time.Now())
	lost.BuildNumber, lost.Adopted, lost.StartedAt = "7", true, time.Now().Add(time.Millisecond)
	save(t, s, lost, store.Started)
	answered.BuildNumber, answered.StartedAt = "7", time.Now()
	save(t, s, answered, store.Started)
	if got := read(t, s, lost.ID); got.State != store.Unknown || got.BuildNumber != "" {
		t.Errorf("got %+v", got)
	}
	due(t, s, lost.ID)
}

func callKnowsNumbers(t *testing.T, open func() *store.Store) {
	s := open()
	known := func(change func(b *store.Build)) int64 {
		t.Helper()
		b := accept(t, s, func(b *store.Build) {
			b.Ref, b.Commit = "refs/heads/"+b.ID, ""
			if change != nil {
				change(b)
			}
		})
		begin(t, s, b, time.Now())
		return read(t, s, b.ID).Known
	}
	see := func(change func(b *store.Build)) *store.Build {
		t.Helper()
		b := accept(t, s, func(b *store.Build) { b.Ref, b.Commit = "refs/heads/"+b.ID, "" })
		b.CalledThere = time.UnixMicro(1_700_000_000_000_001).UTC()
		begin(t, s, b, time.Now())
		if got := read(t, s, b.ID).CalledThere; !got.Equal(b.CalledThere) {
			t.Errorf("called there at %s, want %s", got, b.CalledThere)
		}
		change(b)
		save(t, s, b, b.State)
		return b
	}
	if got := known(nil); got != 0 {
		t.Errorf("before any number was seen %d is known", got)
	}
	for _, n := range []string{"9", "10", "8", "a word"} { // as numbers, not as text
		see(func(b *store.Build) { b.State, b.BuildNumber = store.Started, n })
	}
	if got := known(nil); got != 10 {
		t.Errorf("of answers %d is known, want 10", got)
	}
	lost := see(func(b *store.Build) { b.State, b.Seen = store.Unknown, 12 })
	if got := read(t, s, lost.ID).Known; got != 10 {
		t.Errorf("what was seen after a call counts as known before: %d", got)
	}
	see(func(b *store.Build) { b.State, b.BuildNumber, b.Adopted = store.Started, "11", true })
	s.Close()
	s = open()
	if got := known(nil); got != 12 {
		t.Errorf("of records %d is known after a restart, want 12", got)
	}
	if got := known(func(b *store.Build) { b.JobID = "other" }); got != 0 {
		t.Errorf("of another job %d is known", got)
	}
	if got, err := s.Answered(t.Context(), "north", "north", "job"); err != nil || got == nil || got.BuildNumber != "10" {
		t.Errorf("the last answered build is %+v, %v", got, err)
	}
	if got, err := s.Answered(t.Context(), "north", "north", "other"); err != nil || got != nil {
		t.Errorf("the last answered build of another job is %+v, %v", got, err)
	}
	// The service counts anew.
	see(func(b *store.Build) { b.State, b.BuildNumber = store.Started, "8" })
	if got := known(nil); got != 8 {
		t.Errorf("after the service counted anew %d is known, want 8", got)
	}
}

func orderingKeyKeepsOrder(t *testing.T, open func() *store.Store) {
	s := open()
	first, second, third := accept(t, s, nil), accept(t, s, nil), accept(t, s, nil)
	other := accept(t, s, func(b *store.Build) { b.Rule = "other" })
	replay := accept(t, s, func(b *store.Build) { b.ByHand = true })
	now := time.Now()
	if hold := begin(t, s, second, now); hold != store.HoldOrder {
		t.Errorf("got %q", hold)
	}
	if hold := begin(t, s, third, now); hold != store.HoldOrder {
		t.Errorf("got %q", hold)
	}
	for _, free := range []*store.Build{other, replay, first} {
		if hold := begin(t, s, free, now); hold != store.NoHold {
			t.Errorf("got %q", hold)
		}
		free.BuildNumber = free.ID
		save(t, s, free, store.Started)
	}
	got := due(t, s, second.ID)
	if slices.Contains(got, third.ID) {
		t.Error("the third is due before the second is resolved")
	}
	second = read(t, s, second.ID)
	begin(t, s, second, now)
	save(t, s, second, store.Dead)
	due(t, s, third.ID)
}

func oneCallAtATime(t *testing.T, open func() *store.Store) {
	other := func(b *store.Build) { b.Ref, b.Commit = "refs/heads/other", strings.Repeat("b", 40) }
	for phrase, c := range map[string]struct {
		change func(b *store.Build)
		want   store.Hold
	}{
		"the same, for another rule":    {func(b *store.Build) { b.Rule = "twin" }, store.HoldCall},
		"another commit of the ref":     {func(b *store.Build) { b.Rule, b.Commit = "twin", strings.Repeat("b", 40) }, store.HoldCall},
		"the commit on another ref":     {func(b *store.Build) { b.Ref = "refs/heads/other" }, store.HoldCall},
		"another commit on another ref": {other, store.NoHold},
		"a tag":                         {func(b *store.Build) { b.Ref, b.Tag, b.Commit = "refs/tags/v1", "v1", "" }, store.NoHold},
		"another job":                   {func(b *store.Build) { b.JobID = "other" }, store.NoHold},
		"another service":               {func(b *store.Build) { b.Target = "south" }, store.NoHold},
		"another target of the service": {func(b *store.Build) { b.Target, b.Rule = "south", "twin" }, store.HoldCall},
	} {
		t.Run(phrase, func(t *testing.T) {
			s := open()
			one := accept(t, s, nil)
			two := accept(t, s, c.change)
			if strings.HasSuffix(phrase, "of the service") {
				two.Service = one.Target
			}
			begin(t, s, one, time.Now())
			if hold := begin(t, s, two, time.Now()); hold != c.want {
				t.Fatalf("got %q, want %q", hold, c.want)
			}
			if c.want == store.NoHold {
				leave(t, s, one, two)
				return
			}
			save(t, s, one, store.Unknown)
			two = read(t, s, two.ID)
			if hold, err := s.Hold(t.Context(), two, time.Now()); err != nil || hold != store.HoldCall {
				t.Errorf("got %q, %v", hold, err)
			}
			due(t, s, one.ID)
			save(t, s, one, store.Waiting) // not found: it may be called again, and so may the other
			due(t, s, one.ID, two.ID)
			leave(t, s, one, two)
		})
	}
}

// leave ends the use of a store: no build is left to be in the way of the next.
func leave(t *testing.T, s *store.Store, builds ...*store.Build) {
	t.Helper()
	for _, b := range builds {
		save(t, s, read(t, s, b.ID), store.Dead)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func holdEnds(t *testing.T, open func() *store.Store) {
	s := open()
	now := time.Now()
	accept(t, s, nil)
	held := accept(t, s, nil)
	if hold := begin(t, s, held, now); hold != store.HoldOrder {
		t.Errorf("got %q", hold)
	}
	later := now.Add(store.HoldFor + time.Second)
	if hold := begin(t, s, read(t, s, held.ID), later); hold != store.NoHold {
		t.Errorf("got %q", hold)
	}
}

func lostCallHolds(t *testing.T, open func() *store.Store) {
	tag := func(b *store.Build) { b.Ref, b.Tag = "refs/tags/v1", "v1" }
	for phrase, c := range map[string]struct {
		lost, held func(b *store.Build)
		want       store.Hold // after the hour
	}{
		"another commit of the ref":       {func(*store.Build) {}, func(b *store.Build) { b.Commit = strings.Repeat("b", 40) }, store.NoHold},
		"the same commit":                 {func(*store.Build) {}, func(b *store.Build) { b.Rule = "twin" }, store.HoldCall},
		"the same tag on another commit":  {tag, func(b *store.Build) { tag(b); b.Commit = strings.Repeat("b", 40) }, store.HoldCall},
		"the same tag of unknown commits": {func(b *store.Build) { tag(b); b.Commit = "" }, func(b *store.Build) { tag(b); b.Commit = "" }, store.HoldCall},
	} {
		t.Run(phrase, func(t *testing.T) {
			s := open()
			now := time.Now()
			lost := accept(t, s, c.lost)
			begin(t, s, lost, now)
			save(t, s, lost, store.Unknown)
			held := accept(t, s, func(b *store.Build) {
				c.held(b)
				b.ByHand = true // waits for no turn
			})
			if hold := begin(t, s, held, now); hold != store.HoldCall {
				t.Errorf("got %q", hold)
			}
			if hold := begin(t, s, held, now.Add(store.HoldFor+time.Second)); hold != c.want {
				t.Errorf("after the hour: got %q, want %q", hold, c.want)
			}
			leave(t, s, lost, held)
		})
	}
}

func newestSupersedes(t *testing.T, open func() *store.Store) {
	s := open()
	onTheWire := accept(t, s, nil)
	begin(t, s, onTheWire, time.Now())
	waiting := accept(t, s, nil)
	kept := map[string]*store.Build{
		"in calling":     onTheWire,
		"a tag":          accept(t, s, func(b *store.Build) { b.Tag, b.Commit = "v1", "" }),
		"a replay":       accept(t, s, func(b *store.Build) { b.ByHand = true }),
		"another rule":   accept(t, s, func(b *store.Build) { b.Rule = "other" }),
		"another ref":    accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/other" }),
		"another job":    accept(t, s, func(b *store.Build) { b.JobID = "other" }),
		"another target": accept(t, s, func(b *store.Build) { b.Target = "south" }),
		"another repo":   accept(t, s, func(b *store.Build) { b.Repository = "acme/other" }),
	}
	newest := accept(t, s, func(b *store.Build) { b.Newest = true })
	if got := read(t, s, waiting.ID); got.State != store.Superseded || got.SupersededBy != newest.ID {
		t.Errorf("got %+v", got)
	}
	for phrase, b := range kept {
		if got := read(t, s, b.ID); got.State == store.Superseded {
			t.Errorf("%s was superseded", phrase)
		}
	}
	waiting.State = store.Started
	if err := s.Save(t.Context(), waiting); !errors.Is(err, store.ErrStale) {
		t.Errorf("a superseded build was changed: %v", err)
	}
}

func newestAtOnce(t *testing.T, open func() *store.Store) {
	s := open()
	var (
		wg  sync.WaitGroup
		ids = make([]string, 100)
	)
	for i := range ids {
		wg.Go(func() {
			d := delivery(newID())
			b := build(d)
			b.Newest, ids[i] = true, b.ID
			if _, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var last, waits *store.Build
	for _, id := range ids {
		b := read(t, s, id)
		if last == nil || b.Seq > last.Seq {
			last = b
		}
		if b.State == store.Waiting {
			if waits != nil {
				t.Fatalf("builds %d and %d both wait", waits.Seq, b.Seq)
			}
			waits = b
		}
	}
	if waits == nil || waits.ID != last.ID {
		t.Errorf("%+v waits, want the last one, %d", waits, last.Seq)
	}
}

func newestSparesItsOwn(t *testing.T, open func() *store.Store) {
	s := open()
	newest := func(b *store.Build) { b.Newest = true }
	before := accept(t, s, newest)
	d := delivery(newID())
	builds := []*store.Build{build(d), build(d)}
	for _, b := range builds {
		newest(b)
	}
	if of, err := s.Accept(t.Context(), d, builds); err != nil || of != "" {
		t.Fatal(of, err)
	}
	if got := read(t, s, before.ID); got.State != store.Superseded || got.SupersededBy != builds[0].ID {
		t.Errorf("got %+v", got)
	}
	for _, b := range builds {
		if got := read(t, s, b.ID); got.State != store.Waiting {
			t.Errorf("one of two of a delivery is %s by %s", got.State, got.SupersededBy)
		}
	}
}

func queueIsCounted(t *testing.T, open func() *store.Store) {
	s := open()
	first := accept(t, s, nil)
	accept(t, s, nil)
	calling := accept(t, s, func(b *store.Build) { b.Target = "south" })
	begin(t, s, calling, time.Now())
	dead := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/dead" })
	save(t, s, dead, store.Dead)
	got, err := s.Queue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []store.QueueStat{
		{Target: "north", State: store.Waiting, Builds: 2, Oldest: first.ReceivedAt},
		{Target: "south", State: store.Calling, Builds: 1, Oldest: calling.ReceivedAt},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if used, free, err := s.Size(t.Context()); err != nil || used <= 0 || free == 0 {
		t.Errorf("got %d, %d, %v", used, free, err)
	}
}

func ignoredIsKept(t *testing.T, open func() *store.Store) {
	s := open()
	d := delivery("k")
	d.Outcome, d.Reason, d.Verdicts = store.Ignored, "no_match", []byte(`[{"rule":"cart"}]`)
	s.LogIgnored(d)
	if err := s.Close(); err != nil { // writes what waits
		t.Fatal(err)
	}
	s = open()
	got, err := s.Delivery(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, got); diff != "" {
		t.Error(diff)
	}
	again := delivery("k") // an ignored one committed nothing: this is no duplicate of it
	if of, err := s.Accept(t.Context(), again, []*store.Build{build(again)}); err != nil || of != "" {
		t.Errorf("got %q, %v", of, err)
	}
}

func buildsAreListed(t *testing.T, open func() *store.Store) {
	s := open()
	var all []string
	for i := range 7 {
		b := accept(t, s, func(b *store.Build) {
			b.Rule, b.Ref = fmt.Sprint("rule", i%2), fmt.Sprint("refs/heads/", i)
			if i == 4 {
				b.Ref = "refs/tags/6"
			}
			b.ReceivedAt = time.Unix(int64(1000+i), 0)
		})
		if i%3 == 0 {
			save(t, s, b, store.Dead)
		}
		all = append(all, b.ID)
	}
	slices.Reverse(all)
	for phrase, c := range map[string]struct {
		filter store.BuildFilter
		want   []string
	}{
		"all of them":         {store.BuildFilter{}, all},
		"pages of two":        {store.BuildFilter{Limit: 2}, all},
		"by state":            {store.BuildFilter{State: "dead"}, []string{all[0], all[3], all[6]}},
		"by rule":             {store.BuildFilter{Rule: "rule1", Limit: 1}, []string{all[1], all[3], all[5]}},
		"by both":             {store.BuildFilter{State: "dead", Rule: "rule1"}, []string{all[3]}},
		"by ref":              {store.BuildFilter{Ref: "refs/heads/6"}, all[:1]},
		"by a tag":            {store.BuildFilter{Ref: "refs/tags/6"}, all[2:3]},
		"by a short name":     {store.BuildFilter{Ref: "6"}, []string{all[0], all[2]}},
		"by half a ref":       {store.BuildFilter{Ref: "heads/6"}, nil},
		"by time":             {store.BuildFilter{Since: time.Unix(1002, 0), Until: time.Unix(1004, 0)}, []string{all[3], all[4]}},
		"by what is not":      {store.BuildFilter{Target: "south"}, nil},
		"by what is replayed": {store.BuildFilter{ReplayOf: all[0]}, nil},
		"by what is there":    {store.BuildFilter{Target: "north", JobID: "job", Repository: "acme/shop"}, all},
	} {
		t.Run(phrase, func(t *testing.T) {
			var got []string
			for {
				page, next, err := s.Builds(t.Context(), c.filter)
				if err != nil {
					t.Fatal(err)
				}
				if c.filter.Limit > 0 && len(page) > c.filter.Limit {
					t.Errorf("%d rows on a page of %d", len(page), c.filter.Limit)
				}
				for _, b := range page {
					got = append(got, b.ID)
				}
				if next == "" {
					break
				}
				c.filter.After = next
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, _, err := s.Builds(t.Context(), store.BuildFilter{After: "x"}); !errors.Is(err, store.ErrFilter) {
		t.Errorf("got %v", err)
	}
}

func failedIsReplayedOnce(t *testing.T, open func() *store.Store) {
	s := open()
	names := map[string]string{} // of builds, by id
	add := func(name, replayOf string, state store.State) {
		t.Helper()
		b := accept(t, s, func(b *store.Build) {
			b.Ref = "refs/heads/" + name
			if replayOf != "" {
				for id, of := range names {
					if of == replayOf {
						b.ReplayOf = id
					}
				}
			}
		})
		names[b.ID] = name
		if state != store.Waiting {
			save(t, s, b, state)
		}
	}
	add("never replayed", "", store.Dead)
	add("replayed with success", "", store.Dead)
	add("its replay", "replayed with success", store.Started)
	add("being replayed", "", store.Dead)
	add("the replay under way", "being replayed", store.Waiting)
	add("replayed in vain", "", store.Dead)
	add("the first try", "replayed in vain", store.Dead)
	add("the second try", "replayed in vain", store.Dead)
	add("failed after a success", "", store.Started)
	add("the failure", "failed after a success", store.Dead)
	add("waiting", "", store.Waiting)
	for phrase, c := range map[string]struct {
		filter store.BuildFilter
		want   []string
	}{
		"all that are dead": {store.BuildFilter{State: "dead"}, []string{"never replayed", "the second try", "the failure"}},
		"in pages":          {store.BuildFilter{State: "dead", Limit: 1}, []string{"never replayed", "the second try", "the failure"}},
		"one whose replays do not fit the filter": {
			store.BuildFilter{State: "dead", Ref: "refs/heads/replayed in vain"}, []string{"replayed in vain"},
		},
		"one whose replay was started and does not fit the filter": {
			store.BuildFilter{State: "dead", Ref: "refs/heads/replayed with success"}, nil,
		},
		"what was started, and not what waits": {
			store.BuildFilter{State: "started"}, []string{"its replay", "failed after a success"},
		},
		"of those that wait none": {store.BuildFilter{State: "waiting"}, nil},
	} {
		t.Run(phrase, func(t *testing.T) {
			var got []string
			for before := len(c.want); ; {
				ids, left, next, err := s.ToReplay(t.Context(), c.filter)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range ids {
					got = append(got, names[r.ID])
				}
				if before -= len(ids); int(left) != before || (next == "") != (left == 0) {
					t.Errorf("%d are left with cursor %q, want %d", left, next, before)
				}
				if next == "" {
					break
				}
				c.filter.After = next
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}

	_, _, next, err := s.ToReplay(t.Context(), store.BuildFilter{State: "dead", Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	add("failed again at once", "never replayed", store.Dead)
	ids, left, _, err := s.ToReplay(t.Context(), store.BuildFilter{State: "dead", After: next})
	if err != nil || left != 0 || len(ids) != 1 || names[ids[0].ID] != "the failure" {
		t.Errorf("the second page has %d, %d are left (%v); want what the first page left, and no replay that failed since", len(ids), left, err)
	}
	for _, cursor := range []string{"x", "1", "1-2-3", "-", " 1-2"} {
		if _, _, _, err := s.ToReplay(t.Context(), store.BuildFilter{After: cursor}); !errors.Is(err, store.ErrFilter) {
			t.Errorf("cursor %q: got %v", cursor, err)
		}
	}
}

func oneReplayAtATime(t *testing.T, open func() *store.Store) {
	s := open()
	dead := accept(t, s, nil)
	save(t, s, dead, store.Dead)
	replay := func(last string) (*store.Build, error) {
		b := build(delivery(newID()))
		b.ReplayOf, b.ByHand = dead.ID, true
		return b, s.AddReplay(t.Context(), b, last)
	}
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		first []*store.Build
	)
	for range 8 {
		group.Go(func() {
			b, err := replay("")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				first = append(first, b)
			} else if !errors.Is(err, store.ErrReplayed) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(first) != 1 {
		t.Fatalf("%d replays were committed", len(first))
	}
	if err := s.AddReplay(t.Context(), first[0], ""); err != nil {
		t.Errorf("the same one again, after an answer that was lost: %v", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("a replay that is refused makes the database ill: %v", err)
	}
	last := func() string {
		t.Helper()
		id, err := s.LastReplay(t.Context(), dead)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if _, err := replay(last()); !errors.Is(err, store.ErrReplayed) {
		t.Errorf("a second one while the first waits: %v", err)
	}
	save(t, s, read(t, s, first[0].ID), store.Started)
	if _, err := replay(""); !errors.Is(err, store.ErrReplayed) {
		t.Errorf("one that did not know of the first: %v", err)
	}
	if _, err := replay(last()); err != nil {
		t.Errorf("a second one when the first was started: %v", err)
	}
}

func oneDeliveryReplayAtATime(t *testing.T, open func() *store.Store) {
	s := open()
	old := delivery(newID())
	if _, err := s.Accept(t.Context(), old, []*store.Build{build(old)}); err != nil {
		t.Fatal(err)
	}
	replay := func() (of string) {
		t.Helper()
		kept, err := s.Delivery(t.Context(), old.ID)
		if err != nil {
			t.Fatal(err)
		}
		var (
			group sync.WaitGroup
			built atomic.Int32
		)
		for range 8 {
			group.Go(func() {
				d := delivery("replay:" + old.ID + ":" + kept.LastReplay)
				d.ReplayOf, d.DuplicateWindow = old.ID, time.Minute
				duplicateOf, err := s.Accept(t.Context(), d, []*store.Build{build(d)})
				if err != nil {
					t.Error(err)
				}
				if duplicateOf == "" {
					built.Add(1)
				}
			})
		}
		group.Wait()
		if built.Load() != 1 {
			t.Errorf("%d of them built", built.Load())
		}
		return kept.LastReplay
	}
	if last := replay(); last != "" {
		t.Errorf("before the first there was %s", last)
	}
	if last := replay(); last == "" {
		t.Error("the first is not known")
	}
}

func deliveriesAreListed(t *testing.T, open func() *store.Store) {
	s := open()
	var all []string
	for i := range 5 {
		d := delivery(newID())
		d.Source, d.Commit = fmt.Sprint("source", i%2), fmt.Sprint("commit", i)
		d.Ref = []string{"refs/heads/main", "refs/heads/dev", "refs/tags/main", "refs/heads/x/main", ""}[i]
		if _, err := s.Accept(t.Context(), d, nil); err != nil {
			t.Fatal(err)
		}
		all = append(all, d.ID)
	}
	slices.Reverse(all)
	for phrase, c := range map[string]struct {
		filter store.DeliveryFilter
		want   []string
	}{
		"pages of two": {store.DeliveryFilter{Limit: 2}, all},
		"by source":    {store.DeliveryFilter{Source: "source1"}, []string{all[1], all[3]}},
		"by outcome":   {store.DeliveryFilter{Outcome: "ignored"}, nil},
		"by time":      {store.DeliveryFilter{Until: time.Unix(1000, 0)}, nil},
		"by ref":       {store.DeliveryFilter{Ref: "refs/heads/main"}, all[4:]},
		"by a name":    {store.DeliveryFilter{Ref: "main"}, []string{all[2], all[4]}},
	} {
		t.Run(phrase, func(t *testing.T) {
			var got []string
			for {
				page, next, err := s.Deliveries(t.Context(), c.filter)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range page {
					if want := fmt.Sprint("commit", 4-slices.Index(all, d.ID)); d.Commit != want {
						t.Errorf("the commit is %q, want %q", d.Commit, want)
					}
					got = append(got, d.ID)
				}
				if next == "" {
					break
				}
				c.filter.After = next
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func oldIsForgotten(t *testing.T, open func() *store.Store) {
	s := open()
	old := func(b *store.Build) { b.ReceivedAt = b.ReceivedAt.Add(-100 * time.Hour) }
	waiting := accept(t, s, old)
	done := accept(t, s, func(b *store.Build) { old(b); b.Ref = "refs/heads/done" })
	save(t, s, done, store.Started)
	recent := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/recent" })
	save(t, s, recent, store.Started)
	prune := func(r store.Retention, now time.Time) {
		t.Helper()
		for {
			n, err := s.Prune(t.Context(), r, now)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return
			}
		}
	}
	prune(store.Retention{}, time.Now().Add(1000*time.Hour)) // for ever
	prune(store.Retention{Builds: 50 * time.Hour, Deliveries: time.Hour}, time.Now())
	for b, want := range map[*store.Build]bool{waiting: true, done: false, recent: true} {
		if _, err := s.Build(t.Context(), b.ID); errors.Is(err, store.ErrNotFound) == want {
			t.Errorf("%s: %v", b.Ref, err)
		}
	}
	later := time.Now().Add(60 * time.Hour)
	prune(store.Retention{Bodies: 10 * time.Hour, Deliveries: time.Hour, Builds: 50 * time.Hour}, later)
	if d, err := s.Delivery(t.Context(), waiting.Delivery); err != nil || len(d.Body) == 0 {
		t.Errorf("the delivery of a build that waits lost its body: %v", err)
	}
	if _, err := s.Delivery(t.Context(), done.Delivery); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	save(t, s, waiting, store.Dead)
	prune(store.Retention{Bodies: 10 * time.Hour}, later)
	if d, err := s.Delivery(t.Context(), waiting.Delivery); err != nil || len(d.Body) != 0 {
		t.Errorf("got %v, %v", d, err)
	}
}

// Deliveries that built nothing do not stay as long as builds do.
func oldIgnoredIsForgotten(t *testing.T, open func() *store.Store) {
	s := open()
	now := time.Now()
	kept := map[string]bool{}
	for id, age := range map[string]time.Duration{"old": 60 * time.Hour, "recent": 40 * time.Hour} {
		d := delivery(id)
		d.ID, d.Outcome, d.ReceivedAt = id, store.Ignored, now.Add(-age)
		s.LogIgnored(d)
		kept[id] = age < 50*time.Hour
	}
	built := delivery("built")
	built.ReceivedAt = now.Add(-60 * time.Hour)
	if of, err := s.Accept(t.Context(), built, []*store.Build{build(built)}); err != nil || of != "" {
		t.Fatal(of, err)
	}
	kept[built.ID] = true
	if err := s.Close(); err != nil { // writes what waits
		t.Fatal(err)
	}
	s = open()
	for n := int64(1); n > 0; {
		var err error
		if n, err = s.Prune(t.Context(), store.Retention{Deliveries: 50 * time.Hour, Builds: 90 * time.Hour}, now); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range kept {
		if _, err := s.Delivery(t.Context(), id); (err == nil) != want {
			t.Errorf("delivery %s: %v", id, err)
		}
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Builds that wait for a call because of its ref and for another because of its
// commit are woken by one of them, and park again because of the other.
func waitsForTwo(t *testing.T, open func() *store.Store) {
	s := open()
	now := time.Now()
	ref := accept(t, s, nil)
	commit := accept(t, s, func(b *store.Build) { b.Ref, b.Commit = "refs/heads/other", "c2" })
	begin(t, s, ref, now)
	begin(t, s, commit, now)
	var held []*store.Build
	for i := range 6 {
		held = append(held, accept(t, s, func(b *store.Build) {
			b.Rule, b.Commit = fmt.Sprint("rule", i), "c2"
			if i == 5 {
				b.Commit = "c3"
			}
		}))
		if hold := begin(t, s, held[i], now); hold != store.HoldCall {
			t.Fatalf("got %q", hold)
		}
	}
	save(t, s, ref, store.Started)
	for _, b := range held[:5] {
		begin(t, s, read(t, s, b.ID), now) // held by the commit now
	}
	if at := read(t, s, held[5].ID).DueAt; at.After(time.Now().Add(time.Minute)) { // where no other build wakes it
		t.Errorf("the last is due at %s", at)
	}
}

// What a build waited for is resolved when the build is taken already: nobody else takes
// it then. And a call has half a lease at least, however late it begins.
func leaseStays(t *testing.T, open func() *store.Store) {
	s := open()
	now := time.Now()
	expire := func(b *store.Build) {
		t.Helper()
		if err := store.MakeDue(t.Context(), s, b.ID); err != nil {
			t.Fatal(err)
		}
	}
	left := func(b *store.Build) {
		t.Helper()
		if left := time.Until(read(t, s, b.ID).DueAt); left < store.Lease/2-5*time.Second {
			t.Errorf("its lease ends in %s", left)
		}
	}
	first, next := accept(t, s, nil), accept(t, s, nil)
	due(t, s, first.ID, next.ID)
	begin(t, s, first, now)
	if hold := begin(t, s, next, now); hold != store.HoldOrder {
		t.Fatalf("got %q", hold)
	}
	expire(next)
	due(t, s, next.ID)
	save(t, s, first, store.Started)
	left(next)

	expire(next)
	if hold := begin(t, s, read(t, s, next.ID), now); hold != store.NoHold {
		t.Fatalf("got %q", hold)
	}
	left(next)
}

// Bodies are compressed in memory that is used again: each delivery has its own
// all the same.
func bodiesAreTheirOwn(t *testing.T, open func() *store.Store) {
	s := open()
	want := map[string]string{}
	for i := range 50 {
		d := delivery(newID())
		d.Body = []byte(`{"ref":"` + strings.Repeat(fmt.Sprintf("%03d", i), 100) + `"}`)
		want[d.ID] = string(d.Body)
		s.LogIgnored(d)
		clear(d.Body) // it is the next call's
	}
	if err := s.Close(); err != nil { // writes them
		t.Fatal(err)
	}
	s = open()
	for id, body := range want {
		d, err := s.Delivery(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if string(d.Body) != body {
			t.Fatalf("delivery %s has the body %.40s, want %.40s", id, d.Body, body)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
