package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"buildbridge/mapping"
)

// State is the state of a build.
type State string

// The states of a build. Waiting, Calling and Unknown are unresolved: such builds are looked
// at again, and hold those that come after them. The others are final.
const (
	Waiting    State = "waiting"    // to be called, now or later
	Calling    State = "calling"    // the call is being made, or was when the process died
	Unknown    State = "unknown"    // the call was sent, and no answer came
	Started    State = "started"    // the service gave a build number
	Dead       State = "dead"       // not started, with the reason; can be replayed
	Superseded State = "superseded" // a newer push took its place
	DryRun     State = "dry_run"    // would have been called
)

// States lists all states, the unresolved ones first.
func States() []State {
	return []State{Waiting, Calling, Unknown, Started, Dead, Superseded, DryRun}
}

// Final reports whether nothing more happens to a build in this state.
func (s State) Final() bool {
	return s == Started || s == Dead || s == Superseded || s == DryRun
}

// Result is what became of a started build at the service.
type Result string

// The results of a build. All but Running are final.
const (
	NoResult Result = ""        // not started, or not followed
	Running  Result = "running" // queued by the service, or running there
	Success  Result = "success"
	Failure  Result = "failure"
	Aborted  Result = "aborted" // stopped, by buildbridge or by a person
	Timeout  Result = "timeout" // stopped by the service, because it took too long
	Lost     Result = "lost"    // it cannot be found out
)

// Results lists the results, the one that is not final first.
func Results() []Result { return []Result{Running, Success, Failure, Aborted, Timeout, Lost} }

// Final reports whether the build has ended, as far as anybody will know.
func (r Result) Final() bool { return r != NoResult && r != Running }

// Errors of changing a build.
var (
	// ErrStale means that the row was changed since it was read.
	ErrStale = errors.New("store: the build was changed meanwhile")
	// ErrClaimed means that the build number belongs to another build.
	ErrClaimed = errors.New("store: the build number belongs to another build")
	// ErrNotFound means that there is no such row.
	ErrNotFound = errors.New("store: not found")
)

// Build is one row of the builds table.
type Build struct {
	Seq        int64 // order of commit
	ID         string
	Delivery   string // id of the delivery it came from
	Rule       string
	Target     string
	Action     mapping.Action
	JobID      string // of the job, or of the pipeline
	Repository string
	Ref        string
	Tag        string
	Commit     string
	Marker     string // name of the parameter that carries ID; "" for none
	Body       []byte // of the call, resolved, as it is sent
	TagCommit  string // the commit that Tag is on, "" if that is not known
	Context    string // of its status on the commit, "" for no status
	Newest     bool   // supersedes the builds of its ordering key that wait
	Once       bool   // its commit is not built again by its rule and job; without effect for a tag
	// ReplaceRunning is whether the builds of its ordering key that run are stopped after this one
	// was started.
	ReplaceRunning bool
	MaxRunning     int           // it waits while so many builds of its ordering key run; 0 for any number
	Settle         time.Duration // how long it waits for a newer push before it is due. Not stored
	ReplayOf       string        // the build that this one repeats, which is no replay itself
	// ByHand is whether a person asked for the build: by a start, or by a replay of it or of its
	// delivery. It supersedes none, is superseded by none and is not replaced. It keeps the order of its
	// ordering key, except that a replay of a build waits for no earlier one, and none waits for it.
	ByHand bool
	Origin mapping.Origin // of its delivery
	By     mapping.By     // who asked for it, if a person did
	Pusher string         // of its event
	Title  string         // the first line of its commit message

	State        State
	Reason       string // why it is dead, or what it waits for
	SupersededBy string
	// DueAt is when the build is looked at next, by the database's clock; zero for never.
	// If Worker has it, that is when the lease ends.
	DueAt      time.Time
	Worker     string    // the process that works it now, "" for none
	ReceivedAt time.Time // of the delivery
	Deadline   time.Time // if it is not started by then, it is dead; it stands still while a pause holds the build
	PausedAt   time.Time // since when a pause holds it; zero if none does
	ResumedAt  time.Time // when the last pause ended that held it; zero for none

	// Paused is the reason that the build gets if its rule is paused in its file, see PausedInRules;
	// "" if it is not. Not stored.
	Paused string

	Attempts int
	Log      []Attempt // the last MaxAttempts attempts, oldest first
	Caller   string    // the process that made the last call
	Service  string    // the address that it called
	CalledAt time.Time // when the last call began; zero before the first
	Asked    int       // how often the service was asked what became of that call

	// CalledThere is CalledAt by the service's clock, or an earlier time; zero if the
	// service's clock was not known. Known is the highest number of the job that was known
	// then.
	CalledThere time.Time
	Known       int64

	BuildNumber string // of a pipeline the id of the run
	QueueID     string // the run's entry in the queue of its pipeline; "" if it was not queued
	// Seen is the highest number of the job that it saw: its own, or in the service's records. For
	// a pipeline, whose runs have no order, it is when the run was called, in microseconds.
	Seen      int64
	Adopted   bool // the number was found by a search, and not answered
	Claimed   bool // no other build has the number
	StartedAt time.Time

	Result    Result
	RunningAt time.Time // since when the service runs it; zero while it is queued there
	EndedAt   time.Time
	Message   string    // what the service says of its end, or why its end is not known
	Step      string    // the step that failed
	RecordID  string    // the service's names of the record and of the project, for the console's address
	ProjectID string    // of a pipeline it is known from the beginning
	Console   string    // the address in the console that the service gave, http or https; "" if it gave none
	RanCommit string    // the commit that the service says it built; "" if it does not
	WaitedAt  time.Time // when it began to wait for a person at the service, or no longer did; zero if it never did
	Stop      string    // why it is to be stopped; "" if it is not
	StoppedAt time.Time // when the service took the stop; zero before
	// FollowIn is when the service is asked first about a build that was started. Not stored.
	FollowIn time.Duration

	// Trace is the span that committed the build; see observe.Traceparent. "" for none.
	Trace string

	Unreadable string // what is wrong with the row, "" for nothing. Not stored
	Superseded int64  // how many waiting builds it superseded when it was accepted. Not stored
	Replaced   int64  // how many running builds are to be stopped since it was started. Not stored

	shared  bool // a build of another ref relies on it: see findOnce. Only until it is accepted
	version int64
}

// CalledProject is the ProjectID that is part of the call; "" for a job, whose project the service
// tells only later.
func (b *Build) CalledProject() string {
	if b.Action == mapping.ActionPipeline {
		return b.ProjectID
	}
	return ""
}

// WaitsForPerson begins the Message of a build that runs at the service and waits there for a
// person to let it go on.
const WaitsForPerson = "waits for a person at the service"

// WaitsForPerson reports whether the build waits for a person at the service. It may do so for
// days.
func (b *Build) WaitsForPerson() bool {
	return b.Result == Running && strings.HasPrefix(b.Message, WaitsForPerson)
}

// NeverRan begins the Message of a build that ended without running at the service.
const NeverRan = "it never ran"

// NeverRan reports whether the service took the build, and ended it before it ran.
func (b *Build) NeverRan() bool { return b.Result.Final() && strings.HasPrefix(b.Message, NeverRan) }

// Original is the build that b repeats, or b itself.
func (b *Build) Original() string { return cmp.Or(b.ReplayOf, b.ID) }

// MaxAttempts is how many attempts a build remembers.
const MaxAttempts = 50

// Attempt is one call of the service, or one search for what a call started.
type Attempt struct {
	At      time.Time     `json:"at"`
	Took    time.Duration `json:"took_ns"`
	Outcome State         `json:"outcome"`
	Error   string        `json:"error,omitempty"`
	Search  bool          `json:"search,omitempty"` // a search; else a call
	Times   int           `json:"times,omitempty"`  // how many searches in a row this stands for, if more than one
}

// Record appends an attempt and drops the oldest beyond MaxAttempts. Of searches in a row
// that found nothing out only the last one stays, with their number.
func (b *Build) Record(a Attempt) {
	if n := len(b.Log); n > 0 && a.Search && b.Log[n-1].Search && b.Log[n-1].Outcome == Unknown {
		a.Times = max(1, b.Log[n-1].Times) + 1
		b.Log[n-1] = a
		return
	}
	b.Log = append(b.Log, a)
	if n := len(b.Log) - MaxAttempts; n > 0 {
		b.Log = b.Log[n:]
	}
}

// Build reads one build. It returns ErrNotFound if there is none.
func (s *Store) Build(ctx context.Context, id string) (*Build, error) {
	b, err := scanBuild(queryRow(ctx, s.db.reader(), `SELECT `+buildColumns+` FROM builds WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", id, err)
	}
	return b, nil
}

// BuildsOf reads the builds of a delivery in the order in which they were committed.
func (s *Store) BuildsOf(ctx context.Context, delivery string) (builds []*Build, err error) {
	err = each(ctx, s.db.reader(), func(row scanner) error {
		b, err := scanBuild(row)
		builds = append(builds, b)
		return err
	}, `SELECT `+buildColumns+` FROM builds WHERE delivery = ? ORDER BY seq`, delivery)
	if err != nil {
		return nil, fmt.Errorf("builds of delivery %s: %w", delivery, err)
	}
	return builds, nil
}

// buildColumns are in the order in which scanBuild reads them.
const buildColumns = `seq, id, delivery, rule, target, job_id, repository, ref, tag, commit_id, marker, body, newest, replay_of, by_hand,
	state, reason, superseded_by, due_at, worker, received_at, deadline, attempts, log,
	caller, service, called_at, called_there, known_no, asked,
	build_no, seen_no, adopted, claimed, started_at, version, trace,
	tag_commit, context, replace_running, max_running,
	result, running_at, ended_at, message, step, record_id, project_id, stop, stopped_at,
	origin, actor, why, pusher, title, paused_at, resumed_at,
	action, queue_id, ran_commit, console, waited_at`

type scanner interface{ Scan(dest ...any) error }

func scanBuild(row scanner) (*Build, error) {
	var (
		b                                                         Build
		log                                                       string
		due, received, deadline, calledAt, calledThere, startedAt int64
		runningAt, endedAt, stoppedAt, pausedAt, resumedAt        int64
		waitedAt                                                  int64
	)
	err := row.Scan(&b.Seq, &b.ID, &b.Delivery, &b.Rule, &b.Target, &b.JobID, &b.Repository, &b.Ref, &b.Tag, &b.Commit,
		&b.Marker, &b.Body, (*flag)(&b.Newest), &b.ReplayOf, (*flag)(&b.ByHand),
		&b.State, &b.Reason, &b.SupersededBy, &due, &b.Worker, &received, &deadline, &b.Attempts, &log,
		&b.Caller, &b.Service, &calledAt, &calledThere, &b.Known, &b.Asked,
		&b.BuildNumber, &b.Seen, (*flag)(&b.Adopted), (*flag)(&b.Claimed), &startedAt, &b.version, &b.Trace,
		&b.TagCommit, &b.Context, (*flag)(&b.ReplaceRunning), &b.MaxRunning,
		&b.Result, &runningAt, &endedAt, &b.Message, &b.Step, &b.RecordID, &b.ProjectID, &b.Stop, &stoppedAt,
		&b.Origin, &b.By.Actor, &b.By.Why, &b.Pusher, &b.Title, &pausedAt, &resumedAt,
		&b.Action, &b.QueueID, &b.RanCommit, &b.Console, &waitedAt)
	if err != nil {
		return nil, err
	}
	var bad unreadable
	b.ReceivedAt, b.Deadline = bad.time("received_at", received), bad.time("deadline", deadline)
	b.CalledAt, b.CalledThere = bad.time("called_at", calledAt), bad.time("called_there", calledThere)
	b.StartedAt, b.DueAt = bad.time("started_at", startedAt), bad.time("due_at", due)
	b.RunningAt, b.EndedAt, b.StoppedAt = bad.time("running_at", runningAt), bad.time("ended_at", endedAt), bad.time("stopped_at", stoppedAt)
	b.PausedAt, b.ResumedAt = bad.time("paused_at", pausedAt), bad.time("resumed_at", resumedAt)
	b.WaitedAt = bad.time("waited_at", waitedAt)
	b.Unreadable = bad.String()
	if log != "" {
		if err := json.Unmarshal([]byte(log), &b.Log); err != nil {
			// The log is for people to read: a build goes on without it.
			b.Log = []Attempt{{At: b.CalledAt, Error: "the log of the attempts before cannot be read: " + err.Error()}}
		}
	}
	return &b, nil
}

// micros is a time as it is stored: in microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// The first and the last microsecond of a year that JSON can write.
const (
	firstMicros = -62135596800000000
	lastMicros  = 253402300799999999
)

// fromMicros gives the time that is stored, or the nearest one that JSON can write.
func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(min(max(us, firstMicros), lastMicros)).UTC()
}

// unreadable collects what is wrong with a row. The rest of the row is shown, and so are
// the other rows.
type unreadable []string

// time reads a column.
func (u *unreadable) time(column string, us int64) time.Time {
	if us < firstMicros || us > lastMicros {
		*u = append(*u, fmt.Sprintf("%s holds %d, which is not a time", column, us))
	}
	return fromMicros(us)
}

func (u unreadable) String() string { return strings.Join(u, "; ") }

// flag scans a bool. In SQLite any number may stand for one.
type flag bool

// Scan takes a column's value.
func (f *flag) Scan(value any) error {
	switch v := value.(type) {
	case bool:
		*f = flag(v)
	case int64:
		*f = v != 0
	default:
		return fmt.Errorf("%v is not a bool", value)
	}
	return nil
}
