package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Build reads one build. It returns ErrNotFound if there is none.
func (s *Store) Build(ctx context.Context, id string) (*Build, error) {
	b, err := scanBuild(s.db.reader().queryRow(ctx, `SELECT `+buildColumns+` FROM builds WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("build %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", id, err)
	}
	return b, nil
}

// BuildsOf reads the builds of a delivery in the order they were committed.
func (s *Store) BuildsOf(ctx context.Context, delivery string) (builds []*Build, err error) {
	rows, err := s.db.reader().query(ctx, `SELECT `+buildColumns+` FROM builds WHERE delivery = ? ORDER BY seq`, delivery)
	if err != nil {
		return nil, fmt.Errorf("builds of delivery %s: %w", delivery, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		b, err := scanBuild(rows)
		if err != nil {
			return nil, fmt.Errorf("builds of delivery %s: %w", delivery, err)
		}
		builds = append(builds, b)
	}
	return builds, rows.Err()
}

// Hold is why a build may not be called now.
type Hold string

// The holds. A build that is held is due when what holds it is resolved.
const (
	NoHold    Hold = ""
	HoldOrder Hold = "an earlier build of the same rule, repository, ref and job is not resolved"
	HoldCall  Hold = "another call for the same job, and ref or commit, is not resolved"
)

// HoldFor is the longest that an unresolved build holds up its successors,
// counted from its delivery.
const HoldFor = time.Hour

// lookAgain is when a build that waits for another's call is due at the latest: it may
// wait for two, and be woken by one.
const lookAgain = 15 * time.Second

// BeginCall moves a waiting build to calling, in the name of this process, or
// holds it when something is in its way: an earlier build of its line (replays wait
// for none), or an unresolved call for the same job, and ref or commit, of b.Service,
// whichever target it was made for: of two such calls without an answer, neither
// could tell which of them a build of the service came from. A call for another commit of the ref can be told apart
// once the service says what it builds, and holds for no longer than HoldFor. It
// returns ErrStale if b is not what is stored.
//
// With the call it stores CalledThere, and the highest number of the job that any
// build has seen: the number of this call will be above it.
func (s *Store) BeginCall(ctx context.Context, b *Build, now time.Time) (Hold, error) {
	w := &write{locks: callLock(b), call: &calling{build: b, now: now}}
	if err := s.enqueue(ctx, w); err != nil {
		return NoHold, err
	}
	hold := w.call.hold
	b.version++
	if hold == NoHold {
		b.State, b.Reason, b.Caller, b.CalledAt, b.Asked = Calling, "", s.caller, fromMicros(micros(now)), 0
		b.Attempts++
	}
	return hold, nil
}

// calling is a build on its way to be called, and what holds it.
type calling struct {
	build *Build
	now   time.Time
	hold  Hold
}

// beginCalls is BeginCall for all that share a transaction: in rounds, because those of
// one round do not see each other. It changes nothing of a build that is stale. A call
// begins with a whole lease.
func (s *Store) beginCalls(ctx context.Context, tx *tx, all []*write) error {
	for len(all) > 0 {
		round, later := disjoint(all, func(w *write) []any {
			keys := []any{refKey(w.call.build)}
			if w.call.build.Commit != "" {
				keys = append(keys, commitKey(w.call.build))
			}
			return keys
		})
		begun, err := pairs[int64](ctx, tx, callRows(round), `UPDATE builds SET state = 'calling', reason = '', caller = ?, due_at = `+tx.db.now()+` + ?, worker = ?,
			service = c.service, called_at = c.now, called_there = c.there, known_no = coalesce((`+highest+`), 0), attempts = builds.attempts + 1, asked = 0, held = 0, version = builds.version + 1
			FROM c WHERE builds.seq = c.seq AND `+tx.db.among("builds.seq")+` AND builds.version = c.version AND NOT (`+ordered+` OR `+inTheWay+`) RETURNING builds.seq, 0`,
			s.caller, Lease.Microseconds(), s.caller)
		if err != nil {
			return fmt.Errorf("begin calls: %w", err)
		}
		var held []*write
		for _, w := range round {
			w.call.hold = NoHold
			if _, ok := begun[w.call.build.Seq]; !ok {
				held = append(held, w)
			}
		}
		if err := s.holdAll(ctx, tx, held); err != nil {
			return err
		}
		for _, w := range held {
			if w.call.hold == NoHold {
				w.err = ErrStale // else it would have been called
			}
		}
		all = later
	}
	return nil
}

// holdAll is Park for all that share a transaction.
func (*Store) holdAll(ctx context.Context, tx *tx, all []*write) error {
	const first = `(` + earlier + ` ORDER BY e.seq LIMIT 1)`
	held, err := pairs[int64](ctx, tx, callRows(all), `UPDATE builds SET service = c.service, worker = '', held = CASE WHEN `+ordered+` THEN 1 ELSE 2 END, reason = CASE WHEN `+ordered+` THEN ? ELSE ? END,
		due_at = `+tx.db.now()+` + CASE WHEN NOT `+ordered+` THEN ? WHEN `+first+` - c.since < ? THEN `+first+` - c.since ELSE ? END, version = builds.version + 1
		FROM c WHERE builds.seq = c.seq AND `+tx.db.among("builds.seq")+` AND builds.version = c.version AND (`+ordered+` OR `+inTheWay+`) RETURNING builds.seq, builds.held`,
		string(HoldOrder), string(HoldCall), lookAgain.Microseconds(), furthest.Microseconds(), furthest.Microseconds())
	if err != nil {
		return fmt.Errorf("hold builds: %w", err)
	}
	for _, w := range all {
		w.call.hold = []Hold{NoHold, HoldOrder, HoldCall}[held[w.call.build.Seq]]
	}
	return nil
}

// callRows are what a statement has to know of builds that are to be called.
func callRows(all []*write) *rows {
	c := &rows{columns: []string{"seq", "version", "service", "now", "there", "since"}}
	for _, w := range all {
		b, now := w.call.build, w.call.now
		c.add(b.Seq, b.version, b.Service, micros(now), micros(b.CalledThere), micros(now.Add(-HoldFor)))
	}
	return c
}

// What a build of c waits for: earlier ones of its line, and calls of others of which it
// is not known whether they started a build. A call for another commit of the ref holds
// it up since an hour at the most.
const (
	earlier = `SELECT e.received_at FROM builds e WHERE e.ref = builds.ref AND e.job_id = builds.job_id AND e.target = builds.target AND e.rule = builds.rule AND e.repository = builds.repository
		AND e.seq < c.seq AND e.unresolved AND NOT e.by_hand AND e.received_at > c.since`
	ordered  = `(NOT builds.by_hand AND EXISTS (` + earlier + `))`
	inTheWay = `EXISTS (SELECT 1 FROM builds r WHERE r.ref = builds.ref AND r.job_id = builds.job_id AND r.service = c.service AND r.unresolved AND r.state <> 'waiting'
			AND r.seq <> c.seq AND (r.received_at > c.since OR r.tag <> '' OR r.commit_id = ''))
		OR EXISTS (SELECT 1 FROM builds m WHERE m.commit_id = builds.commit_id AND m.job_id = builds.job_id AND m.service = c.service AND m.commit_id <> ''
			AND m.unresolved AND m.state <> 'waiting' AND m.seq <> c.seq)`
	// highest is the highest number that was seen of its job.
	highest = `SELECT s.seen_no FROM builds s WHERE s.service = c.service AND s.job_id = builds.job_id AND s.seen_no > 0 ORDER BY s.seen_no DESC LIMIT 1`
)

// apart takes those that share no key with one before, and leaves the others for later.
func disjoint(all []*write, keys func(w *write) []any) (some, later []*write) {
	taken := map[any]bool{}
	for _, w := range all {
		its := keys(w)
		if slices.ContainsFunc(its, func(k any) bool { return taken[k] }) {
			later = append(later, w)
			continue
		}
		for _, k := range its {
			taken[k] = true
		}
		some = append(some, w)
	}
	return some, later
}

// Park is the first half of BeginCall: it parks the build if something holds it,
// and changes nothing if nothing does.
func (s *Store) Hold(ctx context.Context, b *Build, now time.Time) (Hold, error) {
	w := &write{locks: callLock(b), call: &calling{build: b, now: now}, hold: true}
	if err := s.enqueue(ctx, w); err != nil {
		return NoHold, err
	}
	if w.call.hold != NoHold {
		b.version++
	}
	return w.call.hold, nil
}

// callLock is what serialises the calls that hold each other up, and with them
// the order of their lines, among replicas. The id of a job is that of no other, of
// whatever service.
func callLock(b *Build) []int64 {
	locks := []int64{refKey(b)}
	if b.Commit != "" {
		locks = append(locks, commitKey(b))
	}
	return locks
}

// Builds that hold each other up have one of them.
func refKey(b *Build) int64    { return lockKey("call", b.JobID, b.Ref) }
func commitKey(b *Build) int64 { return lockKey("commit", b.JobID, b.Commit) }

// change updates the row of b if it is still what was read. It does not touch b.
func change(ctx context.Context, tx *tx, b *Build, set string, args ...any) error {
	n, err := tx.exec(ctx, `UPDATE builds SET `+set+`, version = version + 1 WHERE seq = ? AND version = ?`,
		append(args, b.Seq, b.version)...)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrStale
	}
	return nil
}

// Save writes the state of b and what belongs to it, and makes due what it held up. A
// build that is not resolved is due at b.DueAt, or in ten minutes if that is earlier,
// and whoever takes it then works it.
//
// It returns ErrStale if the row was changed since b was read. A number that was
// found by asking is claimed once: ErrClaimed if it belongs to another build. A
// number that the service answered is the truth: a build that adopted it in the
// meantime is unknown again, and looked for anew.
//
// What others wrote is saved as [Text]: no answer may keep a build from being
// saved.
func (s *Store) Save(ctx context.Context, b *Build) error {
	b.Reason, b.BuildNumber = Text(b.Reason), Text(b.BuildNumber)
	b.Seen = max(b.Seen, Number(b.BuildNumber))
	log, err := json.Marshal(b.Log)
	if err != nil {
		return fmt.Errorf("build %s: its log: %w", b.ID, err)
	}
	if err := s.enqueue(ctx, &write{locks: callLock(b), save: &saving{build: b, log: string(log)}}); err != nil {
		return fmt.Errorf("build %s: %w", b.ID, err)
	}
	b.version++
	return nil
}

// saving is a build on its way into its row.
type saving struct {
	build *Build
	log   string // JSON
}

// saveAll is Save for all that share a transaction: in rounds, so that those of one
// round claim different numbers.
func (s *Store) saveAll(ctx context.Context, tx *tx, all []*write) error {
	for len(all) > 0 {
		round, later := disjoint(all, func(w *write) []any {
			b := w.save.build
			keys := []any{b.Seq}
			if b.BuildNumber != "" {
				keys = append(keys, [3]string{b.Service, b.JobID, b.BuildNumber})
			}
			return keys
		})
		saved, err := saveRows(ctx, tx, round)
		if err != nil {
			return err
		}
		var done []*Build
		for _, w := range round {
			b := w.save.build
			if _, ok := saved[b.Seq]; !ok { // somebody else changed it, or has the number
				switch err := s.claim(ctx, tx, b); {
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
			if b.State != Calling && b.State != Unknown {
				done = append(done, b)
			}
		}
		if err := wakeHeld(ctx, tx, done); err != nil {
			return err
		}
		all = later
	}
	return nil
}

// saveRows returns which rows it changed: none that somebody else changed, or whose
// number another has.
func saveRows(ctx context.Context, tx *tx, all []*write) (map[int64]int64, error) {
	c := &rows{columns: []string{"seq", "version", "state", "reason", "attempts", "log", "asked", "build_no", "seen_no", "adopted", "started_at", "wait"}}
	for _, w := range all {
		b := w.save.build
		due := int64(-1)
		if !b.State.Final() {
			due = wait(b.DueAt)
		}
		c.add(b.Seq, b.version, string(b.State), b.Reason, int64(b.Attempts), w.save.log, int64(b.Asked), b.BuildNumber, b.Seen, b.Adopted, micros(b.StartedAt), due)
	}
	saved, err := pairs[int64](ctx, tx, c, `UPDATE builds SET state = c.state, reason = c.reason, attempts = c.attempts, log = c.log, asked = c.asked, build_no = c.build_no, seen_no = c.seen_no,
		adopted = c.adopted, claimed = c.build_no <> '', started_at = c.started_at, held = 0, worker = '', due_at = CASE WHEN c.wait >= 0 THEN `+tx.db.now()+` + c.wait ELSE 0 END, version = builds.version + 1
		FROM c WHERE builds.seq = c.seq AND `+tx.db.among("builds.seq")+` AND builds.version = c.version
		AND NOT EXISTS (SELECT 1 FROM builds o WHERE o.service = builds.service AND o.job_id = builds.job_id AND o.build_no = c.build_no AND o.claimed AND o.seq <> c.seq)
		RETURNING builds.seq, 0`)
	if err != nil {
		return nil, fmt.Errorf("save builds: %w", err)
	}
	return saved, nil
}

// errOwnerChanged rolls a transaction back, to be tried again.
var errOwnerChanged = errors.New("the build that has the number was changed meanwhile")

// claim makes the build number of b free for it. It returns ErrStale if b is not
// what is stored, and ErrClaimed if the number stays with another build.
func (s *Store) claim(ctx context.Context, tx *tx, b *Build) error {
	var version int64
	if err := tx.queryRow(ctx, `SELECT version FROM builds WHERE seq = ?`, b.Seq).Scan(&version); err != nil {
		if errors.Is(err, sql.ErrNoRows) { // forgotten
			return ErrStale
		}
		return err
	}
	if version != b.version {
		return ErrStale
	}
	owner, err := scanBuild(tx.queryRow(ctx, `SELECT `+buildColumns+` FROM builds WHERE service = ? AND job_id = ? AND build_no = ? AND claimed`,
		b.Service, b.JobID, b.BuildNumber))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case b.Adopted:
		return ErrClaimed
	case !owner.Adopted || owner.StartedAt.Before(b.CalledAt):
		// The service counts from one again: another service, or the job was made anew.
		s.log.Warn("a build number was given a second time", "build_number", b.BuildNumber, "build", b.ID, "before", owner.ID, "job_id", b.JobID)
		if _, err = tx.exec(ctx, `UPDATE builds SET seen_no = 0 WHERE service = ? AND job_id = ? AND seen_no > 0`, b.Service, b.JobID); err == nil {
			err = change(ctx, tx, owner, `claimed = ?`, false)
		}
	default:
		err = change(ctx, tx, owner, `state = 'unknown', due_at = `+tx.db.now()+`, build_no = '', adopted = ?, claimed = ?, started_at = 0, reason = ?`,
			false, false, "the build it was taken for turned out to be that of build "+b.ID)
		tx.notify(owner.Target)
	}
	if errors.Is(err, ErrStale) { // of the owner, which is not b
		return errOwnerChanged
	}
	return err
}

// heldAtOnce is how many of the builds that wait for a call, because of its ref
// and because of its commit, are due when it is resolved. One of them goes on, and
// wakes the next in its turn; the others are held again.
const heldAtOnce = 3

// wakeHeld makes due what waited for builds that are resolved, or wait again: the next of
// the line of one that is done with, and the first of those that wait for its call. One
// that was taken already finds out by itself. Most hold up nothing.
func wakeHeld(ctx context.Context, tx *tx, done []*Build) error {
	c := &rows{columns: []string{"seq", "final"}}
	for _, b := range done {
		c.add(b.Seq, b.State.Final())
	}
	const (
		next = `n.ref = b.ref AND n.job_id = b.job_id AND n.target = b.target AND n.rule = b.rule AND n.repository = b.repository
			AND n.unresolved AND n.seq > c.seq AND NOT n.by_hand ORDER BY n.seq LIMIT 1`
		byRef    = `r.ref = b.ref AND r.job_id = b.job_id AND r.service = b.service AND r.held = 2`
		byCommit = `m.commit_id = b.commit_id AND m.job_id = b.job_id AND m.service = b.service AND m.held = 2 AND m.commit_id <> ''`
	)
	of := ` FROM c CROSS JOIN builds b WHERE b.seq = c.seq AND ` + tx.db.among("b.seq")
	holding, err := pairs[int64](ctx, tx, c, `SELECT c.seq, CASE WHEN c.final THEN 1 ELSE 0 END`+of+` AND (c.final AND (SELECT n.held FROM builds n WHERE `+next+`) > 0
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
	woken := []string{`SELECT (SELECT CASE WHEN n.held > 0 THEN n.seq END FROM builds n WHERE ` + next + `)` + of + ` AND c.final`}
	for n := range heldAtOnce {
		at := fmt.Sprintf(" ORDER BY seq LIMIT 1 OFFSET %d)", n)
		woken = append(woken, `SELECT (SELECT r.seq FROM builds r WHERE `+byRef+at+of, `SELECT (SELECT m.seq FROM builds m WHERE `+byCommit+at+of)
	}
	targets, err := pairs[string](ctx, tx, c, `UPDATE builds SET due_at = `+tx.db.now()+`, held = 0 WHERE worker = '' AND seq IN (`+strings.Join(woken, " UNION ALL ")+`) RETURNING builds.seq, builds.target`)
	if err != nil {
		return fmt.Errorf("wake builds: %w", err)
	}
	for _, target := range targets {
		tx.notify(target)
	}
	return nil
}

// recent is how many of the highest numbers of a job Answered looks at: other targets
// may start builds of it too.
const recent = 200

// Answered gives the last build of a target, its service and a job whose number the
// service answered, nil if there is none among the last of the job: that its record is
// of that build is certain.
func (s *Store) Answered(ctx context.Context, target, service, jobID string) (*Build, error) {
	b, err := scanBuild(s.db.reader().queryRow(ctx, `SELECT `+buildColumns+` FROM builds WHERE seq IN (
			SELECT seq FROM builds WHERE service = ? AND job_id = ? AND seen_no > 0 ORDER BY seen_no DESC LIMIT ?)
		AND target = ? AND claimed AND NOT adopted ORDER BY seen_no DESC LIMIT 1`, service, jobID, recent, target))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // as it says
	}
	if err != nil {
		return nil, fmt.Errorf("the last answered build of job %s: %w", jobID, err)
	}
	return b, nil
}

// Claimed returns which of the build numbers of a job of a service belong to builds
// already.
func (s *Store) Claimed(ctx context.Context, service, jobID string, numbers []string) (claimed map[string]bool, err error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	condition, list := s.db.oneOf("build_no", numbers)
	rows, err := s.db.reader().query(ctx, `SELECT build_no FROM builds WHERE service = ? AND job_id = ? AND claimed AND `+condition, service, jobID, list)
	if err != nil {
		return nil, fmt.Errorf("claimed numbers of job %s: %w", jobID, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	claimed = map[string]bool{}
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("claimed numbers of job %s: %w", jobID, err)
		}
		claimed[n] = true
	}
	return claimed, rows.Err()
}
