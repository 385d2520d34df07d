package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/trigger/store"
)

// Build is a build as a list shows it.
type Build struct {
	ID           string      `json:"id"`
	Delivery     string      `json:"delivery"`
	ReceivedAt   time.Time   `json:"received_at"` // when its delivery, or the wish to replay it, arrived
	State        store.State `json:"state"`
	Reason       string      `json:"reason,omitempty"` // why it is dead, or what it waits for
	Rule         string      `json:"rule"`
	Target       string      `json:"target"`
	JobID        string      `json:"job_id"`
	Repository   string      `json:"repository"`
	Ref          string      `json:"ref"`
	Tag          string      `json:"tag,omitempty"`
	Commit       string      `json:"commit,omitempty"`
	Attempts     int         `json:"attempts"` // calls of RunJob
	CalledAt     time.Time   `json:"called_at,omitzero"`
	Deadline     time.Time   `json:"deadline"`
	DueAt        time.Time   `json:"due_at,omitzero"`  // not resolved, and worked by nobody: when it is looked at next
	Worker       string      `json:"worker,omitempty"` // not resolved, and worked now: by this process
	BuildNumber  string      `json:"build_number,omitempty"`
	Adopted      bool        `json:"adopted,omitempty"` // the number was found in the records, not answered
	StartedAt    time.Time   `json:"started_at,omitzero"`
	SupersededBy string      `json:"superseded_by,omitempty"`
	ReplayOf     string      `json:"replay_of,omitempty"`
	Error        string      `json:"error,omitempty"` // what of its row cannot be read
}

// BuildDetail is all there is of one.
type BuildDetail struct {
	Build

	TraceID string   `json:"trace_id,omitempty"` // of the delivery or the replay that it came from
	Replays []Replay `json:"replays,omitempty"`  // that repeat it, the newest first, 10 at most

	Log  []Attempt       `json:"log"`  // the last 50, the oldest first
	Body json.RawMessage `json:"body"` // of RunJob; null if it was dead on arrival
}

// Replay is a build that repeats another.
type Replay struct {
	ID          string      `json:"id"`
	State       store.State `json:"state"`
	BuildNumber string      `json:"build_number,omitempty"`
}

// Attempt is a call of RunJob, or a search for what became of one.
type Attempt struct {
	At       time.Time   `json:"at"`
	Duration float64     `json:"duration_ms"`
	Search   bool        `json:"search,omitempty"`
	Times    int         `json:"times,omitempty"` // of searches in a row, if more than one
	Outcome  store.State `json:"outcome"`
	Error    string      `json:"error,omitempty"`
}

// BuildPage is a page of builds, the newest first.
type BuildPage struct {
	Builds []Build `json:"builds"`
	Next   string  `json:"next,omitempty"` // for after; "" on the last page
}

// BuildReplays is the answer to a replay of all builds that match a filter.
type BuildReplays struct {
	Replayed []BuildReplay `json:"replayed"`
	Skipped  []Skipped     `json:"skipped,omitempty"`
	Left     int64         `json:"left"`           // that match and did not have their turn
	Next     string        `json:"next,omitempty"` // for after, while something is left
}

// ReplayCount says what a replay of all builds that match a filter would replay.
type ReplayCount struct {
	State  store.State `json:"state"` // of the builds
	Builds int64       `json:"builds"`
}

// BuildReplay is one build of many that were replayed.
type BuildReplay struct {
	ID       string `json:"id"` // of the new build
	ReplayOf string `json:"replay_of"`
}

// Skipped is a build that matched and cannot be replayed.
type Skipped struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

func newBuild(b *store.Build) Build {
	due, worker := b.DueAt, b.Worker
	switch {
	case b.State.Final(): // by hand, perhaps: neither means anything
		due, worker = time.Time{}, ""
	case worker != "": // due is when its lease ends
		due = time.Time{}
	}
	return Build{
		ID: b.ID, Delivery: b.Delivery, ReceivedAt: b.ReceivedAt, State: b.State, Reason: b.Reason,
		Rule: b.Rule, Target: b.Target, JobID: b.JobID, Repository: b.Repository, Ref: b.Ref, Tag: b.Tag, Commit: b.Commit,
		Attempts: b.Attempts, CalledAt: b.CalledAt, Deadline: b.Deadline, DueAt: due, Worker: worker,
		BuildNumber: b.BuildNumber, Adopted: b.Adopted, StartedAt: b.StartedAt,
		SupersededBy: b.SupersededBy, ReplayOf: b.ReplayOf, Error: b.Unreadable,
	}
}

func (a *api) listBuilds(c echo.Context) error {
	var f store.BuildFilter
	if _, err := buildParameters(&f).read(c.Request()); err != nil {
		return err
	}
	builds, next, err := a.o.Store.Builds(c.Request().Context(), f)
	if err != nil {
		return stored("build", "", err)
	}
	page := BuildPage{Builds: make([]Build, len(builds)), Next: next}
	for i, b := range builds {
		page.Builds[i] = newBuild(b)
	}
	return send(c, http.StatusOK, page)
}

func (a *api) showBuild(c echo.Context) error {
	id, err := id(c, "build")
	if err != nil {
		return err
	}
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	b, err := a.o.Store.Build(c.Request().Context(), id)
	if err != nil {
		return stored("build", id, err)
	}
	replays, _, err := a.o.Store.Builds(c.Request().Context(), store.BuildFilter{ReplayOf: id, Limit: 10})
	if err != nil {
		return stored("build", id, err)
	}
	detail := BuildDetail{Build: newBuild(b), Log: make([]Attempt, len(b.Log)), Body: raw(b.Body)}
	if span := b.SpanContext(); span.IsValid() {
		detail.TraceID = span.TraceID().String()
	}
	for i, at := range b.Log {
		detail.Log[i] = Attempt{
			At: at.At, Duration: float64(at.Took.Microseconds()) / 1000, Search: at.Search, Times: at.Times,
			Outcome: at.Outcome, Error: at.Error,
		}
	}
	for _, r := range replays {
		detail.Replays = append(detail.Replays, Replay{ID: r.ID, State: r.State, BuildNumber: r.BuildNumber})
	}
	return send(c, http.StatusOK, detail)
}

func (a *api) replayBuild(c echo.Context) error {
	id, err := id(c, "build")
	if err != nil {
		return err
	}
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	b, err := a.o.Builds.Replay(c.Request().Context(), id)
	if err != nil {
		return stored("build", id, err)
	}
	return send(c, http.StatusAccepted, newBuild(b))
}

// atOnce is how many of many replays are committed together.
const atOnce = 32

// replayBuilds replays all builds that match a filter, a page of them at most.
// Where no state is asked for it is the dead ones that are meant.
func (a *api) replayBuilds(c echo.Context) error {
	f, err := replayFilter(c)
	if err != nil {
		return err
	}
	if !a.bulk.TryLock() {
		return fail(http.StatusConflict, "another replay of many builds is under way")
	}
	defer a.bulk.Unlock()
	ctx := c.Request().Context()
	builds, left, next, err := a.o.Store.ToReplay(ctx, f)
	if err != nil {
		return stored("build", "", err)
	}
	answer := BuildReplays{Replayed: []BuildReplay{}, Left: left, Next: next}
	for some := range slices.Chunk(builds, atOnce) {
		if err := a.replayAll(ctx, some, &answer); err != nil {
			f := fail(http.StatusServiceUnavailable, "%d builds were replayed, then the database did not answer: ask again, and they are left out", len(answer.Replayed))
			f.err = err
			return f
		}
	}
	return send(c, http.StatusOK, answer)
}

// countReplays says what replayBuilds would replay, and changes nothing.
func (a *api) countReplays(c echo.Context) error {
	f, err := replayFilter(c)
	if err != nil {
		return err
	}
	ids, left, _, err := a.o.Store.ToReplay(c.Request().Context(), f)
	if err != nil {
		return stored("build", "", err)
	}
	return send(c, http.StatusOK, ReplayCount{State: store.State(f.State), Builds: int64(len(ids)) + left})
}

// replayFilter reads which builds are to be replayed. It has to name some.
func replayFilter(c echo.Context) (store.BuildFilter, error) {
	f := store.BuildFilter{State: string(store.Dead), Limit: store.MaxPage}
	given, err := buildParameters(&f).read(c.Request())
	if err != nil {
		return f, err
	}
	given.Del("limit")
	given.Del("after")
	if len(given) == 0 {
		return f, fail(http.StatusBadRequest, "name a filter at least: state=dead is all that are dead")
	}
	if !store.State(f.State).Final() {
		return f, fail(http.StatusBadRequest, "state: a build that is %s is not resolved, and goes on by itself", f.State)
	}
	return f, nil
}

// replayAll replays a few builds at once and adds them to the answer, in order.
// The error is one that does not concern a single build.
func (a *api) replayAll(ctx context.Context, builds []store.Replayable, answer *BuildReplays) error {
	var (
		wg    sync.WaitGroup
		again = make([]*store.Build, len(builds))
		errs  = make([]error, len(builds))
	)
	for i, b := range builds {
		wg.Go(func() { again[i], errs[i] = a.o.Builds.ReplayListed(ctx, b) })
	}
	wg.Wait()
	var broken error
	for i, b := range builds {
		if errs[i] == nil {
			answer.Replayed = append(answer.Replayed, BuildReplay{ID: again[i].ID, ReplayOf: b.ID})
			continue
		}
		f := stored("build", b.ID, errs[i])
		if f.status < http.StatusInternalServerError {
			answer.Skipped = append(answer.Skipped, Skipped{ID: b.ID, Reason: f.text})
		} else {
			broken = f
		}
	}
	return broken
}
