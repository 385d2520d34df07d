package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// State is where a build is in its life.
type State string

// The states of a build. Waiting, Calling and Unknown are unresolved: they are looked
// at again, and hold up what comes after them. The others are final.
const (
	Waiting    State = "waiting"    // to be called, now or later
	Calling    State = "calling"    // RunJob is on its way, or was when the process died
	Unknown    State = "unknown"    // RunJob was sent and its answer never came
	Started    State = "started"    // the service gave a build number
	Dead       State = "dead"       // never started, with the reason; can be replayed
	Superseded State = "superseded" // a newer push took its place
	DryRun     State = "dry_run"    // would have been called
)

// States lists all of them, unresolved first.
func States() []State {
	return []State{Waiting, Calling, Unknown, Started, Dead, Superseded, DryRun}
}

// Final reports whether nothing more happens to a build in this state.
func (s State) Final() bool {
	switch s {
	case Waiting, Calling, Unknown:
		return false
	case Started, Dead, Superseded, DryRun:
		return true
	}
	return false
}

// Errors of changing a build.
var (
	// ErrStale means that somebody else changed the row since it was read.
	ErrStale = errors.New("store: the build was changed by somebody else")
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
	JobID      string
	Repository string
	Ref        string
	Tag        string
	Commit     string
	Marker     string // name of the parameter that carries ID; "" for none
	Body       []byte // the RunJob body, resolved, as it is sent
	Newest     bool   // replaced builds of its line that still waited
	ReplayOf   string // the build this repeats, never itself a replay
	ByHand     bool   // asked for by a person, as a replay or of one's delivery: it neither waits its turn nor supersedes, nor is it superseded

	State        State
	Reason       string // why it is dead, or what it waits for
	SupersededBy string
	DueAt        time.Time // when it is looked at next, by the database's clock; zero for never. Of one that is held by Worker, when its lease ends
	Worker       string    // the process that works it now, "" for none
	ReceivedAt   time.Time // of the delivery
	Deadline     time.Time // not started by then: dead

	Attempts int
	Log      []Attempt // the last MaxAttempts of them, oldest first
	Caller   string    // the process that made the last call
	Service  string    // the address that it called
	CalledAt time.Time // when the last call began; zero before the first
	Asked    int       // how often the service was asked what became of that call

	// What was known when the last call began: the time by the service's clock, or an
	// earlier one, zero if nobody had measured; and the highest number of the job.
	CalledThere time.Time
	Known       int64

	BuildNumber string
	Seen        int64 // the highest number of the job that it saw: its own, or in the service's records
	Adopted     bool  // the number was found by asking, not answered
	StartedAt   time.Time

	// Trace is the span that committed it, as W3C Trace Context writes it in
	// traceparent; "" for none.
	Trace string

	// Unreadable says what is wrong with the row, "" for nothing. Not stored.
	Unreadable string

	// Superseded is how many waiting builds it replaced when it was accepted. Not stored.
	Superseded int64

	version int64
}

// Original is the build that b repeats, or b itself.
func (b *Build) Original() string { return cmp.Or(b.ReplayOf, b.ID) }

// MaxAttempts is how many attempts a build remembers.
const MaxAttempts = 50

// Attempt is one call of RunJob, or one search for what became of it.
type Attempt struct {
	At      time.Time     `json:"at"`
	Took    time.Duration `json:"took_ns"`
	Outcome State         `json:"outcome"`
	Error   string        `json:"error,omitempty"`
	Search  bool          `json:"search,omitempty"` // asked what became of a call; else it is a call
	Times   int           `json:"times,omitempty"`  // of searches in a row, if more than one; the others are forgotten
}

// Record appends an attempt and forgets the oldest beyond MaxAttempts. Of
// searches that decided nothing the last one stays, with their number.
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

// Number is a build number by which builds of a job are ordered, 0 if it is none.
func Number(buildNumber string) int64 {
	n, err := strconv.ParseInt(buildNumber, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// columns in the order of scan.
const buildColumns = `seq, id, delivery, rule, target, job_id, repository, ref, tag, commit_id, marker, body, newest, replay_of, by_hand,
	state, reason, superseded_by, due_at, worker, received_at, deadline, attempts, log, caller, service, called_at, called_there, known_no, asked,
	build_no, seen_no, adopted, started_at, version, trace`

type scanner interface{ Scan(dest ...any) error }

func scanBuild(row scanner) (*Build, error) {
	var (
		b                                                         Build
		log                                                       string
		due, received, deadline, calledAt, calledThere, startedAt int64
	)
	err := row.Scan(&b.Seq, &b.ID, &b.Delivery, &b.Rule, &b.Target, &b.JobID, &b.Repository, &b.Ref, &b.Tag, &b.Commit,
		&b.Marker, &b.Body, (*flag)(&b.Newest), &b.ReplayOf, (*flag)(&b.ByHand), &b.State, &b.Reason, &b.SupersededBy, &due, &b.Worker, &received, &deadline,
		&b.Attempts, &log, &b.Caller, &b.Service, &calledAt, &calledThere, &b.Known, &b.Asked,
		&b.BuildNumber, &b.Seen, (*flag)(&b.Adopted), &startedAt, &b.version, &b.Trace)
	if err != nil {
		return nil, err
	}
	var bad unreadable
	b.ReceivedAt, b.Deadline = bad.time("received_at", received), bad.time("deadline", deadline)
	b.CalledAt, b.CalledThere = bad.time("called_at", calledAt), bad.time("called_there", calledThere)
	b.StartedAt, b.DueAt = bad.time("started_at", startedAt), bad.time("due_at", due)
	b.Unreadable = bad.String()
	if log != "" {
		if err := json.Unmarshal([]byte(log), &b.Log); err != nil {
			// The log is for people: a build goes on without it.
			b.Log = []Attempt{{At: b.CalledAt, Error: "the log of the attempts before cannot be read: " + err.Error()}}
		}
	}
	return &b, nil
}

// micros stores a time as microseconds since 1970; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// The first and the last microsecond that JSON has a year for.
const (
	firstMicros = -62135596800000000
	lastMicros  = 253402300799999999
)

// fromMicros gives the nearest time that can be written.
func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(min(max(us, firstMicros), lastMicros)).UTC()
}

// unreadable collects what is wrong with a row. The rest of it is shown, and the rows
// beside it.
type unreadable []string

// time reads a column.
func (u *unreadable) time(column string, us int64) time.Time {
	if us < firstMicros || us > lastMicros {
		*u = append(*u, fmt.Sprintf("%s holds %d, which is no time", column, us))
	}
	return fromMicros(us)
}

func (u unreadable) String() string { return strings.Join(u, "; ") }

// flag scans a bool. In SQLite any number may stand for it.
type flag bool

// Scan implements sql.Scanner.
func (f *flag) Scan(value any) error {
	switch v := value.(type) {
	case bool:
		*f = flag(v)
	case int64:
		*f = v != 0
	default:
		return fmt.Errorf("%v is no bool", value)
	}
	return nil
}
