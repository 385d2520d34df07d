package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Follow is one row of the follows table: a job that has builds whose end is not known.
type Follow struct {
	Seq      int64
	Target   string
	JobID    string
	Failures int // how often in a row the service could not be asked

	version int64
}

// FollowQueue is the name by which [Store.Notified] and [Store.Recall] know the jobs of a
// target that are followed. The name of a target has no space.
func FollowQueue(target string) string { return "follow " + target }

// DueFollows takes the n jobs of a target that have been due for longest. They are the
// caller's for a [Lease], or until it saves them.
func (s *Store) DueFollows(ctx context.Context, target string, n int) ([]*Follow, error) {
	var taken []*Follow // not a result: it may still be written after ctx ends
	err := s.writeSome(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		taken = nil
		err = each(ctx, tx, func(row scanner) error {
			var f Follow
			err := row.Scan(&f.Seq, &f.Target, &f.JobID, &f.Failures, &f.version)
			taken = append(taken, &f)
			return err
		}, `WITH jobs AS (SELECT seq FROM follows WHERE target = ? AND due_at > 0 AND due_at <= `+tx.now+` ORDER BY due_at
			LIMIT ?`+tx.skipLocked+`) UPDATE follows SET worker = ?, due_at = `+tx.now+` + ? WHERE seq IN (SELECT seq FROM jobs)
			RETURNING seq, target, job_id, failures, version`, target, n, s.caller, Lease.Microseconds())
		if err != nil {
			return 0, fmt.Errorf("jobs of target %s to follow: %w", target, err)
		}
		return int64(len(taken)), nil
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// followSoon is when a job is due at the latest that got a build, or a build to stop, while
// somebody asked about it.
const followSoon = time.Second

// followLater is when a job is due that has builds which its caller did not see: more than it
// reads at a time, or some that cannot be read.
const followLater = 10 * time.Second

// SaveFollow gives a job back that this process took, with its Failures. It is due after a
// wait of at most ten minutes, or never if wait is negative: until it has a build again. If
// it got one while the caller had it, it is due soon.
func (s *Store) SaveFollow(ctx context.Context, f *Follow, wait time.Duration) error {
	soon := min(wait, followSoon)
	if wait < 0 {
		soon = followSoon
	}
	return s.write(ctx, []int64{followLock(f.Target, f.JobID)}, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `UPDATE follows SET worker = '', failures = ?, version = version + 1,
			due_at = CASE WHEN version <> ? THEN `+tx.now+` + ? WHEN ? THEN `+tx.now+` + ?
			WHEN EXISTS (SELECT 1 FROM builds WHERE target = ? AND job_id = ? AND result = 'running') THEN `+tx.now+` + ? ELSE 0 END
			WHERE seq = ? AND worker = ?`, f.Failures, f.version, soon.Microseconds(),
			wait >= 0, min(wait, longestWait).Microseconds(), f.Target, f.JobID, followLater.Microseconds(), f.Seq, s.caller)
		if err != nil {
			return fmt.Errorf("follow job %s of target %s: %w", f.JobID, f.Target, err)
		}
		return nil
	})
}

// followLock is held by those that make a job due, after the locks of their builds.
func followLock(target, jobID string) int64 { return lockKey("follow", target, jobID) }

// followBuilds makes the jobs of builds due that are followed from now on, or are to be
// stopped: after their FollowIn, or earlier if they are.
func followBuilds(ctx context.Context, tx *tx, builds []*Build) error {
	first := map[[2]string]time.Duration{}
	for _, b := range builds {
		key := [2]string{b.Target, b.JobID}
		if wait, found := first[key]; !found || b.FollowIn < wait {
			first[key] = b.FollowIn
		}
	}
	c := &rows{columns: []string{"target", "job_id", "wait"}}
	for key, wait := range first {
		c.add(key[0], key[1], min(max(0, wait), longestWait).Microseconds())
		tx.notify(FollowQueue(key[0]))
	}
	_, err := pairs[int64](ctx, tx, c, `INSERT INTO follows (target, job_id, due_at)
		SELECT c.target, c.job_id, `+tx.now+` + c.wait FROM c WHERE true
		ON CONFLICT (target, job_id) DO UPDATE SET version = follows.version + 1, due_at = CASE
			WHEN follows.worker <> '' OR follows.due_at > 0 AND follows.due_at < excluded.due_at THEN follows.due_at
			ELSE excluded.due_at END
		RETURNING seq, 0`)
	if err != nil {
		return fmt.Errorf("follow builds: %w", err)
	}
	return nil
}

// openMost is how many builds [Store.OpenBuilds] reads. The others have their turn when
// these have ended.
const openMost = 1000

// OpenBuilds reads the builds of a target's job whose end is not known, at most the oldest
// thousand, in the order in which they were committed.
func (s *Store) OpenBuilds(ctx context.Context, target, jobID string) (builds []*Build, err error) {
	err = each(ctx, s.db.reader(), func(row scanner) error {
		b, err := scanBuild(row)
		if err != nil {
			s.log.LogAttrs(ctx, slog.LevelError, "build that runs cannot be read; it is left out and tried again later",
				slog.String("target", target), slog.String("job_id", jobID), slog.String("error", err.Error()))
			return nil
		}
		builds = append(builds, b)
		return nil
	}, `SELECT `+buildColumns+` FROM builds WHERE target = ? AND job_id = ? AND result = 'running' ORDER BY seq LIMIT ?`,
		target, jobID, openMost)
	if err != nil {
		return nil, fmt.Errorf("builds of job %s that run: %w", jobID, err)
	}
	return builds, nil
}

// Running counts the builds whose end is not known, by target.
func (s *Store) Running(ctx context.Context) (map[string]int64, error) {
	return s.countByTarget(ctx, `result = 'running'`)
}

func (s *Store) countByTarget(ctx context.Context, condition string, args ...any) (map[string]int64, error) {
	counts := map[string]int64{}
	err := each(ctx, s.db.reader(), func(row scanner) error {
		var (
			target string
			n      int64
		)
		err := row.Scan(&target, &n)
		counts[target] = n
		return err
	}, `SELECT target, count(*) FROM builds WHERE `+condition+` GROUP BY target`, args...)
	if err != nil {
		return nil, fmt.Errorf("count builds by target: %w", err)
	}
	return counts, nil
}

// WaitingForPersons counts the builds that wait for a person at the service, by target.
func (s *Store) WaitingForPersons(ctx context.Context) (map[string]int64, error) {
	return s.countByTarget(ctx, `result = 'running' AND waited_at > 0 AND substr(message, 1, ?) = ?`, len(WaitsForPerson), WaitsForPerson)
}

// Unknown counts the builds that were called before a time, and of which it is not known since whether
// they were started, by target.
func (s *Store) Unknown(ctx context.Context, before time.Time) (map[string]int64, error) {
	return s.countByTarget(ctx, `due_at > 0 AND state = 'unknown' AND called_at < ?`, micros(before))
}

// SaveResult writes what is known of a started build: its result and the fields after it,
// except for Stop. If the build has ended, the next build is due that waited for the end of
// one of its ordering key. SaveResult returns ErrStale if the row was changed since b was
// read.
func (s *Store) SaveResult(ctx context.Context, b *Build) error {
	clean(&b.Message, &b.Step, &b.RecordID, &b.ProjectID, &b.QueueID, &b.RanCommit, &b.Console)
	err := s.write(ctx, callLock(b), func(ctx context.Context, tx *tx) error {
		changed, err := tx.exec(ctx, `UPDATE builds SET result = ?, running_at = ?, ended_at = ?, message = ?, step = ?,
			record_id = ?, project_id = ?, queue_id = ?, ran_commit = ?, console = ?, waited_at = ?, stopped_at = ?, version = version + 1
			WHERE seq = ? AND version = ? AND state = 'started'`,
			string(b.Result), micros(b.RunningAt), micros(b.EndedAt), b.Message, b.Step,
			b.RecordID, b.ProjectID, b.QueueID, b.RanCommit, b.Console, micros(b.WaitedAt), micros(b.StoppedAt), b.Seq, b.version)
		if err != nil {
			return err
		}
		if changed == 0 {
			return ErrStale
		}
		if b.Result.Final() {
			if err := wakeNext(ctx, tx, b); err != nil {
				return err
			}
		}
		if b.Context != "" {
			return reportBuilds(ctx, tx, []*Build{b})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("build %s: its result: %w", b.ID, err)
	}
	b.version++
	return nil
}

// wakeNext makes the first build due that is held by those of its ordering key that run.
func wakeNext(ctx context.Context, tx *tx, ended *Build) error {
	changed, err := tx.exec(ctx, `UPDATE builds SET due_at = `+tx.now+` WHERE worker = '' AND seq = (
		SELECT n.seq FROM builds n WHERE n.ref = ? AND n.job_id = ? AND n.target = ? AND n.rule = ? AND n.repository = ?
		AND n.unresolved AND n.held = 3 ORDER BY n.seq LIMIT 1)`,
		ended.Ref, ended.JobID, ended.Target, ended.Rule, ended.Repository)
	if err != nil {
		return fmt.Errorf("wake the next build: %w", err)
	}
	if changed > 0 {
		tx.notify(ended.Target)
	}
	return nil
}

// mayBeAPersons is whether a search found the build without a marker. A run of a pipeline is found
// by its marker only.
const mayBeAPersons = `adopted AND marker = '' AND action <> 'pipeline'`

// replaceRunning notes that the builds of the same ordering key are to be stopped that run
// and that b replaces, now that b was started. It counts them in b.Replaced. One that may be a
// person's is spared, and one that a build of another ref relies on, see findOnce.
func replaceRunning(ctx context.Context, tx *tx, b *Build) (err error) {
	b.Replaced, err = tx.exec(ctx, `UPDATE builds SET stop = ?, superseded_by = ?, version = version + 1
		WHERE ref = ? AND job_id = ? AND target = ? AND rule = ? AND repository = ? AND result = 'running'
		AND NOT by_hand AND tag = '' AND stop = '' AND once < ? AND seq < ? AND NOT (`+mayBeAPersons+`) AND delivery <> ?`,
		"replaced by build "+b.ID, b.ID, b.Ref, b.JobID, b.Target, b.Rule, b.Repository, int64(onceShared), b.Seq, b.Delivery)
	if err != nil {
		return fmt.Errorf("replace those that run with build %s: %w", b.ID, err)
	}
	return nil
}

// ErrNotRunning means that a build cannot be stopped, because it was not started or has
// ended. This text is shown to the person who asked.
var ErrNotRunning = errors.New("it does not run")

// stopTries is how often a stop is noted anew because the build was changed meanwhile.
const stopTries = 10

// Stop notes that a started build is to be stopped, for a reason that is shown, and makes
// its job due. The build is followed from now on, if it was not. A build that is to be
// stopped already keeps its reason, unless the service refused that: it is told again. Stop returns ErrNotRunning for a build that was not
// started, or has ended, and says which.
func (s *Store) Stop(ctx context.Context, id, reason string) (b *Build, err error) {
	clean(&reason)
	for range stopTries {
		if b, err = s.Build(ctx, id); err != nil {
			return nil, err
		}
		switch {
		case b.State != Started:
			return nil, fmt.Errorf("build %s: %w: it is %s", id, ErrNotRunning, b.State)
		case b.Result.Final():
			return nil, fmt.Errorf("build %s: %w: it has ended, with the result %s", id, ErrNotRunning, b.Result)
		case b.Stop != "" && (!b.StoppedAt.IsZero() || b.Message == ""):
			return b, nil
		}
		err = s.write(ctx, append(callLock(b), followLock(b.Target, b.JobID)), func(ctx context.Context, tx *tx) error {
			changed, err := tx.exec(ctx, `UPDATE builds SET stop = ?, result = 'running', message = '', version = version + 1
				WHERE seq = ? AND version = ?`, reason, b.Seq, b.version)
			if err != nil {
				return err
			}
			if changed == 0 {
				return ErrStale
			}
			return followBuilds(ctx, tx, []*Build{b}) // with a FollowIn of 0
		})
		if err == nil {
			b.Stop, b.Result, b.Message = reason, Running, ""
			b.version++
			return b, nil
		}
		if !errors.Is(err, ErrStale) {
			break
		}
	}
	return nil, fmt.Errorf("stop build %s: %w", id, err)
}

// startedBuilds does what the start of builds brings about: they are followed, and replace
// others.
func startedBuilds(ctx context.Context, tx *tx, started []*Build) error {
	started = slices.SortedFunc(slices.Values(started), func(x, y *Build) int { return cmp.Compare(x.Seq, y.Seq) })
	var followed []*Build
	for _, b := range started {
		if b.ReplaceRunning && !b.ByHand && b.Tag == "" {
			if err := replaceRunning(ctx, tx, b); err != nil {
				return err
			}
			if b.Replaced > 0 {
				b.FollowIn = 0
			}
		}
		if b.Result == Running || b.Replaced > 0 {
			followed = append(followed, b)
		}
	}
	if len(followed) == 0 {
		return nil
	}
	return followBuilds(ctx, tx, followed)
}
