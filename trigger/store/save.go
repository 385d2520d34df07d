package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Save writes the state of b and what belongs to it, and makes the builds due that b held.
// A build that is not resolved is due at b.DueAt, or in ten minutes if that is earlier.
// It is not taken before.
//
// Save returns ErrStale if the row was changed since b was read. A number that was found
// by a search is claimed once: Save returns ErrClaimed if it belongs to another build. A
// number that the service answered is certain: a build that adopted it in the meantime
// becomes unknown again, and is searched for anew.
func (s *Store) Save(ctx context.Context, b *Build) error {
	clean(&b.Reason, &b.BuildNumber, &b.QueueID) // no answer may keep a build from being saved
	b.Seen = max(b.Seen, Number(b.BuildNumber))
	log, err := json.Marshal(b.Log)
	if err != nil {
		return fmt.Errorf("build %s: its log: %w", b.ID, err)
	}
	if err := s.enqueue(ctx, &write{kind: writeSave, locks: saveLocks(b), build: b, log: string(log)}); err != nil {
		return fmt.Errorf("build %s: %w", b.ID, err)
	}
	b.version++
	return nil
}

func saveLocks(b *Build) []int64 {
	locks := callLock(b)
	if b.State == Started {
		locks = append(locks, followLock(b.Target, b.JobID))
	}
	return locks
}

// saveAll is Save for all that share a transaction. They go in rounds, so that the builds
// of one statement claim different numbers.
func (s *Store) saveAll(ctx context.Context, tx *tx, all []*write) error {
	for len(all) > 0 {
		round, later := disjoint(all, func(w *write) []any {
			keys := []any{w.build.Seq}
			if w.build.BuildNumber != "" {
				keys = append(keys, [3]string{w.build.Service, w.build.JobID, w.build.BuildNumber})
			}
			return keys
		})
		saved, err := saveRows(ctx, tx, round)
		if err != nil {
			return err
		}
		var done, started, reported []*Build
		for _, w := range round {
			if _, ok := saved[w.build.Seq]; !ok { // it was changed meanwhile, or another build has its number
				switch err := s.claim(ctx, tx, w.build); {
				case errors.Is(err, ErrStale), errors.Is(err, ErrClaimed):
					w.err = err
					continue
				case err != nil:
					return err
				}
				if again, err := saveRows(ctx, tx, []*write{w}); err != nil || len(again) == 0 {
					return cmp.Or(err, errOwnerChanged)
				}
			}
			if w.build.State != Calling && w.build.State != Unknown {
				done = append(done, w.build)
			}
			if w.build.State == Started {
				started = append(started, w.build)
			}
			if w.build.Context != "" {
				reported = append(reported, w.build)
			}
		}
		if err := wakeHeld(ctx, tx, done); err != nil {
			return err
		}
		if err := startedBuilds(ctx, tx, started); err != nil {
			return err
		}
		if err := reportBuilds(ctx, tx, reported); err != nil {
			return err
		}
		all = later
	}
	return nil
}

// saveRows returns which rows it changed: not those that were changed meanwhile, and not
// those whose number another build has.
func saveRows(ctx context.Context, tx *tx, all []*write) (map[int64]int64, error) {
	c := &rows{columns: []string{
		"seq", "version", "state", "reason", "attempts", "log", "asked", "build_no", "seen_no", "adopted", "started_at", "result",
		"queue_id", "wait",
	}}
	for _, w := range all {
		b, wait := w.build, int64(-1)
		if !b.State.Final() {
			wait = min(max(0, time.Until(b.DueAt)), longestWait).Microseconds()
		}
		c.add(b.Seq, b.version, string(b.State), b.Reason, int64(b.Attempts), w.log, int64(b.Asked), b.BuildNumber, b.Seen, b.Adopted,
			micros(b.StartedAt), string(b.Result), b.QueueID, wait)
	}
	saved, err := pairs[int64](ctx, tx, c, `UPDATE builds
		SET state = c.state, reason = c.reason, attempts = c.attempts, log = c.log, asked = c.asked,
		build_no = c.build_no, seen_no = c.seen_no, adopted = c.adopted, claimed = c.build_no <> '',
		started_at = c.started_at, result = c.result, queue_id = c.queue_id, held = 0, paused_at = 0, worker = '',
		due_at = CASE WHEN c.wait >= 0 THEN `+tx.now+` + c.wait ELSE 0 END, version = builds.version + 1
		FROM c WHERE builds.seq = c.seq AND `+tx.among("builds.seq")+` AND builds.version = c.version
		AND NOT EXISTS (SELECT 1 FROM builds o WHERE o.service = builds.service AND o.job_id = builds.job_id AND o.build_no = c.build_no
		AND o.claimed AND o.seq <> c.seq)
		RETURNING builds.seq, 0`)
	if err != nil {
		return nil, fmt.Errorf("save builds: %w", err)
	}
	return saved, nil
}

// errOwnerChanged rolls a transaction back, which is then tried again.
var errOwnerChanged = errors.New("the build that has the number was changed meanwhile")

// claim takes the build number of b from the build that has it. It returns ErrStale if b
// is not what is stored, and ErrClaimed if the number stays where it is.
func (s *Store) claim(ctx context.Context, tx *tx, b *Build) error {
	var version int64
	if err := queryRow(ctx, tx, `SELECT version FROM builds WHERE seq = ?`, b.Seq).Scan(&version); err != nil {
		if errors.Is(err, sql.ErrNoRows) { // pruned
			return ErrStale
		}
		return err
	}
	if version != b.version {
		return ErrStale
	}
	owner, err := scanBuild(queryRow(ctx, tx, `SELECT `+buildColumns+` FROM builds WHERE service = ? AND job_id = ? AND build_no = ?
		AND claimed`, b.Service, b.JobID, b.BuildNumber))
	var set string
	var args []any
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case b.Adopted:
		return ErrClaimed
	case !owner.Adopted || owner.StartedAt.Before(b.CalledAt):
		// The service counts from one again: it is another service, or the job was created anew.
		s.log.LogAttrs(ctx, slog.LevelWarn, "build number was given a second time", slog.String("build_number", b.BuildNumber),
			slog.String("build", b.ID), slog.String("before", owner.ID), slog.String("job_id", b.JobID))
		if _, err = tx.exec(ctx, `UPDATE builds SET seen_no = 0 WHERE service = ? AND job_id = ? AND seen_no > 0`,
			b.Service, b.JobID); err != nil {
			return err
		}
		set, args = `claimed = ?`, []any{false}
	default:
		set = `state = 'unknown', due_at = ` + tx.now + `, build_no = '', adopted = ?, claimed = ?, started_at = 0,
			result = '', running_at = 0, ended_at = 0, message = '', step = '', record_id = '', stop = '', stopped_at = 0,
			project_id = CASE action WHEN 'job' THEN '' ELSE project_id END, queue_id = '', ran_commit = '', console = '', waited_at = 0,
			superseded_by = '', reason = ?`
		args = []any{false, false, "the build it was taken for turned out to be that of build " + b.ID}
		tx.notify(owner.Target)
		tx.reports = append(tx.reports, report{build: owner.ID, news: tookBack})
	}
	changed, err := tx.exec(ctx, `UPDATE builds SET `+set+`, version = version + 1 WHERE seq = ? AND version = ?`,
		append(args, owner.Seq, owner.version)...)
	if err == nil && changed == 0 {
		return errOwnerChanged
	}
	return err
}

// heldAtOnce is how many of the builds that a call holds because of its ref, and how many
// because of its commit, are due when it is resolved. One of them is called, and wakes the
// next ones when it is resolved; the others are held again.
const heldAtOnce = 3

// wakeHeld makes the builds due that were held by builds which are now resolved, or wait
// again: the next build of the ordering key of one that is final, and the first of those
// that its call held. A build that somebody works already finds out by itself. Most builds
// hold no other.
func wakeHeld(ctx context.Context, tx *tx, done []*Build) error {
	c := &rows{columns: []string{"seq", "final"}}
	for _, b := range done {
		c.add(b.Seq, b.State.Final())
	}
	const (
		next = `n.ref = b.ref AND n.job_id = b.job_id AND n.target = b.target AND n.rule = b.rule AND n.repository = b.repository
			AND n.unresolved AND n.seq > c.seq AND n.replay_of = '' ORDER BY n.seq LIMIT 1`
		byRef    = `r.ref = b.ref AND r.job_id = b.job_id AND r.service = b.service AND r.held = 2`
		byCommit = `m.commit_id = b.commit_id AND m.job_id = b.job_id AND m.service = b.service AND m.held = 2 AND m.commit_id <> ''`
	)
	from := ` FROM c CROSS JOIN builds b WHERE b.seq = c.seq AND ` + tx.among("b.seq")
	holding, err := pairs[int64](ctx, tx, c, `SELECT c.seq, CASE WHEN c.final THEN 1 ELSE 0 END`+from+`
		AND (c.final AND (SELECT n.held FROM builds n WHERE `+next+`) BETWEEN 1 AND 3
		OR EXISTS (SELECT 1 FROM builds r WHERE `+byRef+`) OR EXISTS (SELECT 1 FROM builds m WHERE `+byCommit+`))`)
	if err != nil {
		return fmt.Errorf("look for builds that are held: %w", err)
	}
	if len(holding) == 0 {
		return nil
	}
	c.args = c.args[:0]
	for seq, final := range holding {
		c.add(seq, final == 1)
	}
	woken := []string{
		`SELECT (SELECT CASE WHEN n.held BETWEEN 1 AND 3 THEN n.seq END FROM builds n WHERE ` + next + `)` + from + ` AND c.final`,
	}
	for n := range heldAtOnce {
		nth := fmt.Sprintf(" ORDER BY seq LIMIT 1 OFFSET %d)", n)
		woken = append(woken, `SELECT (SELECT r.seq FROM builds r WHERE `+byRef+nth+from,
			`SELECT (SELECT m.seq FROM builds m WHERE `+byCommit+nth+from)
	}
	targets, err := pairs[string](ctx, tx, c, `UPDATE builds SET due_at = `+tx.now+`, held = 0 WHERE worker = '' AND seq IN (`+
		strings.Join(woken, " UNION ALL ")+`)
		RETURNING builds.seq, builds.target`)
	if err != nil {
		return fmt.Errorf("wake builds: %w", err)
	}
	for _, target := range targets {
		tx.notify(target)
	}
	return nil
}
