package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Status is one row of the statuses table: the status of the newest build of a context on a
// commit.
type Status struct {
	Seq        int64
	Source     string
	Repository string
	Commit     string
	Context    string
	Build      string // the id of the build that the status is about

	Sent      string    // the state that the host was told last, StatusWaits or StatusUnknown; "" for none
	SentBuild string    // the build that it was about
	Ref       string    // what the host answered: the id of a check run or of a pipeline
	Attempts  int       // how often in a row the host did not take it
	Since     time.Time // since when there is something to say; zero if there is nothing
	Reason    string    // why the host does not take it
	// DueAt is when the status is compared with the build next, by the database's clock; zero
	// for never. If a process does, that is when its lease ends.
	DueAt time.Time

	lease   int64 // DueAt as it is stored: with the worker it names the lease
	version int64
}

// StatusUnknown is what Sent says while the host may have been told, or after two processes
// told it at the same time.
const StatusUnknown = "unknown"

// StatusWaits is what Sent says after the host was told that the build waits for a person. Hosts
// have no such state: it is the word for a build that runs, with another text.
const StatusWaits = "waits"

// statusDoubt is stored in place of it while another process is sending the status: what that
// one saves does not make it known. Whoever takes the status next reads StatusUnknown.
const statusDoubt = "doubt"

// PendingAfter is how long after its delivery a build is said to be pending. One that ends within
// ten seconds needs no such word, and its end is known by then.
const PendingAfter = 13 * time.Second

// ReportQueue is the name by which [Store.Notified] and [Store.Recall] know the statuses of a
// source. The name of a target has no space.
func ReportQueue(source string) string { return "report " + source }

// report is a build whose status may have to be said, because the build was changed.
type report struct {
	build string
	wait  time.Duration
	// owns: it has the status of its context, unless a newer build does. Else it matters only
	// if it has the status already.
	owns bool
	news news
}

// news is why a status may have to say something else now.
type news int64

// The kinds of news.
const (
	noNews   news = iota
	itRuns        // of interest if it was said to be pending, or to wait for a person
	itWaits       // of interest if it was said to be pending, or to run
	itEnded       // of interest unless an end was said
	tookBack      // what was known of the build was wrong
)

// reportBuilds makes the statuses of builds due that were changed in this transaction. They
// are written at its end, and together: transactions that wait for each other's rows take
// them in the same order.
func reportBuilds(_ context.Context, tx *tx, builds []*Build) error {
	for _, b := range builds {
		if b.Context == "" {
			continue
		}
		r := report{build: b.ID, owns: true}
		switch {
		case b.Result.Final() || b.State == Dead:
			r.news = itEnded
		case b.State.Final() && b.Result == NoResult: // nobody will know how it ends
			r.owns, r.news = false, itEnded
		default:
			switch {
			case b.WaitsForPerson():
				r.news = itWaits
			case b.Result == Running && !b.RunningAt.IsZero():
				r.news = itRuns
			}
			r.wait = min(max(0, time.Until(b.ReceivedAt.Add(PendingAfter))), PendingAfter)
		}
		tx.reports = append(tx.reports, r)
	}
	return nil
}

// leased is the condition that a process is sending a status: it stays with that process,
// which finds out by the version that there is more to say.
func leased(tx *tx) string { return `statuses.worker <> '' AND statuses.due_at > ` + tx.now }

// writeReports writes what reportBuilds has gathered.
func writeReports(ctx context.Context, tx *tx) error {
	owners, changes := &rows{columns: []string{"id", "wait"}}, &rows{columns: []string{"id", "wait", "news"}}
	for _, r := range tx.reports {
		if r.owns {
			owners.add(r.build, r.wait.Microseconds())
		}
		if r.news != noNews {
			changes.add(r.build, r.wait.Microseconds(), int64(r.news))
		}
	}
	// The newest build of a context has its status. Of several in this statement that is the
	// one with the highest number; a row can be changed only once.
	due, err := pairs[string](ctx, tx, owners, `INSERT INTO statuses (source, repository, commit_id, context, build, build_seq, due_at, since)
		SELECT source, repository, commit_id, context, id, seq, `+tx.now+` + wait, `+tx.now+` + wait FROM (
			SELECT *, row_number() OVER (PARTITION BY source, repository, commit_id, context ORDER BY seq DESC) AS nth FROM (
				SELECT d.source, b.repository, CASE WHEN b.commit_id <> '' THEN b.commit_id ELSE b.tag_commit END AS commit_id,
				b.context, b.id, b.seq, c.wait FROM c CROSS JOIN builds b CROSS JOIN deliveries d
				WHERE b.id = c.id AND `+tx.among("b.id")+` AND d.id = b.delivery) all_of_them
			WHERE commit_id <> '' AND context <> '') numbered
		WHERE nth = 1 ORDER BY source, repository, commit_id, context
		ON CONFLICT (source, repository, commit_id, context) DO UPDATE SET build = excluded.build, build_seq = excluded.build_seq,
		due_at = CASE WHEN `+leased(tx)+` THEN statuses.due_at ELSE excluded.due_at END,
		since = excluded.since, attempts = 0, reason = '', version = statuses.version + 1
		WHERE statuses.build_seq < excluded.build_seq
		RETURNING build_seq, CASE WHEN due_at <= `+tx.now+` THEN source ELSE '' END`)
	if err != nil {
		return fmt.Errorf("statuses of builds: %w", err)
	}
	// A status that the host refused for good is not tried again for the same build. A process that is
	// telling the host may have read the build before: the version tells it that there is more to say. None
	// can take the status between these two statements: the first has locked it.
	changed, err := pairs[string](ctx, tx, changes, `UPDATE statuses
		SET due_at = CASE WHEN `+leased(tx)+` THEN statuses.due_at ELSE `+tx.now+` + c.wait END,
		since = `+tx.now+` + c.wait, version = statuses.version + 1
		FROM c CROSS JOIN builds b WHERE b.id = c.id AND `+tx.among("b.id")+` AND statuses.build_seq = b.seq
		AND (statuses.due_at > 0 OR statuses.reason = '')
		AND (statuses.worker <> '' OR CASE c.news WHEN 1 THEN statuses.sent_build = c.id AND statuses.sent IN ('pending', 'waits')
			WHEN 2 THEN statuses.sent_build = c.id AND statuses.sent IN ('pending', 'running')
			WHEN 3 THEN NOT (statuses.sent_build = c.id AND statuses.sent IN ('success', 'failure', 'error', 'canceled'))
			ELSE true END)
		RETURNING statuses.seq, statuses.source`)
	if err != nil {
		return fmt.Errorf("statuses that have news: %w", err)
	}
	for _, sources := range []map[int64]string{due, changed} {
		for _, source := range sources {
			if source != "" {
				tx.notify(ReportQueue(source))
			}
		}
	}
	return nil
}

const statusColumns = `seq, source, repository, commit_id, context, build, sent, sent_build, ref, attempts, since, reason, due_at, version`

func scanStatus(row scanner) (*Status, error) {
	var (
		st    Status
		since int64
	)
	err := row.Scan(&st.Seq, &st.Source, &st.Repository, &st.Commit, &st.Context, &st.Build, &st.Sent, &st.SentBuild, &st.Ref,
		&st.Attempts, &since, &st.Reason, &st.lease, &st.version)
	st.Since, st.DueAt = fromMicros(since), fromMicros(st.lease)
	return &st, err
}

// DueStatuses takes the n statuses of a source that have been due for longest. They are the
// caller's until it saves them, for [Lease] at most: what is not sent by then must not be.
func (s *Store) DueStatuses(ctx context.Context, source string, n int) (due []*Status, err error) {
	var taken []*Status // not a result: it may still be written after ctx ends
	err = s.writeApart(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		taken = nil
		err = each(ctx, tx, func(row scanner) error {
			st, err := scanStatus(row)
			if err != nil {
				s.log.LogAttrs(ctx, slog.LevelError, "due status cannot be read; it is left out and tried again later",
					slog.String("source", source), slog.String("error", err.Error()))
				return nil
			}
			taken = append(taken, st)
			return nil
		}, `WITH due AS (SELECT seq FROM statuses WHERE source = ? AND due_at > 0 AND due_at <= `+tx.now+` ORDER BY due_at LIMIT ?`+
			tx.skipLocked+`) UPDATE statuses SET worker = ?, due_at = `+tx.now+` + ?, sent = CASE WHEN sent = ? THEN ? ELSE sent END
			WHERE seq IN (SELECT seq FROM due) RETURNING `+statusColumns,
			source, n, s.caller, Lease.Microseconds(), statusDoubt, StatusUnknown)
		return int64(len(taken)), err
	})
	if err != nil {
		return nil, fmt.Errorf("statuses of source %s that are due: %w", source, err)
	}
	return taken, nil
}

// BeginStatus notes, before the host is told of a build for the first time, that it may have
// been: whatever happens then, the end of the build is said too. It returns ErrStale if the
// lease has ended.
func (s *Store) BeginStatus(ctx context.Context, st *Status, build string) error {
	err := s.writeApart(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		changed, err = tx.exec(ctx, `UPDATE statuses SET sent = CASE WHEN sent = ? THEN sent ELSE ? END, sent_build = ?, ref = ''
			WHERE seq = ? AND worker = ? AND due_at = ?`, statusDoubt, StatusUnknown, build, st.Seq, s.caller, st.lease)
		if err == nil && changed == 0 {
			err = ErrStale
		}
		return changed, err
	})
	if err != nil {
		return fmt.Errorf("status %s on commit %s of %s: %w", st.Context, st.Commit, st.Repository, err)
	}
	st.Sent, st.SentBuild, st.Ref = StatusUnknown, build, ""
	return nil
}

// SaveStatus writes what the host was told. The status is due again after a wait of at most ten
// minutes, or never if that is negative; or at once, if the build was changed since the status was taken.
//
// It returns ErrStale if the lease had ended, and somebody else may have taken the status:
// nobody knows which of two words reached the host last. The status is said again then.
func (s *Store) SaveStatus(ctx context.Context, st *Status, wait time.Duration) error {
	clean(&st.Ref, &st.Reason)
	var stale bool
	err := s.writeApart(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		saved, err := column[int64](ctx, tx, `UPDATE statuses SET worker = '', sent_build = ?, ref = ?,
			sent = CASE WHEN sent = ? THEN ? ELSE ? END, attempts = CASE WHEN version = ? THEN ? ELSE 0 END,
			reason = CASE WHEN version = ? THEN ? ELSE '' END,
			since = CASE WHEN version = ? THEN ? ELSE since END,
			due_at = CASE WHEN version <> ? THEN `+tx.now+` WHEN ? THEN `+tx.now+` + ? ELSE 0 END
			WHERE seq = ? AND worker = ? AND due_at = ? RETURNING version`,
			st.SentBuild, st.Ref, statusDoubt, StatusUnknown, st.Sent, st.version, st.Attempts, st.version, st.Reason, st.version, micros(st.Since),
			st.version, wait >= 0, min(wait, longestWait).Microseconds(), st.Seq, s.caller, st.lease)
		if err != nil {
			return 0, err
		}
		if stale = len(saved) == 0; stale {
			changed, err = tx.exec(ctx, `UPDATE statuses SET sent = ?, due_at = CASE WHEN `+leased(tx)+` THEN due_at ELSE `+tx.now+` END,
				since = `+tx.now+`, version = version + 1 WHERE seq = ?`, statusDoubt, st.Seq)
			return changed, err
		}
		if saved[0] != st.version {
			tx.notify(ReportQueue(st.Source))
		}
		return 1, nil
	})
	if err == nil && stale {
		err = ErrStale
	}
	if err != nil {
		return fmt.Errorf("status %s on commit %s of %s: %w", st.Context, st.Commit, st.Repository, err)
	}
	return nil
}

// StatusOf reads the status of a build's context on its commit, which may be about a newer
// build. If it waits because the host takes none of its source, Reason is that of another one.
// StatusOf returns ErrNotFound if there is none.
func (s *Store) StatusOf(ctx context.Context, b *Build) (*Status, error) {
	commit := b.Commit
	if commit == "" {
		commit = b.TagCommit
	}
	st, err := scanStatus(queryRow(ctx, s.db.reader(), `SELECT `+statusColumns+` FROM statuses
		WHERE source = (SELECT source FROM deliveries WHERE id = ?) AND repository = ? AND commit_id = ? AND context = ?`,
		b.Delivery, b.Repository, commit, b.Context))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("status of build %s: %w", b.ID, err)
	}
	if st.Reason == "" && !st.DueAt.IsZero() && !st.Since.IsZero() && st.Since.Before(time.Now()) {
		err := queryRow(ctx, s.db.reader(), `SELECT reason FROM statuses WHERE source = ? AND due_at > 0 AND since > 0 AND reason <> ''
			ORDER BY due_at LIMIT 1`, st.Source).Scan(&st.Reason)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("why statuses of source %s wait: %w", st.Source, err)
		}
	}
	return st, nil
}

// StatusStat counts the statuses of one source.
type StatusStat struct {
	Source string
	Open   int64     // those that will be looked at again
	Behind int64     // of these, those that the host was not told yet
	Oldest time.Time // since when the oldest of them waits; zero for none
}

// WaitingStatuses counts the statuses that will be looked at again.
func (s *Store) WaitingStatuses(ctx context.Context) (stats []StatusStat, err error) {
	behind := `CASE WHEN since > 0 AND since <= ` + s.db.dialect().now + ` THEN since END`
	err = each(ctx, s.db.reader(), func(row scanner) error {
		var (
			q      StatusStat
			oldest int64
		)
		err := row.Scan(&q.Source, &q.Open, &q.Behind, &oldest)
		q.Oldest = fromMicros(oldest)
		stats = append(stats, q)
		return err
	}, `SELECT source, count(*), count(`+behind+`), coalesce(min(`+behind+`), 0) FROM statuses
		WHERE due_at > 0 GROUP BY source ORDER BY source`)
	if err != nil {
		return nil, fmt.Errorf("count the statuses: %w", err)
	}
	return stats, nil
}

// pruneStatuses deletes the statuses whose builds are gone, if nothing more is to be said.
func (s *Store) pruneStatuses(ctx context.Context) (changed int64, err error) {
	for n := int64(pruneRows); n == pruneRows; changed += n {
		err := s.writeSome(context.WithoutCancel(ctx), func(ctx context.Context, tx *tx) (_ int64, err error) {
			n, err = tx.exec(ctx, `DELETE FROM statuses WHERE seq IN (SELECT seq FROM statuses WHERE due_at = 0
				AND (build_seq < (SELECT min(seq) FROM builds) OR build_seq > (SELECT coalesce(max(seq), 0) FROM builds)) LIMIT ?)`, pruneRows)
			return n, err
		})
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}
