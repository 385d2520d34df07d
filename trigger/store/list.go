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

	"buildbridge/mapping"
)

// MaxPage is the most rows that a page can have.
const MaxPage = 1000

// DefaultPage is how many rows a page has if nothing else is asked for.
const DefaultPage = 50

// BuildFilter selects the builds that fit all fields which are set.
type BuildFilter struct {
	State, Result, Origin, Rule, Target, JobID, Repository, Delivery string

	Ref      string // in full, or the short name of a branch or tag
	Commit   string // or the beginning of its id, MinCommit characters at least; of a tag, that of its commit if it is known
	ReplayOf string // the build that they repeat

	Since, Until time.Time // when the delivery was received; Until is not included
	After        string    // the cursor of the page before
	Limit        int       // rows; DefaultPage if not set, MaxPage at most
}

// where gives the conditions of the filter.
func (f *BuildFilter) where() *where {
	w := &where{}
	if f.Delivery != "" {
		w.by("delivery = ?", f.Delivery)
	}
	if f.ReplayOf != "" {
		w.by("replay_of = ? AND replay_of <> ''", f.ReplayOf)
	}
	switch mapping.Origin(f.Origin) {
	case "", mapping.OriginWebhook: // as nearly all are
		w.equal("origin", f.Origin)
	default:
		w.by("origin = ? AND origin <> 'webhook'", f.Origin) // the condition of an index
	}
	w.equal("state", f.State)
	switch state := State(f.State); {
	case w.few, state == "", state == Started, f.Result != "": // only started builds have a result
	case state.Final():
		w.add("state IN ('dead', 'superseded', 'dry_run')") // the condition of an index
		w.indexed = true
	default:
		w.by("due_at > 0") // as of every unresolved build
	}
	w.equal("result", f.Result)
	switch result := Result(f.Result); {
	case w.few, result == NoResult, result == Success:
	case result.Final():
		w.add("result IN ('failure', 'aborted', 'timeout', 'lost')") // the condition of an index
		w.indexed = true
	default:
		w.by("result = 'running'")
	}
	w.value("rule", f.Rule)
	w.value("target", f.Target)
	w.value("job_id", f.JobID)
	w.value("repository", f.Repository)
	w.ref(f.Ref)
	w.commit(f.Commit, buildBlocks.commits...)
	w.between(f.Since, f.Until)
	return w
}

// Builds lists builds, the newest first. next is the cursor of the next page, "" if this is
// the last one. A cursor that Builds did not give is an error.
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
	if err := s.find(ctx, buildBlocks, buildColumns, w, high, limit+1); err != nil {
		return nil, "", fmt.Errorf("list builds: %w", err)
	}
	if len(builds) > limit {
		builds = builds[:limit]
		next = strconv.FormatInt(builds[limit-1].Seq, 10)
	}
	return builds, next, nil
}

// ErrFilter means that a filter is not valid.
var ErrFilter = errors.New("not a valid filter")

// DeliveryFilter selects the deliveries that fit all fields which are set.
type DeliveryFilter struct {
	Source, Origin, Outcome, Reason, Repository string

	Ref          string    // in full, or the short name of a branch or tag
	Commit       string    // or the beginning of its id, MinCommit characters at least
	Since, Until time.Time // Until is not included
	After        string    // the cursor of the page before
	Limit        int       // rows; DefaultPage if not set, MaxPage at most

	NotReplayed bool // only those that no other delivery replays
}

// Deliveries lists deliveries, the newest first, without header, body and verdicts. next is
// the cursor of the next page, "" if this is the last one. A cursor that Deliveries did not
// give is an error.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter) (deliveries []*Delivery, next string, err error) {
	high, err := below(f.After)
	if err != nil {
		return nil, "", err
	}
	limit := page(f.Limit)
	seqs := map[*Delivery]int64{}
	for _, w := range f.wheres() {
		w.each = func(row scanner) error {
			var seq int64
			d, err := scanDelivery(row, &seq)
			deliveries, seqs[d] = append(deliveries, d), seq
			return err
		}
		if err := s.find(ctx, deliveryBlocks, deliveryColumns, w, high, limit+1); err != nil {
			return nil, "", fmt.Errorf("list deliveries: %w", err)
		}
	}
	slices.SortFunc(deliveries, func(a, b *Delivery) int { return cmp.Compare(seqs[b], seqs[a]) })
	if len(deliveries) > limit {
		deliveries = deliveries[:limit]
		next = strconv.FormatInt(seqs[deliveries[limit-1]], 10)
	}
	return deliveries, next, nil
}

// deliveryColumns are what a list shows of a delivery.
const deliveryColumns = "seq, id, source, provider, host_id, event, repository, ref, commit_id, received_at, outcome, reason, replay_of, " +
	"origin, actor, why, pusher, title"

// scanDelivery reads a row of deliveryColumns.
func scanDelivery(row scanner, seq *int64) (*Delivery, error) {
	var (
		d        Delivery
		received int64
	)
	if err := row.Scan(seq, &d.ID, &d.Source, &d.Provider, &d.HostID, &d.Event, &d.Repository, &d.Ref, &d.Commit,
		&received, &d.Outcome, &d.Reason, &d.ReplayOf, &d.Origin, &d.By.Actor, &d.By.Why, &d.Pusher, &d.Title); err != nil {
		return nil, err
	}
	var bad unreadable
	d.ReceivedAt = bad.time("received_at", received)
	d.Unreadable = bad.String()
	return &d, nil
}

// wheres gives the conditions of the filter: of rows that fit one or the other. Accepted
// deliveries have blocks, and the few others have an index.
func (f *DeliveryFilter) wheres() []*where {
	accepted, ignored, found := &where{}, &where{few: true}, &where{}
	accepted.add("outcome = 'accepted'")
	ignored.add("outcome <> 'accepted'")
	all := []*where{accepted, ignored}
	switch mapping.Origin(f.Origin) {
	case "":
	case mapping.OriginWebhook: // as nearly all are
		accepted.equal("origin", f.Origin)
		ignored.equal("origin", f.Origin)
	default:
		found.by("origin = ? AND origin <> 'webhook'", f.Origin) // the condition of an index
		found.equal("outcome", f.Outcome)
		all = []*where{found}
	}
	for _, w := range all {
		if f.Source != "" {
			w.add("source || '' = ?", f.Source) // an expression, to keep the planner from the index for duplicates
			w.keys = append(w.keys, []uint64{valueKey("source", f.Source)})
		}
		w.value("repository", f.Repository)
		w.ref(f.Ref)
		w.commit(f.Commit, deliveryBlocks.commits...)
		w.between(f.Since, f.Until)
		w.equal("reason", f.Reason)
		if f.NotReplayed {
			// Not as NOT EXISTS: PostgreSQL would read all replays for a join.
			w.add("(SELECT r.id FROM deliveries r WHERE r.replay_of = deliveries.id AND r.replay_of <> '' LIMIT 1) IS NULL")
		}
	}
	if found.few {
		return all
	}
	switch f.Outcome {
	case string(Accepted):
		return []*where{accepted}
	case "":
		switch {
		case f.Reason != "": // accepted deliveries have none
		case len(accepted.args) == 0 && !f.NotReplayed:
			return []*where{{}} // all rows
		default:
			return []*where{accepted, ignored}
		}
	default:
		ignored.equal("outcome", f.Outcome)
	}
	return []*where{ignored}
}

// find reads up to n rows that fit, the newest first, beginning at a seq.
func (s *Store) find(ctx context.Context, t blockTable, columns string, w *where, high int64, n int) error {
	s.wantBlocks()
	order := "seq"
	if w.unsorted {
		order = "seq + 0" // an expression: the rows are found by the other index, and sorted
	}
	read := func(rows string, args ...any) error {
		return each(ctx, s.db.reader(), func(row scanner) error {
			n--
			return w.each(row)
		}, `SELECT `+columns+` FROM `+t.table+` WHERE seq IN (
				SELECT seq FROM `+t.table+` WHERE `+rows+w.conditions+` ORDER BY `+order+` DESC LIMIT ?)
			ORDER BY seq DESC`, slices.Concat(args, w.args, []any{n})...)
	}
	if byNoBlock := len(w.keys) == 0 && w.since == 0 && w.until == 0; byNoBlock || w.few {
		return read(order+" BETWEEN ? AND ?", 0, high)
	}
	gap := int64(blockRows / blockParts * 2)
	if w.indexed {
		gap = blockLong
	}
	return s.spans(ctx, t, high, gap, w.oldest, len(w.keys) > 0, w.fits, func(found []span) (bool, error) {
		for len(found) > 0 && n > 0 {
			some, seqs := together(found)
			var err error
			if some == 1 || w.indexed { // an index that has seq last finds the rows of one span
				some, err = 1, read("seq BETWEEN ? AND ?", found[0].first, found[0].last)
			} else {
				condition, list := s.db.oneOf("seq", seqs)
				err = read(condition, list)
			}
			if err != nil {
				return false, err
			}
			found = found[some:]
		}
		return n > 0, nil
	})
}

// seqsAtOnce is the most seqs of several spans that one statement reads: to seek each costs less than
// a statement for each span.
const seqsAtOnce = 1024

// together gives how many of the first spans are read by one statement, at least one, and the seqs of these.
func together(found []span) (n int, seqs []int64) {
	for _, sp := range found {
		if sp.last-sp.first >= seqsAtOnce-int64(len(seqs)) {
			break
		}
		for seq := sp.first; seq <= sp.last; seq++ {
			seqs = append(seqs, seq)
		}
		n++
	}
	return max(n, 1), seqs
}

// below gives the highest seq of a page, by its cursor.
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

// where is what a list asks for: conditions that must all hold, and what reads each row.
type where struct {
	conditions   string // with an AND before each
	args         []any
	keys         [][]uint64 // a block must have one key of each list
	since, until int64      // when the rows were received: since or later, before until; 0 for any time
	oldest       int64      // the first block with older rows only is the last that is looked at; 0 looks at all
	indexed      bool       // an index finds the rows of a span
	few          bool       // an index finds all rows that fit, and they are few
	unsorted     bool       // that index is not in the order of seq
	each         func(row scanner) error
}

func (w *where) add(condition string, args ...any) {
	w.conditions += " AND " + condition
	w.args = append(w.args, args...)
}

// by adds the condition of an index that has few rows for it, and not in the order of seq.
func (w *where) by(condition string, args ...any) {
	w.add(condition, args...)
	w.few, w.unsorted = true, true
}

func (w *where) equal(column, value string) {
	if value != "" {
		w.add(column+" = ?", value)
	}
}

// value is equal for a column whose values are in the filters of blocks.
func (w *where) value(column, value string) {
	if value != "" {
		w.equal(column, value)
		w.keys = append(w.keys, []uint64{valueKey(column, value)})
	}
}

// ref adds a condition on the ref. A short name is that of a branch or of a tag.
func (w *where) ref(name string) {
	if name == "" || strings.HasPrefix(name, "refs/") {
		w.value("ref", name)
		return
	}
	branch, tag := "refs/heads/"+name, "refs/tags/"+name
	w.add("ref IN (?, ?)", branch, tag)
	w.keys = append(w.keys, []uint64{valueKey("ref", branch), valueKey("ref", tag)})
}

// commit adds the condition that one of the columns begins with this.
func (w *where) commit(id string, columns ...string) {
	if id == "" {
		return
	}
	id = strings.ToLower(id)
	var conditions []string
	var args []any
	for _, column := range columns {
		conditions, args = append(conditions, "substr("+column+", 1, ?) = ?"), append(args, len(id), id)
	}
	w.add("("+strings.Join(conditions, " OR ")+")", args...)
	w.keys = append(w.keys, []uint64{commitKey(id)})
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

// fits reports whether a part of a block may have rows that fit.
func (w *where) fits(b *block, part int64) bool {
	if w.since != 0 && b.latest < w.since || w.until != 0 && b.earliest >= w.until {
		return false
	}
	for _, keys := range w.keys {
		if !slices.ContainsFunc(keys, func(key uint64) bool { return b.filter.has(partKey(key, part)) }) {
			return false
		}
	}
	return true
}
