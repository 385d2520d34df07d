package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/mapping"
	"buildbridge/mapping/observe"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

// Build is a build as a list shows it.
type Build struct {
	ID           string         `json:"id"`
	Delivery     string         `json:"delivery"`
	ReceivedAt   time.Time      `json:"received_at"` // when its delivery arrived, or its replay was asked for
	State        store.State    `json:"state"`
	Reason       string         `json:"reason,omitempty"` // why it is dead, or what it waits for
	Rule         string         `json:"rule"`
	Target       string         `json:"target"`
	Action       mapping.Action `json:"action,omitzero"`
	JobID        string         `json:"job_id"`               // of the job, or of the pipeline
	ProjectID    string         `json:"project_id,omitempty"` // the CodeArts project of a pipeline
	Repository   string         `json:"repository"`
	Ref          string         `json:"ref"`
	Tag          string         `json:"tag,omitempty"`
	Commit       string         `json:"commit,omitempty"`
	Pusher       string         `json:"pusher,omitempty"`
	Title        string         `json:"title,omitempty"` // the first line of the message of its commit
	Attempts     int            `json:"attempts"`        // calls of the service
	CalledAt     time.Time      `json:"called_at,omitzero"`
	Deadline     time.Time      `json:"deadline"`
	DueAt        time.Time      `json:"due_at,omitzero"`        // the next look at it; unset while it is worked on or paused, and at its end
	PausedAt     time.Time      `json:"paused_at,omitzero"`     // since when a pause holds it: its deadline stands still
	ResumedAt    time.Time      `json:"resumed_at,omitzero"`    // when the last pause ended that held it
	Worker       string         `json:"worker,omitempty"`       // the process that works on it now
	BuildNumber  string         `json:"build_number,omitempty"` // of a pipeline the id of the run
	QueueID      string         `json:"queue_id,omitempty"`     // of a pipeline: its entry in the queue at the service, if it was queued
	Adopted      bool           `json:"adopted,omitempty"`      // the number was found in the records, not in the answer to the call
	StartedAt    time.Time      `json:"started_at,omitzero"`
	SupersededBy string         `json:"superseded_by,omitempty"`
	ReplayOf     string         `json:"replay_of,omitempty"`
	Error        string         `json:"error,omitempty"` // what is unreadable in its row

	Result         store.Result `json:"result,omitempty"`           // what became of it; unset before its start, and if it is not followed
	WaitsForPerson bool         `json:"waits_for_person,omitempty"` // it runs, and goes on when somebody acts at the service
	WaitedAt       time.Time    `json:"waited_at,omitzero"`         // when it began to wait for a person, or went on
	RanCommit      string       `json:"ran_commit,omitempty"`       // what the service says it built, if that is another commit
	RunningAt      time.Time    `json:"running_at,omitzero"`        // since when the service runs it; unset while it is queued there
	EndedAt        time.Time    `json:"ended_at,omitzero"`          // its end at the service
	Step           string       `json:"step,omitempty"`             // the step that failed
	Message        string       `json:"message,omitempty"`          // of the service about its end, or why the end is not known
	Stop           string       `json:"stop,omitempty"`             // why buildbridge stops it, or has stopped it
	StoppedAt      time.Time    `json:"stopped_at,omitzero"`        // when the service took that
	Actor          string       `json:"actor,omitempty"`            // the name of the token of who asked for it, if a person did
	Why            string       `json:"why,omitempty"`              // as they wrote it
	TagCommit      string       `json:"tag_commit,omitempty"`       // the commit that the tag is on
	Context        string       `json:"context,omitempty"`          // of its status on the commit; unset if it has none
}

// BuildDetail is a build with all that is stored of it.
type BuildDetail struct {
	Build

	Origin

	TraceID    string   `json:"trace_id,omitempty"`    // of its delivery or its replay
	ConsoleURL string   `json:"console_url,omitempty"` // where the service's console shows it; unset if that is not known
	Status     *Status  `json:"status,omitempty"`      // on its commit at the code host; unset if there is none
	Replays    []Replay `json:"replays,omitempty"`     // of this build, the newest first, at most 10
	LastReplay string   `json:"last_replay,omitempty"` // the newest replay of this build, or of the one that it repeats

	Log  []Attempt       `json:"log"`  // the last 50, the oldest first
	Body json.RawMessage `json:"body"` // of the call; null for a build that was dead on arrival
}

// Replay is a build that is the replay of another.
type Replay struct {
	ID          string         `json:"id"`
	Action      mapping.Action `json:"action,omitzero"`
	State       store.State    `json:"state"`
	Result      store.Result   `json:"result,omitempty"`
	BuildNumber string         `json:"build_number,omitempty"`
}

// Attempt is a call of the service, or a search of its records for what became of one.
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

// BuildReplays is the answer to the replay of all builds that match a filter.
type BuildReplays struct {
	Replayed []BuildReplay `json:"replayed"`
	Skipped  []Skipped     `json:"skipped,omitempty"`
	Left     int64         `json:"left"`           // that match, for the next requests
	Next     string        `json:"next,omitempty"` // for after; "" if none are left
}

// ReplayCount says how many builds match a filter, for a replay.
type ReplayCount struct {
	State  store.State `json:"state"` // of the builds
	Builds int64       `json:"builds"`
	First  []Build     `json:"first"` // of them, the oldest first, at most 10
}

// firstShown is how many of the things that match are shown before they are changed.
const firstShown = 10

// BuildReplay is one of the builds that were replayed.
type BuildReplay struct {
	ID       string `json:"id"` // of the new build
	ReplayOf string `json:"replay_of"`
}

// Skipped is a build that matches and cannot be replayed.
type Skipped struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
	Done   bool   `json:"done,omitempty"` // a delivery: it needs no replay any more
}

func newBuild(b *store.Build) Build {
	due, worker := b.DueAt, b.Worker
	switch {
	case b.State.Final(): // somebody may have changed the row by hand
		due, worker = time.Time{}, ""
	case worker != "" || !b.PausedAt.IsZero(): // due is the end of its lease, or far away
		due = time.Time{}
	}
	return Build{
		ID: b.ID, Delivery: b.Delivery, ReceivedAt: b.ReceivedAt, State: b.State, Reason: b.Reason,
		Rule: b.Rule, Target: b.Target, Action: b.Action, JobID: b.JobID, ProjectID: b.CalledProject(),
		Repository: b.Repository, Ref: b.Ref, Tag: b.Tag, Commit: b.Commit,
		Pusher: b.Pusher, Title: b.Title,
		Attempts: b.Attempts, CalledAt: b.CalledAt, Deadline: b.Deadline, DueAt: due, Worker: worker,
		PausedAt: b.PausedAt, ResumedAt: b.ResumedAt,
		BuildNumber: b.BuildNumber, QueueID: b.QueueID, Adopted: b.Adopted, StartedAt: b.StartedAt,
		SupersededBy: b.SupersededBy, ReplayOf: b.ReplayOf, Error: b.Unreadable,
		WaitsForPerson: b.WaitsForPerson(), WaitedAt: b.WaitedAt, RanCommit: otherCommit(b),
		Result: b.Result, RunningAt: b.RunningAt, EndedAt: b.EndedAt, Step: b.Step, Message: b.Message, Stop: b.Stop, StoppedAt: b.StoppedAt,
		Actor: b.By.Actor, Why: b.By.Why, TagCommit: b.TagCommit, Context: b.Context,
	}
}

// otherCommit is the commit that the service says it built; "" if it is the one that was to be built, or nobody knows that.
func otherCommit(b *store.Build) string {
	if wanted := cmp.Or(b.Commit, b.TagCommit); wanted == "" || strings.EqualFold(wanted, b.RanCommit) {
		return ""
	}
	return b.RanCommit
}

// Canceled says whether a person ended the build before it was started.
func (b Build) Canceled() bool { return (&store.Build{State: b.State, Reason: b.Reason}).Canceled() }

// NeverRan says whether the service took the build, and ended it before it ran.
func (b Build) NeverRan() bool {
	return (&store.Build{Result: b.Result, Message: b.Message}).NeverRan()
}

// Fate is what became of the build in one word: waits_for_a_person, its result, canceled, or its state.
func (b Build) Fate() string {
	if b.Canceled() {
		return "canceled"
	}
	if b.WaitsForPerson {
		return "waits_for_a_person"
	}
	return cmp.Or(string(b.Result), string(b.State))
}

func newAttempt(at store.Attempt) Attempt {
	took := float64(at.Took.Microseconds()) / 1000
	return Attempt{At: at.At, Duration: took, Search: at.Search, Times: at.Times, Outcome: at.Outcome, Error: at.Error}
}

func (a *API) listBuilds(c echo.Context) error { return list(c, a.ListBuilds) }

// ListBuilds gives the builds that a query of GET /api/v1/builds selects.
func (a *API) ListBuilds(ctx context.Context, query url.Values) (page BuildPage, err error) {
	var f store.BuildFilter
	if err := buildParameters(&f).take(query); err != nil {
		return page, err
	}
	builds, next, err := a.Store.Builds(ctx, f)
	if err != nil {
		return page, storeError("build", "", err)
	}
	return BuildPage{Builds: shown(builds, newBuild), Next: next}, nil
}

func (a *API) showBuild(c echo.Context) error { return show(c, a.ShowBuild) }

// ShowBuild gives the build with an id, which may be shortened.
func (a *API) ShowBuild(ctx context.Context, given string) (detail BuildDetail, err error) {
	id, err := a.wholeID(ctx, false, given)
	if err != nil {
		return detail, err
	}
	b, err := a.Store.Build(ctx, id)
	if err != nil {
		return detail, a.buildError(ctx, id, err)
	}
	replays, _, err := a.Store.Builds(ctx, store.BuildFilter{ReplayOf: id, Limit: 10})
	if err != nil {
		return detail, storeError("build", id, err)
	}
	detail = BuildDetail{Build: newBuild(b), Log: shown(b.Log, newAttempt), Body: raw(b.Body)}
	if detail.LastReplay, err = a.Store.LastReplay(ctx, b); err != nil {
		return detail, storeError("build", id, err)
	}
	if detail.Origin, err = a.originOf(ctx, b); err != nil {
		return detail, storeError("delivery", b.Delivery, err)
	}
	if a.Rules != nil {
		for _, target := range a.Rules().Rules.Targets() {
			if target.Name == b.Target {
				detail.ConsoleURL = b.ConsoleURL(target)
			}
		}
	}
	if b.Context != "" {
		status, err := a.Store.StatusOf(ctx, b)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return detail, storeError("build", id, err)
		}
		detail.Status = newStatus(status)
	}
	if span := observe.SpanContext(b.Trace); span.IsValid() { //nolint:contextcheck // the stored span, not that of ctx
		detail.TraceID = span.TraceID().String()
	}
	for _, r := range replays {
		detail.Replays = append(detail.Replays, Replay{ID: r.ID, Action: r.Action, State: r.State, Result: r.Result, BuildNumber: r.BuildNumber})
	}
	return detail, nil
}

func (a *API) replayBuild(c echo.Context) error {
	return a.changeBuild(c, http.StatusAccepted, a.ReplayBuild)
}

// ReplayBuild starts a build once more, and gives the new one.
func (a *API) ReplayBuild(ctx context.Context, id string, by mapping.By) (Build, error) {
	return a.change(ctx, id, by, a.Builds.Replay)
}

// ReplayBuildAfter is ReplayBuild for somebody who knows which replay is the newest, "" for none: it is
// refused if there is a newer one.
func (a *API) ReplayBuildAfter(ctx context.Context, id, last string, by mapping.By) (Build, error) {
	return a.change(ctx, id, by, func(ctx context.Context, id string, by mapping.By) (*store.Build, error) {
		return a.Builds.ReplayListed(ctx, store.Replayable{ID: id, Last: last}, by)
	})
}

// StopBuild has the service end a build that it runs, and does not wait for the end.
func (a *API) StopBuild(ctx context.Context, id string, by mapping.By) (Build, error) {
	return a.change(ctx, id, by, a.Builds.StopBuild)
}

// CancelBuild ends a build that waits.
func (a *API) CancelBuild(ctx context.Context, id string, by mapping.By) (Build, error) {
	return a.change(ctx, id, by, a.Builds.Cancel)
}

// change changes a build, for who asks, and gives what came of it.
func (a *API) change(
	ctx context.Context, given string, by mapping.By, do func(ctx context.Context, id string, by mapping.By) (*store.Build, error),
) (Build, error) {
	id, err := a.wholeID(ctx, false, given)
	if err != nil {
		return Build{}, err
	}
	if err := checkReason(by.Why); err != nil {
		return Build{}, err
	}
	b, err := do(ctx, id, by)
	if err != nil {
		return Build{}, a.changeError(ctx, id, err)
	}
	return newBuild(b), nil
}

// changeBuild changes the build that the path names, for who asks, and answers with it.
func (a *API) changeBuild(
	c echo.Context, status int, change func(ctx context.Context, id string, by mapping.By) (Build, error),
) error {
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	why, err := readReason(c)
	if err != nil {
		return err
	}
	b, err := change(c.Request().Context(), c.Param("id"), by(c, why))
	if err != nil {
		return err
	}
	return handlers.SendJSON(c, status, b)
}

// changeError is buildError for a build that was to be changed: a conflict leads to what it is now.
func (a *API) changeError(ctx context.Context, id string, err error) error {
	refusal := a.buildError(ctx, id, err)
	if refusal.Status != http.StatusConflict {
		return refusal
	}
	refusal = seeing(refusal, "build", id)
	b, err := a.Store.Build(ctx, id)
	if err != nil {
		return refusal
	}
	if last, err := a.Store.LastReplay(ctx, b); err == nil && last != "" && last != id {
		refusal = seeing(refusal, "build", last)
	}
	return refusal
}

// buildError is storeError for a build that was asked for by its id.
func (a *API) buildError(ctx context.Context, id string, err error) *handlers.Refusal {
	if errors.Is(err, store.ErrNotFound) {
		if _, err := a.Store.Delivery(ctx, id); err == nil {
			return seeing(fail(http.StatusNotFound, "no build has the id %s: it is the id of a delivery", id), "delivery", id)
		}
	}
	return storeError("build", id, err)
}

// atOnce is how many replays of many are committed together.
const atOnce = 32

// replayBuilds replays the builds that match a filter, at most a page of them. Without a
// filter by state it replays dead ones.
func (a *API) replayBuilds(c echo.Context) error {
	f, err := replayFilter(c)
	if err != nil {
		return err
	}
	why, err := readReason(c)
	if err != nil {
		return err
	}
	if !a.bulk.TryLock() {
		return fail(http.StatusConflict, "another replay of many builds is under way")
	}
	defer a.bulk.Unlock()
	ctx := c.Request().Context()
	builds, left, next, err := a.Store.ToReplay(ctx, f)
	if err != nil {
		return storeError("build", "", err)
	}
	answer := BuildReplays{Replayed: []BuildReplay{}, Left: left, Next: next}
	for some := range slices.Chunk(builds, atOnce) {
		if err := a.replayAll(ctx, some, by(c, why), &answer); err != nil {
			return unavailable(err, "%s replayed, then the database did not answer: ask again, and they are left out",
				printable.Was(len(answer.Replayed), "build"))
		}
	}
	return handlers.SendJSON(c, http.StatusOK, answer)
}

// countReplays counts the builds that replayBuilds would replay.
func (a *API) countReplays(c echo.Context) error {
	f, err := replayFilter(c)
	if err != nil {
		return err
	}
	f.Limit = firstShown
	ctx := c.Request().Context()
	builds, left, _, err := a.Store.ToReplay(ctx, f)
	if err != nil {
		return storeError("build", "", err)
	}
	first, err := a.buildsByID(ctx, shown(builds, func(r store.Replayable) string { return r.ID }))
	if err != nil {
		return err
	}
	return handlers.SendJSON(c, http.StatusOK, ReplayCount{State: store.State(f.State), Builds: int64(len(builds)) + left, First: first})
}

// buildsByID reads some builds as lists show them, never null.
func (a *API) buildsByID(ctx context.Context, ids []string) ([]Build, error) {
	list := make([]Build, len(ids))
	for i, id := range ids {
		b, err := a.Store.Build(ctx, id)
		if err != nil {
			return nil, storeError("build", id, err)
		}
		list[i] = newBuild(b)
	}
	return list, nil
}

// replayFilter reads the filter of the builds to replay, which must not be empty.
func replayFilter(c echo.Context) (store.BuildFilter, error) {
	f := store.BuildFilter{Limit: store.MaxPage}
	given, err := buildParameters(&f).read(c.Request())
	if err != nil {
		return f, err
	}
	if f.State == "" {
		f.State = string(store.Dead)
		if f.Result != "" {
			f.State = string(store.Started) // no other build has a result
		}
	}
	given.Del("limit")
	given.Del("after")
	if len(given) == 0 {
		return f, fail(http.StatusBadRequest, "give at least one filter: state=dead is for all dead builds")
	}
	if !store.State(f.State).Final() {
		return f, fail(http.StatusBadRequest, "state: a build that is %s is not resolved, and needs no replay", f.State)
	}
	if f.Result == string(store.Running) {
		return f, fail(http.StatusBadRequest, "result: a build that is running has no end yet, and needs no replay")
	}
	return f, nil
}

// replayAll replays a few builds at once and adds them to the answer, in order. Its error
// is not about a single build.
func (a *API) replayAll(ctx context.Context, builds []store.Replayable, by mapping.By, answer *BuildReplays) error {
	var (
		wg    sync.WaitGroup
		again = make([]*store.Build, len(builds))
		errs  = make([]error, len(builds))
	)
	for i, b := range builds {
		wg.Go(func() { again[i], errs[i] = a.Builds.ReplayListed(ctx, b, by) })
	}
	wg.Wait()
	var broken error
	for i, b := range builds {
		if errs[i] == nil {
			answer.Replayed = append(answer.Replayed, BuildReplay{ID: again[i].ID, ReplayOf: b.ID})
			continue
		}
		refusal := storeError("build", b.ID, errs[i])
		if refusal.Status < http.StatusInternalServerError {
			answer.Skipped = append(answer.Skipped, Skipped{ID: b.ID, Reason: refusal.Detail})
		} else {
			broken = refusal
		}
	}
	return broken
}
