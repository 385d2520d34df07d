package cli

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

// history is a bridge with builds that a test changes between looks.
type history struct {
	builds []admin.Build // the oldest first
	gone   map[string]bool
	broken error
	asked  int
}

func (h *history) watcher() *watcher {
	return &watcher{list: h.list, show: h.show}
}

func (h *history) list(query url.Values) (page admin.BuildPage, err error) {
	h.asked++
	limit, _ := strconv.Atoi(query.Get("limit"))
	from := len(h.builds)
	if after := query.Get("after"); after != "" {
		from, _ = strconv.Atoi(after)
	}
	for i := from - 1; i >= 0; i-- {
		b := h.builds[i]
		if s := query.Get("state"); s != "" && s != string(b.State) {
			continue
		}
		if r := query.Get("result"); r != "" && r != string(b.Result) {
			continue
		}
		if h.gone[b.ID] {
			continue
		}
		if len(page.Builds) == limit {
			page.Next = strconv.Itoa(i + 1)
			break
		}
		page.Builds = append(page.Builds, b)
	}
	return page, h.broken
}

func (h *history) show(id string) (admin.BuildDetail, error) {
	h.asked++
	for _, b := range h.builds {
		if b.ID == id && !h.gone[id] {
			return admin.BuildDetail{Build: b}, h.broken
		}
	}
	return admin.BuildDetail{}, notFoundError("no build has the id " + id)
}

// add adds builds, and gives the index of the first of them.
func (h *history) add(n int, state store.State, result store.Result) int {
	first := len(h.builds)
	for i := range n {
		h.builds = append(h.builds, admin.Build{ID: fmt.Sprintf("%06d", first+i), State: state, Result: result})
	}
	return first
}

func (h *history) set(i int, state store.State, result store.Result) {
	h.builds[i].State, h.builds[i].Result = state, result
}

func TestWatch(t *testing.T) {
	for name, test := range map[string]struct {
		before, after func(h *history)
		want          []string
	}{
		"nothing is there": {func(*history) {}, func(*history) {}, nil},
		"nothing changes":  {func(h *history) { h.add(3, store.Waiting, "") }, func(*history) {}, nil},
		"a build comes":    {func(h *history) { h.add(3, store.Started, store.Success) }, func(h *history) { h.add(1, store.Waiting, "") }, []string{"000003 waiting"}},
		"one that has ended already": {
			func(h *history) { h.add(300, store.Started, store.Success) },
			func(h *history) { h.add(1, store.Started, store.Failure) },
			[]string{"000300 failure"},
		},
		"the first one": {func(*history) {}, func(h *history) { h.add(1, store.Waiting, "") }, []string{"000000 waiting"}},
		"more than a page": {
			func(h *history) { h.add(5, store.Started, store.Success) },
			func(h *history) { h.add(2*watchPage, store.Started, store.Success) },
			named(5, 2*watchPage, "success"),
		},
		"an old one ends": {
			func(h *history) {
				h.set(h.add(2*watchPage, store.Started, store.Success), store.Started, store.Running)
			},
			func(h *history) { h.set(0, store.Started, store.Failure) },
			[]string{"000000 failure"},
		},
		"an old one is started": {
			func(h *history) { h.set(h.add(2*watchPage, store.Started, store.Success), store.Waiting, "") },
			func(h *history) { h.set(0, store.Started, store.Running) },
			[]string{"000000 running"},
		},
		"one that is not followed": {
			func(h *history) { h.add(1, store.Calling, "") },
			func(h *history) { h.set(0, store.Started, "") },
			[]string{"000000 started"},
		},
		"a late answer": {
			func(h *history) { h.set(h.add(2*watchPage, store.Started, store.Success), store.Dead, "") },
			func(h *history) { h.set(0, store.Started, store.Running) },
			[]string{"000000 running"},
		},
		"an open one is deleted": {
			func(h *history) { h.add(1, store.Waiting, "") },
			func(h *history) { h.gone = map[string]bool{"000000": true} },
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &history{}
			test.before(h)
			w := h.watcher()
			for range 2 { // the second look is like those to come
				if changed, err := w.look(); err != nil || len(changed) > 0 {
					t.Fatalf("before, %v have changed (%v)", changed, err)
				}
			}
			test.after(h)
			h.broken = errors.New("no answer")
			if _, err := w.look(); !errors.Is(err, h.broken) {
				t.Errorf("without an answer the error is %v", err)
			}
			h.broken = nil
			changed, err := w.look()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range changed {
				got = append(got, b.ID+" "+fate(&b))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if again, err := w.look(); err != nil || len(again) > 0 {
				t.Errorf("then %v have changed (%v)", again, err)
			}
		})
	}
}

// Whatever is open, a look asks for a bounded number of pages and builds, and no end is lost.
func TestWatchOfMany(t *testing.T) {
	h := &history{}
	h.add(watchOpen+3*watchAsked, store.Waiting, "")
	w := h.watcher()
	if _, err := w.look(); err != nil {
		t.Fatal(err)
	}
	for i := range h.builds {
		h.set(i, store.Started, store.Success)
	}
	ended := map[string]bool{}
	for range 3 * watchOpen / watchAsked {
		h.asked = 0
		changed, err := w.look()
		if err != nil {
			t.Fatal(err)
		}
		if most := 4*watchOpen/store.MaxPage + watchPages + watchAsked; h.asked > most {
			t.Errorf("it asked %d times, want %d at most", h.asked, most)
		}
		for _, b := range changed {
			ended[b.ID] = true
		}
	}
	if len(ended) < watchOpen {
		t.Errorf("%d have ended, want the %d that were known", len(ended), watchOpen)
	}
	if n := len(w.known); n > watchPage {
		t.Errorf("it still knows %d: %v", n, slices.Sorted(maps.Keys(w.known)))
	}
}

// Those that are asked for one by one take turns: builds that stay open hide no end.
func TestWatchTakesTurns(t *testing.T) {
	h := &history{}
	h.add(watchOpen, store.Waiting, "")
	w := h.watcher()
	if _, err := w.look(); err != nil {
		t.Fatal(err)
	}
	h.add(3*watchAsked, store.Waiting, "") // as many of the oldest are in no page now
	want := map[string]bool{}
	for _, i := range []int{0, watchAsked, 3*watchAsked - 1} {
		h.set(i, store.Started, store.Success)
		want[h.builds[i].ID] = true
	}
	for range 3 {
		changed, err := w.look()
		if err != nil {
			t.Fatal(err)
		}
		for i := range changed {
			delete(want, changed[i].ID)
		}
	}
	if len(want) > 0 {
		t.Errorf("the end of these is not told: %v", want)
	}
}

func named(first, n int, fate string) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%06d %s", first+i, fate))
	}
	return names
}
