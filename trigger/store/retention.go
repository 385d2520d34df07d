package store

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Retention says how long rows are kept. 0 keeps them for ever. The tags are for the
// command line.
type Retention struct {
	Bodies time.Duration `type:"age" default:"7d" help:"How long to keep the bodies of deliveries, which a replay needs; 0 is for ever."`
	// Deliveries is also how long duplicates are known. Those that built something stay at
	// least as long as their builds.
	Deliveries time.Duration `type:"age" default:"30d" help:"How long to keep deliveries; those with builds stay as long as these."`
	// Builds is for builds that are resolved and do not run.
	Builds time.Duration `type:"age" default:"90d" help:"How long to keep builds; those that still wait stay."`
}

// The most that one transaction prunes: so little that a delivery which arrives meanwhile
// need not wait. A single row may have more bytes.
const (
	pruneRows  = 500
	pruneBytes = 8 << 20 // of bodies
)

// Prune deletes some rows that are older than the retention says, in small transactions,
// and returns how many rows it changed, also with an error. A delivery stays as long as one
// of its builds.
func (s *Store) Prune(ctx context.Context, r Retention, now time.Time) (changed int64, err error) {
	for _, step := range r.pruneSteps() {
		if step.keep <= 0 {
			continue
		}
		n, err := s.pruneStep(ctx, step, micros(now.Add(-step.keep)))
		changed += n
		if err != nil {
			return changed, fmt.Errorf("prune old rows: %w", err)
		}
	}
	n, err := s.pruneStatuses(ctx)
	if changed += n; err != nil {
		return changed, fmt.Errorf("prune old statuses: %w", err)
	}
	n, err = s.pruneRepositories(ctx, r.Deliveries, now)
	if changed += n; err != nil {
		return changed, fmt.Errorf("prune old repositories: %w", err)
	}
	return changed, nil
}

func (r *Retention) pruneSteps() []pruneStep {
	// Deliveries with builds are not looked at before their builds can be gone.
	built := r.Deliveries
	if r.Builds <= 0 {
		built = 0
	} else if built > 0 {
		built = max(built, r.Builds)
	}
	const empty = `UPDATE deliveries SET body = substr(body, 1, 0)`
	return []pruneStep{
		{buildBlocks, r.Builds, `DELETE FROM builds`, `NOT unresolved AND result <> 'running'`},
		{deliveryBlocks, r.Bodies, empty, `outcome = 'accepted' AND length(body) > 0
			AND NOT EXISTS (SELECT 1 FROM builds WHERE delivery = deliveries.id AND unresolved)`},
		{deliveryBlocks, built, `DELETE FROM deliveries`, `outcome = 'accepted'
			AND NOT EXISTS (SELECT 1 FROM builds WHERE delivery = deliveries.id)`},
		// The ignored log.
		{blockTable{table: "deliveries"}, r.Bodies, empty, `outcome <> 'accepted' AND length(body) > 0`},
		{blockTable{table: "deliveries"}, r.Deliveries, `DELETE FROM deliveries`, `outcome <> 'accepted'`},
	}
}

// pruneStep is one kind of change: rows of a table are deleted, or lose their bodies.
type pruneStep struct {
	blockTable
	keep      time.Duration
	change    string // DELETE, or UPDATE
	condition string // of the rows
}

func (o *pruneStep) empties() bool { return o.change[0] == 'U' }

// pruneStep prunes the rows that were received before a time.
func (s *Store) pruneStep(ctx context.Context, o pruneStep, before int64) (changed int64, err error) {
	if o.columns == nil { // it has no blocks
		return s.pruneSpan(ctx, o, span{0, math.MaxInt64}, before)
	}
	old := func(b *block, _ int64) bool { return b.earliest < before && (!b.emptied || !o.empties()) }
	err = s.spans(ctx, o.blockTable, math.MaxInt64, 0, 0, false, old, func(found []span) (bool, error) {
		for _, sp := range found {
			n, err := s.pruneSpan(ctx, o, sp, before)
			if changed += n; err != nil {
				return false, err
			}
		}
		return true, nil
	})
	return changed, err
}

// pruneSpan prunes the rows of a span, the last first, and then the blocks without rows, or
// marks those without bodies.
func (s *Store) pruneSpan(ctx context.Context, o pruneStep, sp span, before int64) (changed int64, err error) {
	var endBlocks string
	if !o.empties() { // new rows may get the seqs of those that are deleted
		endBlocks = fmt.Sprintf(`DELETE FROM %[1]s_blocks WHERE last_seq < (SELECT min(seq) FROM %[1]s)
			OR last_seq > (SELECT coalesce(max(seq), 0) FROM %[1]s)`, o.table)
	}
	for last := sp.last; ; {
		seqs, err := s.rowsToPrune(ctx, o, span{sp.first, last}, before)
		if err != nil {
			return changed, err
		}
		if len(seqs) == 0 {
			break
		}
		n, err := s.changeRows(ctx, o.change, "seq", seqs, o.condition, endBlocks)
		if changed += n; err != nil {
			return changed, err
		}
		last = seqs[len(seqs)-1] - 1
	}
	if !o.empties() || o.columns == nil {
		return changed, nil
	}
	seqs, err := column[int64](ctx, s.db.reader(), `SELECT last_seq FROM deliveries_blocks b WHERE last_seq BETWEEN ? AND ? AND NOT emptied
		AND NOT EXISTS (SELECT 1 FROM deliveries WHERE seq BETWEEN b.first_seq AND b.last_seq AND outcome = 'accepted' AND length(body) > 0)`,
		sp.first, sp.last)
	if err != nil || len(seqs) == 0 {
		return changed, err
	}
	_, err = s.changeRows(ctx, `UPDATE deliveries_blocks SET emptied = NOT emptied`, "last_seq", seqs, `NOT emptied`, "")
	return changed, err
}

// rowsToPrune gives some rows of a span that are to be pruned, the last first.
func (s *Store) rowsToPrune(ctx context.Context, o pruneStep, sp span, before int64) (seqs []int64, err error) {
	room := int64(pruneBytes)
	err = each(ctx, s.db.reader(), func(row scanner) error {
		var seq, bytes int64
		err := row.Scan(&seq, &bytes)
		if room -= bytes; room >= 0 || len(seqs) == 0 {
			seqs = append(seqs, seq)
		}
		return err
	}, `SELECT seq, length(body) FROM `+o.table+` WHERE seq BETWEEN ? AND ? AND received_at < ? AND `+o.condition+`
		ORDER BY seq DESC LIMIT ?`, sp.first, sp.last, before, pruneRows)
	return seqs, err
}

// changeRows changes the rows that still meet a condition, and then runs another statement,
// unless it is "", in the same transaction.
func (s *Store) changeRows(ctx context.Context, change, key string, keys []int64, condition, then string) (int64, error) {
	s.pruning.Lock()
	defer s.pruning.Unlock()
	var changed int64
	// Not cut short by ctx: no block may be written before this is.
	err := s.write(context.WithoutCancel(ctx), nil, func(ctx context.Context, tx *tx) (err error) {
		these, list := tx.db.oneOf(key, keys)
		if changed, err = tx.exec(ctx, change+` WHERE `+these+` AND `+condition, list); err == nil && then != "" {
			_, err = tx.exec(ctx, then)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}
