package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxPage is the most rows that a page can have.
const MaxPage = 1000

// DefaultPage is how many it has where nobody says.
const DefaultPage = 50

// BuildFilter selects builds: those that fit all fields that are set.
type BuildFilter struct {
	State, Rule, Target, JobID, Repository, Delivery string

	Ref      string // in full, or the short name of a branch or tag
	ReplayOf string // the build they repeat

	Since, Until time.Time // of the delivery; until is not included
	After        string    // the cursor that the page before gave
	Limit        int       // rows; DefaultPage if not set, MaxPage at most
}

// where is the filter without its page.
func (f *BuildFilter) where() *where {
	w := &where{}
	w.equal("state", f.State)
	if f.State != "" && f.State != string(Started) {
		w.fixed("state <> 'started'") // what the index of the few others is for
	}
	w.equal("rule", f.Rule)
	w.equal("target", f.Target)
	w.equal("job_id", f.JobID)
	w.equal("repository", f.Repository)
	w.ref(f.Ref)
	w.equal("delivery", f.Delivery)
	w.equal("replay_of", f.ReplayOf)
	if f.ReplayOf != "" {
		w.fixed("replay_of <> ''") // its index has nothing else
	}
	w.between("received_at", f.Since, f.Until)
	return w
}

// Builds lists builds, the newest first, without their attempts' log. next is the
// cursor of the page after it, "" for the last one. A cursor that Builds did not
// give is an error.
func (s *Store) Builds(ctx context.Context, f BuildFilter) (builds []*Build, next string, err error) {
	w := f.where()
	if f.After != "" {
		seq, err := strconv.ParseInt(f.After, 10, 64)
		if err != nil {
			return nil, "", fmt.Errorf("%w: cursor %q", ErrFilter, f.After)
		}
		w.add("seq < ?", seq)
	}
	limit := page(f.Limit)
	rows, err := s.db.reader().query(ctx, `SELECT `+buildColumns+` FROM builds`+w.String()+` ORDER BY seq DESC LIMIT ?`, append(w.args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("list builds: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if len(builds) == limit {
			next = strconv.FormatInt(builds[limit-1].Seq, 10)
			break
		}
		b, err := scanBuild(rows)
		if err != nil {
			return nil, "", fmt.Errorf("list builds: %w", err)
		}
		builds = append(builds, b)
	}
	return builds, next, rows.Err()
}

// ErrFilter means that a filter makes no sense.
var ErrFilter = errors.New("not a valid filter")

// DeliveryFilter selects deliveries: those that fit all fields that are set.
type DeliveryFilter struct {
	Source, Outcome, Reason, Repository string

	Ref          string    // as that of builds
	Since, Until time.Time // until is not included
	After        string    // the cursor that the page before gave
	Limit        int       // rows; DefaultPage if not set, MaxPage at most
}

// Deliveries lists deliveries, the newest first, without header, body and
// verdicts. next is the cursor of the page after it, "" for the last one.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter) (deliveries []*Delivery, next string, err error) {
	w := where{}
	w.equal("source", f.Source)
	w.equal("outcome", f.Outcome)
	if f.Reason != "" || f.Outcome != "" && f.Outcome != string(Accepted) {
		w.fixed("outcome <> 'accepted'") // what the index of the few others is for
	}
	w.equal("reason", f.Reason)
	w.equal("repository", f.Repository)
	w.ref(f.Ref)
	w.between("received_at", f.Since, f.Until)
	if f.After != "" {
		w.add("id < ?", f.After)
	}
	limit := page(f.Limit)
	rows, err := s.db.reader().query(ctx, `SELECT id, source, provider, host_id, event, repository, ref, commit_id, received_at, outcome, reason, replay_of
		FROM deliveries`+w.String()+` ORDER BY id DESC LIMIT ?`, append(w.args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("list deliveries: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if len(deliveries) == limit {
			next = deliveries[limit-1].ID
			break
		}
		var (
			d        Delivery
			received int64
		)
		if err := rows.Scan(&d.ID, &d.Source, &d.Provider, &d.HostID, &d.Event, &d.Repository, &d.Ref, &d.Commit, &received,
			&d.Outcome, &d.Reason, &d.ReplayOf); err != nil {
			return nil, "", fmt.Errorf("list deliveries: %w", err)
		}
		var bad unreadable
		d.ReceivedAt = bad.time("received_at", received)
		d.Unreadable = bad.String()
		deliveries = append(deliveries, &d)
	}
	return deliveries, next, rows.Err()
}

func page(limit int) int {
	if limit <= 0 {
		return DefaultPage
	}
	return min(limit, MaxPage)
}

// where collects conditions that all have to hold.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

// fixed adds a condition without an argument.
func (w *where) fixed(condition string) { w.conditions = append(w.conditions, condition) }

func (w *where) equal(column, value string) {
	if value != "" {
		w.add(column+" = ?", value)
	}
}

// ref takes a short name for that of a branch and of a tag.
func (w *where) ref(name string) {
	if strings.HasPrefix(name, "refs/") {
		w.equal("ref", name)
	} else if name != "" {
		w.add("ref IN (?, ?)", "refs/heads/"+name, "refs/tags/"+name)
	}
}

func (w *where) between(column string, since, until time.Time) {
	if !since.IsZero() {
		w.add(column+" >= ?", micros(since))
	}
	if !until.IsZero() {
		w.add(column+" < ?", micros(until))
	}
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}
