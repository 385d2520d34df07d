package trigger_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// throttling is a service that throttles until a time.
type throttling struct {
	trigger.Service
	until      time.Time
	retryAfter time.Duration

	mu            sync.Mutex
	refused       int
	started       map[string]int // by body
	first, latest time.Time      // of those started
}

func (*throttling) Clock() (now time.Time, known bool) { return time.Time{}, false }

func (s *throttling) RunJob(_ context.Context, body []byte) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.until) {
		s.refused++
		return "", &codearts.Error{Op: "run job", Fate: codearts.FateThrottled, Status: 429, RetryAfter: s.retryAfter}
	}
	if s.started == nil {
		s.started, s.first = map[string]int{}, now
	}
	s.started[string(body)]++
	s.latest = now
	return strconv.Itoa(len(s.started)), nil
}

func (s *throttling) Address() string { return fmt.Sprintf("%p", s) }

// A target that is throttled for an hour is called more and more rarely, its builds are started soon
// after the hour, and no other target is delayed. The hour is simulated: the test works builds when
// the queue would.
func TestThrottledForAnHour(t *testing.T) {
	t.Parallel()
	const builds = 8 // each is looked at again and again for an hour: more take long, and add nothing
	for phrase, c := range map[string]struct {
		retryAfter, retryFor time.Duration
		dead                 bool
		refused              int           // at the most
		late                 time.Duration // at the most
	}{
		"the service says nothing": {retryFor: 24 * time.Hour, refused: 250, late: 2 * time.Minute},
		"the service says when":    {retryFor: 24 * time.Hour, retryAfter: 10 * time.Minute, refused: 12, late: 10*time.Minute + 2*time.Second},
		"for longer than retry_for": {
			retryFor: 30 * time.Minute, refused: 180, dead: true,
		},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "test.db")
			synctest.Test(t, func(t *testing.T) {
				db, err := store.Open(t.Context(), store.Options{Database: path, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				tr, err := trigger.New(trigger.Options{Store: db, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				north, south := &throttling{until: time.Now().Add(time.Hour), retryAfter: c.retryAfter}, &throttling{}
				target := patient()
				target.RetryFor = c.retryFor
				other := target
				other.Name = "south"
				tr.SetRules([]trigger.Target{{Target: target, Service: north}, {Target: other, Service: south}}, nil, nil)
				begin := time.Now()
				var working sync.WaitGroup
				for i := range 2 * builds {
					p := push(fmt.Sprintf("%040x", i+1))
					p.Ref = fmt.Sprintf("refs/heads/b%d", i)
					if i%2 == 1 {
						p.Target = other.Name
					}
					key := strconv.Itoa(i)
					r, err := tr.Accept(t.Context(), mapping.Delivery{ID: key, Source: "github", DuplicateKey: key, ReceivedAt: time.Now()}, []mapping.Build{p})
					if err != nil {
						t.Fatal(err)
					}
					id := r.Builds[0].ID
					working.Go(func() {
						for {
							again, err := tr.Work(t.Context(), id)
							if err != nil {
								t.Error(err)
							}
							if again == 0 {
								break
							}
							time.Sleep(again)
						}
						b, err := db.Build(t.Context(), id)
						switch {
						case err != nil:
							t.Error(err)
						case c.dead && b.Target == target.Name:
							if b.State != store.Dead || !strings.Contains(b.Reason, "(429)") && !strings.Contains(b.Reason, "asked for a pause") {
								t.Errorf("got %s (%s)", b.State, b.Reason)
							}
						case b.State != store.Started:
							t.Errorf("got %s (%s)", b.State, b.Reason)
						}
					})
				}
				working.Wait()
				if late := south.latest.Sub(begin); late > time.Second {
					t.Errorf("the other target's last build was started after %s", late)
				}
				if north.refused > c.refused || north.refused < 3 {
					t.Errorf("the throttled target was asked %d times, want 3 to %d", north.refused, c.refused)
				}
				if c.dead {
					return
				}
				if late := north.latest.Sub(north.until); late > c.late {
					t.Errorf("the last build was started %s after the throttling ended, want %s", late, c.late)
				}
				for body, n := range north.started {
					if n != 1 {
						t.Errorf("%d builds of %s", n, body)
					}
				}
				if len(north.started) != builds {
					t.Errorf("%d builds were started, want %d", len(north.started), builds)
				}
			})
		})
	}
}
