package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

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
	if diff := cmp.Diff(b, read(t, s, b.ID), stored()); diff != "" {
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

// stored leaves out of a comparison what a build has only in memory.
func stored() cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool { return slices.Contains([]string{".version", ".shared"}, p.Last().String()) }, cmp.Ignore())
}

// Columns are left out of the statement that inserts rows if they have their default in all of them.
func seldomIsReadBack(t *testing.T, open func() *store.Store) {
	s := open()
	seldom := []func(b *store.Build){
		func(*store.Build) {},
		func(b *store.Build) { b.Title = "Fix the cart" },
		func(b *store.Build) { b.Pusher = "octocat" },
		func(b *store.Build) { b.Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" },
		func(b *store.Build) { b.Context = "buildbridge/cart" },
		func(b *store.Build) { b.MaxRunning = 2 },
		func(b *store.Build) { b.ReplaceRunning = true },
		func(b *store.Build) { b.TagCommit = strings.Repeat("b", 40) },
		func(b *store.Build) { b.ByHand = true },
		func(b *store.Build) { b.Origin = mapping.OriginManual },
		func(b *store.Build) { b.By.Actor = "ops" },
		func(b *store.Build) { b.By.Why = "the host was down" },
	}
	var (
		deliveries  []*store.Delivery
		all, builds []*store.Build
	)
	together := delivery("together")
	for i, change := range seldom {
		d := delivery(strconv.Itoa(i))
		b, again := build(d), build(together)
		change(b)
		change(again)
		d.Title, d.Pusher, d.Origin, d.By = b.Title, b.Pusher, b.Origin, b.By
		if _, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil {
			t.Fatal(err)
		}
		deliveries, builds, all = append(deliveries, d), append(builds, again), append(all, b, again)
	}
	if _, err := s.Accept(t.Context(), together, builds); err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		got := read(t, s, b.ID)
		b.Seq, b.DueAt = got.Seq, got.DueAt
		if diff := cmp.Diff(b, got, stored()); diff != "" {
			t.Error(diff)
		}
	}
	for _, d := range append(deliveries, together) {
		got, err := s.Delivery(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		d.Verdicts = []byte{}
		if diff := cmp.Diff(d, got); diff != "" {
			t.Error(diff)
		}
	}
}

// PostgreSQL has room for 2,704 bytes in a row of an index. The longest values that decoders and rules
// let through fit, even if they cannot be compressed.
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
	held.ID, held.ReplayOf, held.ByHand, held.Newest = id, newID(), true, true
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
	ignored := *d
	ignored.ID, ignored.Outcome, ignored.Reason = newID(), store.Ignored, text(100)
	s.LogIgnored(&ignored)
	await(t, "the ignored one is written", func() bool { return second(s.Delivery(t.Context(), ignored.ID)) == nil })
}

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
