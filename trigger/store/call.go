package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Hold is why a build may not be called now.
type Hold string

// The holds. A build that is held is due as soon as what holds it is resolved.
const (
	NoHold    Hold = ""
	HoldOrder Hold = "an earlier build of the same rule, repository, ref and job is not resolved"
	HoldCall  Hold = "another call for the same job, and ref or commit, is not resolved"
	// HoldRunning lasts until one of them ends.
	HoldRunning Hold = "max_running: earlier builds of the same rule, repository, ref and job run"
	// HoldPause lasts until no pause is about the build any more. The reason of the build is that
	// of the pause.
	HoldPause Hold = "a pause"
)

// HoldFor is the longest that an unresolved build holds its successors, counted from its
// delivery.
const HoldFor = time.Hour

// lookAgain is when a build that is held by another's call is due at the latest: two calls
// may hold it, and only one of them wakes it.
const lookAgain = 15 * time.Second

// BeginCall moves a waiting build to calling, in the name of this process, unless
// something holds it. It returns ErrStale if b is not what is stored. A build is held by
//
//   - a pause: one that is stored, or b.Paused;
//   - an earlier build of its ordering key, unless it is a replay;
//   - an unresolved call of b.Service for the same job, and ref or commit, whichever
//     target made it: if both calls got no answer, neither could tell which of them
//     started a build of the service. A call for another commit of the ref can be told
//     apart as soon as the service says what it builds, and holds for HoldFor at most;
//   - b.MaxRunning or more builds of its ordering key that run, unless it is a replay. Those
//     that it will replace do not count.
//
// With the call it stores CalledThere, and the highest number that any build of the job
// has seen: the number of this call will be higher.
func (s *Store) BeginCall(ctx context.Context, b *Build, now time.Time) (Hold, error) {
	w := &write{kind: writeCall, locks: callLock(b), build: b, now: now}
	if err := s.enqueue(ctx, w); err != nil {
		return NoHold, err
	}
	b.version++
	if w.hold == NoHold {
		b.State, b.Reason, b.Caller, b.CalledAt, b.Asked = Calling, "", s.caller, fromMicros(micros(now)), 0
		b.Attempts++
	}
	return w.hold, nil
}

// Hold holds the build as BeginCall does, if something holds it, and changes nothing if
// nothing does.
func (s *Store) Hold(ctx context.Context, b *Build, now time.Time) (Hold, error) {
	w := &write{kind: writeHold, locks: callLock(b), build: b, now: now}
	if err := s.enqueue(ctx, w); err != nil {
		return NoHold, err
	}
	if w.hold != NoHold {
		b.version++
	}
	return w.hold, nil
}

// callAll is BeginCall for all that share a transaction. They go in rounds, because the
// calls of one statement do not see each other. Each call begins with a whole lease.
func (s *Store) callAll(ctx context.Context, tx *tx, all []*write) error {
	for len(all) > 0 {
		round, later := disjoint(all, func(w *write) []int64 { return w.locks })
		begun, err := pairs[int64](ctx, tx, callRows(round), `UPDATE builds
			SET state = 'calling', reason = '', caller = ?, due_at = `+tx.now+` + ?, worker = ?,
			service = c.service, called_at = c.now, called_there = c.there, known_no = coalesce((`+highest+`), 0),
			attempts = builds.attempts + 1, asked = 0, held = 0, version = builds.version + 1
			FROM c WHERE builds.seq = c.seq AND `+tx.among("builds.seq")+` AND builds.version = c.version
			AND NOT (`+held+`) RETURNING builds.seq, 0`,
			s.caller, Lease.Microseconds(), s.caller)
		if err != nil {
			return fmt.Errorf("begin calls: %w", err)
		}
		var waiting []*write
		for _, w := range round {
			w.hold = NoHold
			if _, ok := begun[w.build.Seq]; !ok {
				waiting = append(waiting, w)
			}
		}
		if err := holdAll(ctx, tx, waiting); err != nil {
			return err
		}
		for _, w := range waiting {
			if w.hold == NoHold { // else it would have been called
				w.err = ErrStale
			}
		}
		all = later
	}
	return nil
}

// holdAll is Hold for all that share a transaction. A build is due again when the first of
// the earlier ones has held it for HoldFor; an end of those that run wakes it, or its
// deadline. One that a pause holds is not due before EndHolds frees it.
func holdAll(ctx context.Context, tx *tx, all []*write) error {
	const first = `(` + earlier + ` ORDER BY e.seq LIMIT 1)`
	holding, err := pairs[int64](ctx, tx, callRows(all), `UPDATE builds SET service = c.service, worker = '',
		held = CASE WHEN `+heldByPause+` THEN 4 WHEN `+heldByOrder+` THEN CASE WHEN EXISTS (`+earlier+` AND e.held = 3) THEN 3 ELSE 1 END
			WHEN `+heldByCall+` THEN 2 ELSE 3 END,
		reason = CASE WHEN `+heldByPause+` THEN coalesce((`+pauses+` ORDER BY p.seq LIMIT 1), c.paused)
			WHEN `+heldByOrder+` THEN ? WHEN `+heldByCall+` THEN ? ELSE ? END,
		paused_at = CASE WHEN NOT `+heldByPause+` THEN 0 WHEN builds.paused_at > 0 THEN builds.paused_at
			ELSE coalesce((SELECT min(p.created_at) FROM pauses p WHERE `+covers+`
				AND p.created_at > builds.received_at AND p.created_at > builds.resumed_at), `+tx.now+`) END,
		due_at = CASE WHEN `+heldByPause+` THEN ? ELSE `+tx.now+` + CASE
		WHEN `+heldByOrder+` AND `+first+` > c.since AND `+first+` - c.since < ? THEN `+first+` - c.since
		WHEN `+heldByCall+` AND NOT `+heldByOrder+` THEN ?
		WHEN NOT `+heldByOrder+` AND builds.deadline > `+tx.now+` AND builds.deadline - `+tx.now+` < ? THEN builds.deadline - `+tx.now+` + 1
		ELSE ? END END, version = builds.version + 1
		FROM c WHERE builds.seq = c.seq AND `+tx.among("builds.seq")+` AND builds.version = c.version
		AND (`+held+`) RETURNING builds.seq, CASE WHEN builds.reason = ? THEN 1 ELSE builds.held END`,
		string(HoldOrder), string(HoldCall), string(HoldRunning), int64(lastMicros),
		longestWait.Microseconds(), lookAgain.Microseconds(),
		longestWait.Microseconds(), longestWait.Microseconds(), string(HoldOrder))
	if err != nil {
		return fmt.Errorf("hold builds: %w", err)
	}
	var reported []*Build
	for _, w := range all {
		w.hold = []Hold{NoHold, HoldOrder, HoldCall, HoldRunning, HoldPause}[holding[w.build.Seq]]
		if w.hold == HoldRunning {
			if err := holdBehind(ctx, tx, w.build); err != nil {
				return err
			}
		}
		if w.hold != NoHold && w.build.Context != "" {
			reported = append(reported, w.build)
		}
	}
	return reportBuilds(ctx, tx, reported)
}

// holdBehind counts the builds behind one that waits for those that run among these too: they
// wait no longer than people have asked for.
func holdBehind(ctx context.Context, tx *tx, b *Build) error {
	_, err := tx.exec(ctx, `UPDATE builds SET held = 3 WHERE ref = ? AND job_id = ? AND target = ? AND rule = ? AND repository = ?
		AND unresolved AND held = 1 AND worker = '' AND seq > ?`, b.Ref, b.JobID, b.Target, b.Rule, b.Repository, b.Seq)
	if err != nil {
		return fmt.Errorf("hold those behind build %s: %w", b.ID, err)
	}
	return nil
}

// callRows are what a statement has to know of the builds that are to be called.
func callRows(all []*write) *rows {
	c := &rows{columns: []string{"seq", "version", "service", "now", "there", "since", "paused", "repository"}}
	for _, w := range all {
		c.add(w.build.Seq, w.build.version, w.build.Service, micros(w.now), micros(w.build.CalledThere), micros(w.now.Add(-HoldFor)),
			w.build.Paused, strings.ToLower(w.build.Repository))
	}
	return c
}

// Conditions of a build that has a row in c.
const (
	held = heldByPause + ` OR ` + heldByOrder + ` OR ` + heldByCall + ` OR ` + heldByRunning
	// pauses give the reasons of the stored pauses that hold it. c.repository is in lower case.
	pauses = `SELECT p.says FROM pauses p WHERE ` + covers
	covers = `(p.kind = 'all' OR p.kind = 'target' AND p.name = builds.target OR p.kind = 'rule' AND p.name = builds.rule
		OR p.kind = 'repository' AND p.name = c.repository)`
	heldByPause = `(c.paused <> '' OR EXISTS (` + pauses + `))`
	// ordered is whether it keeps the order of its ordering key: all do that a delivery was decided
	// for, and a replay of a build does not.
	ordered = `builds.replay_of = ''`
	// earlier are the earlier builds of its ordering key that hold it: one that waits for the
	// end of others, or of a pause, may do so for longer than HoldFor, and stays before it.
	earlier = `SELECT CASE WHEN e.resumed_at > e.received_at THEN e.resumed_at ELSE e.received_at END
		FROM builds e WHERE e.ref = builds.ref AND e.job_id = builds.job_id AND e.target = builds.target
		AND e.rule = builds.rule AND e.repository = builds.repository
		AND e.seq < c.seq AND e.unresolved AND e.replay_of = ''
		AND (e.received_at > c.since OR e.resumed_at > c.since OR e.held >= 3)`
	heldByOrder = `(` + ordered + ` AND EXISTS (` + earlier + `))`
	heldByCall  = `(EXISTS (SELECT 1 FROM builds r WHERE r.ref = builds.ref AND r.job_id = builds.job_id AND r.service = c.service
			AND r.unresolved AND r.state <> 'waiting' AND r.seq <> c.seq
			AND (r.received_at > c.since OR r.resumed_at > c.since OR r.tag <> '' OR r.commit_id = ''))
		OR EXISTS (SELECT 1 FROM builds m WHERE m.commit_id = builds.commit_id AND m.job_id = builds.job_id AND m.service = c.service
			AND m.commit_id <> '' AND m.unresolved AND m.state <> 'waiting' AND m.seq <> c.seq))`
	heldByRunning = `(builds.max_running > 0 AND ` + ordered + ` AND (SELECT count(*) FROM builds o
		WHERE o.ref = builds.ref AND o.job_id = builds.job_id AND o.target = builds.target AND o.rule = builds.rule
		AND o.repository = builds.repository AND o.result = 'running'
		AND (NOT builds.replace_running OR builds.by_hand OR o.by_hand
			OR o.tag <> '' OR o.adopted AND o.marker = '' AND o.action <> 'pipeline' OR o.delivery = builds.delivery))
			>= builds.max_running)`
	// highest is the highest number that was seen of its job.
	highest = `SELECT s.seen_no FROM builds s WHERE s.service = c.service AND s.job_id = builds.job_id AND s.seen_no > 0
		ORDER BY s.seen_no DESC LIMIT 1`
)

// disjoint takes the writes that share no key with an earlier one, and leaves the others
// for later.
func disjoint[K comparable](all []*write, keys func(w *write) []K) (round, later []*write) {
	taken := map[K]bool{}
	for _, w := range all {
		its := keys(w)
		if slices.ContainsFunc(its, func(k K) bool { return taken[k] }) {
			later = append(later, w)
			continue
		}
		for _, k := range its {
			taken[k] = true
		}
		round = append(round, w)
	}
	return round, later
}

// callLock are the keys of locks that serialise, among replicas, the calls that hold each
// other, and with them the order of each ordering key. Builds that hold each other have
// one of them in common. The id of a job is unique among all services.
func callLock(b *Build) []int64 {
	locks := []int64{lockKey("call", b.JobID, b.Ref)}
	if b.Commit != "" {
		locks = append(locks, lockKey("commit", b.JobID, b.Commit))
	}
	return locks
}
