package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
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
	if f.Delivery != "" {
		w.by("delivery = ?", f.Delivery)
	}
	if f.ReplayOf != "" {
		w.by("replay_of = ? AND replay_of <> ''", f.ReplayOf)
	}
	w.equal("state", f.State)
	switch state := State(f.State); {
	case w.few, state == "", state == Started:
	case state.Final():
		w.add("state IN ('dead', 'superseded', 'dry_run')") // what an index has
		w.indexed = true
	default:
		w.by("due_at > 0") // as long as it is not final
	}
	w.value("rule", f.Rule)
	w.value("target", f.Target)
	w.value("job_id", f.JobID)
	w.value("repository", f.Repository)
	w.ref(f.Ref)
	w.between(f.Since, f.Until)
	return w
}

// Builds lists builds, the newest first, without their attempts' log. next is the
// cursor of the page after it, "" for the last one. A cursor that Builds did not
// give is an error.
func (s *Store) Builds(ctx context.Context, f BuildFilter) (builds []*Build, next string, err error) {
	high, err := below(f.After)
	if err != nil {
		return nil, "", err
	}
	limit := page(f.Limit)
	w := f.where()
	w.each = func(row scanner) error {
		b, err := scanBuild(row)
		builds = append(builds, b)
		return err
	}
	if err := s.find(ctx, blockedBuilds(), buildColumns, w, high, limit+1); err != nil {
		return nil, "", fmt.Errorf("list builds: %w", err)
	}
	if len(builds) > limit {
		builds = builds[:limit]
		next = strconv.FormatInt(builds[limit-1].Seq, 10)
	}
	return builds, next, nil
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
// verdicts. next is the cursor of the page after it, "" for the last one. A cursor that
// Deliveries did not give is an error.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter) (deliveries []*Delivery, next string, err error) {
	high, err := below(f.After)
	if err != nil {
		return nil, "", err
	}
	limit := page(f.Limit)
	type listed struct {
		*Delivery

		seq int64
	}
	var all []listed
	for _, w := range f.wheres() {
		w.each = func(row scanner) error {
			var (
				d             Delivery
				seq, received int64
			)
			if err := row.Scan(&seq, &d.ID, &d.Source, &d.Provider, &d.HostID, &d.Event, &d.Repository, &d.Ref, &d.Commit, &received,
				&d.Outcome, &d.Reason, &d.ReplayOf); err != nil {
				return err
			}
			var bad unreadable
			d.ReceivedAt = bad.time("received_at", received)
			d.Unreadable = bad.String()
			all = append(all, listed{&d, seq})
			return nil
		}
		if err := s.find(ctx, blockedDeliveries(), "seq, id, source, provider, host_id, event, repository, ref, commit_id, received_at, outcome, reason, replay_of",
			w, high, limit+1); err != nil {
			return nil, "", fmt.Errorf("list deliveries: %w", err)
		}
	}
	slices.SortFunc(all, func(a, b listed) int { return cmp.Compare(b.seq, a.seq) })
	if len(all) > limit {
		all = all[:limit]
		next = strconv.FormatInt(all[limit-1].seq, 10)
	}
	for _, d := range all {
		deliveries = append(deliveries, d.Delivery)
	}
	return deliveries, next, nil
}

// wheres are the filter without its page: the rows that fit are those of all of them.
// Blocks tell of accepted deliveries alone, and the few others have an index.
func (f *DeliveryFilter) wheres() []*where {
	accepted, aside := &where{}, &where{few: true}
	accepted.add("outcome = 'accepted'")
	aside.add("outcome <> 'accepted'")
	for _, w := range []*where{accepted, aside} {
		if f.Source != "" {
			w.add("source || '' = ?", f.Source) // not by the index for duplicates
			w.keys = append(w.keys, []uint64{valueKey("source", f.Source)})
		}
		w.value("repository", f.Repository)
		w.ref(f.Ref)
		w.between(f.Since, f.Until)
		w.equal("reason", f.Reason)
	}
	switch f.Outcome {
	case string(Accepted):
		return []*where{accepted}
	case "":
		switch {
		case f.Reason != "": // what was accepted has none
		case len(accepted.conditions) == 1:
			return []*where{{}} // all of them
		default:
			return []*where{accepted, aside}
		}
	default:
		aside.equal("outcome", f.Outcome)
	}
	return []*where{aside}
}

// find reads the rows that fit, the newest first, up to a seq and a number of them.
func (s *Store) find(ctx context.Context, t blocked, columns string, w *where, high int64, n int) error {
	order := "seq"
	if w.unsorted {
		order = "seq + 0" // by the other index, and sorted
	}
	read := func(sp span) (more bool, err error) {
		rows, err := s.db.reader().query(ctx, `SELECT `+columns+` FROM `+t.table+` WHERE seq IN (
				SELECT seq FROM `+t.table+` WHERE `+order+` BETWEEN ? AND ?`+w.String()+` ORDER BY `+order+` DESC LIMIT ?)
			ORDER BY seq DESC`, slices.Concat([]any{sp.first, sp.last}, w.args, []any{n})...)
		if err != nil {
			return false, err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for ; rows.Next(); n-- {
			if err := w.each(rows); err != nil {
				return false, err
			}
		}
		return n > 0, rows.Err()
	}
	if all := len(w.keys) == 0 && w.since == 0 && w.until == 0; all || w.few {
		_, err := read(span{0, high})
		return err
	}
	gap := int64(blockRows / blockParts * 2)
	if w.indexed {
		gap = blockLong
	}
	return s.spans(ctx, t, high, gap, len(w.keys) > 0, w.fits, read)
}

// below gives the last seq of a page, by its cursor.
func below(cursor string) (high int64, err error) {
	if cursor == "" {
		return math.MaxInt64, nil
	}
	seq, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || seq < 1 {
		return 0, fmt.Errorf("%w: cursor %q", ErrFilter, cursor)
	}
	return seq - 1, nil
}

func page(limit int) int {
	if limit <= 0 {
		return DefaultPage
	}
	return min(limit, MaxPage)
}

// where collects conditions that all have to hold.
type where struct {
	conditions   []string
	args         []any
	keys         [][]uint64 // of values, by blocks: one of each
	since, until int64      // received then or later, and earlier; 0 for not given
	indexed      bool       // an index finds the rows of a span
	few          bool       // an index has few rows in all
	unsorted     bool       // and in another order than that of seq
	each         func(row scanner) error
}

func (w *where) add(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

// by adds the condition of an index that has few rows, in another order than that of seq.
func (w *where) by(condition string, args ...any) {
	w.add(condition, args...)
	w.few, w.unsorted = true, true
}

func (w *where) equal(column, value string) {
	if value != "" {
		w.add(column+" = ?", value)
	}
}

// value is equal for a column that blocks tell of.
func (w *where) value(column, value string) {
	if value != "" {
		w.equal(column, value)
		w.keys = append(w.keys, []uint64{valueKey(column, value)})
	}
}

// ref takes a short name for that of a branch and of a tag.
func (w *where) ref(name string) {
	if name == "" || strings.HasPrefix(name, "refs/") {
		w.value("ref", name)
		return
	}
	branch, tag := "refs/heads/"+name, "refs/tags/"+name
	w.add("ref IN (?, ?)", branch, tag)
	w.keys = append(w.keys, []uint64{valueKey("ref", branch), valueKey("ref", tag)})
}

func (w *where) between(since, until time.Time) {
	if !since.IsZero() {
		w.since = micros(since)
		w.add("received_at >= ?", w.since)
	}
	if !until.IsZero() {
		w.until = micros(until)
		w.add("received_at < ?", w.until)
	}
}

// String has an AND before each condition.
func (w *where) String() string {
	var all strings.Builder
	for _, c := range w.conditions {
		all.WriteString(" AND " + c)
	}
	return all.String()
}

// fits tells whether a part of a block may have rows that fit.
func (w *where) fits(b *block, part int64) bool {
	if w.since != 0 && b.latest < w.since || w.until != 0 && b.earliest >= w.until {
		return false
	}
	for _, keys := range w.keys {
		if !slices.ContainsFunc(keys, func(key uint64) bool { return b.has(part, key) }) {
			return false
		}
	}
	return true
}
