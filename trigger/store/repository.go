package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"
)

// Repository is one row of the repositories table: a repository whose refs are looked at.
type Repository struct {
	Seq    int64
	Source string
	Name   string // full name, as its host spells it

	LookedAt time.Time // when the last look began that read all refs; zero before the first
	Failures int       // how often in a row they could not be read
	Reason   string    // why they could not
	Known    []uint64  // sorted digests of the refs that need no look any more, see [RefDigest]

	// DueAt is when to look next, by the database's clock; zero for never. If a process does,
	// that is when its lease ends.
	DueAt time.Time

	lease  int64  // DueAt as it is stored: with the worker it names the lease
	stored []byte // Known as it is stored
}

const (
	// LookLease is how long a repository stays with the process that looks at it.
	LookLease = 2 * time.Minute
	// LongestLookWait is the longest wait between two looks.
	LongestLookWait = 8 * 24 * time.Hour
	// forgetAfter is how long what is known of a repository is kept after it is not looked at
	// any more: replicas may have other rules for a while.
	forgetAfter = 24 * time.Hour
)

// CatchUpQueue is the name by which [Store.Notified] and [Store.Recall] know the repositories
// of a source that are looked at. The name of a target has no space.
func CatchUpQueue(source string) string { return "catch_up " + source }

// refPart is the half of a digest that is the same for all commits of a ref.
func refPart(ref string) uint64 { return valueKey("ref", ref) << 32 }

// commitPart is the other half. "" stands for no commit.
func commitPart(ref, commit string) uint32 {
	return uint32(lockKey("commit", ref, commit) >> 32 & math.MaxUint32)
}

// RefDigest stands for a ref at a commit: 32 bits for the ref, 32 for its commit.
func RefDigest(ref, commit string) uint64 { return refPart(ref) | uint64(commitPart(ref, commit)) }

func packDigests(all []uint64) []byte {
	packed := make([]byte, 0, 8*len(all))
	for _, d := range all {
		packed = binary.BigEndian.AppendUint64(packed, d)
	}
	return packed
}

func unpackDigests(packed []byte) []uint64 {
	all := make([]uint64, 0, len(packed)/8)
	for ; len(packed) >= 8; packed = packed[8:] {
		all = append(all, binary.BigEndian.Uint64(packed))
	}
	return all
}

const repositoryColumns = `seq, source, repository, looked_at, failures, reason, due_at`

func scanRepository(row scanner, more ...any) (*Repository, error) {
	var (
		r      Repository
		looked int64
	)
	err := row.Scan(append([]any{&r.Seq, &r.Source, &r.Name, &looked, &r.Failures, &r.Reason, &r.lease}, more...)...)
	r.LookedAt, r.DueAt = fromMicros(looked), fromMicros(r.lease)
	return &r, err
}

// Repositories gives the repositories of all sources that are looked at, or were until lately,
// without what is known of their refs.
func (s *Store) Repositories(ctx context.Context) (all []*Repository, err error) {
	err = each(ctx, s.db.reader(), func(row scanner) error {
		r, err := scanRepository(row)
		all = append(all, r)
		return err
	}, `SELECT `+repositoryColumns+` FROM repositories ORDER BY source, repository`)
	if err != nil {
		return nil, fmt.Errorf("list the repositories: %w", err)
	}
	return all, nil
}

// RepositoriesLike gives the names of repositories that are looked at and have this text in their name, whatever
// its case: n at most, in order, each as its host spells it.
func (s *Store) RepositoriesLike(ctx context.Context, part string, n int) ([]string, error) {
	like := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(part)) + "%"
	names, err := column[string](ctx, s.db.reader(), `SELECT DISTINCT repository FROM repositories
		WHERE lower(repository) LIKE ? ESCAPE '\' ORDER BY repository LIMIT ?`, like, n)
	if err != nil {
		return nil, fmt.Errorf("repositories like %s: %w", part, err)
	}
	return names, nil
}

// SetRepositories says which repositories of a source are looked at: these, at least once an
// interval and a half; a process that is gone loses its leases. Those that are new are due
// within spread, one after the other. What is known of the others is kept for a day. Names that
// differ in case only name the same repository: it gets the spelling. It is for the leader.
func (s *Store) SetRepositories(ctx context.Context, source string, names []string, interval, spread time.Duration) error {
	replicas, err := s.Replicas(ctx)
	if err != nil {
		return err
	}
	working := map[string]bool{s.caller: true}
	for _, r := range replicas {
		working[r.Name] = true
	}
	var before []*Repository
	workers := map[*Repository]string{}
	err = each(ctx, s.db.reader(), func(row scanner) error {
		var worker string
		r, err := scanRepository(row, &worker)
		before, workers[r] = append(before, r), worker
		return err
	}, `SELECT `+repositoryColumns+`, worker FROM repositories WHERE source = ?`, source)
	if err != nil {
		return fmt.Errorf("repositories of source %s: %w", source, err)
	}
	wanted := map[string]string{}
	for _, name := range names {
		clean(&name)
		wanted[strings.ToLower(name)] = name
	}
	type change struct {
		r    *Repository
		name string
		due  time.Duration // negative for never
	}
	var changes []change
	latest := time.Now().Add(interval + interval/2)
	for _, r := range before {
		name, ok := wanted[strings.ToLower(r.Name)]
		late := r.Failures == 0 && r.DueAt.After(latest)
		if worker := workers[r]; worker != "" { // a look that goes on is not begun again
			late = !working[worker]
		}
		delete(wanted, strings.ToLower(r.Name))
		switch {
		case !ok && !r.DueAt.IsZero():
			changes = append(changes, change{r, r.Name, -1})
		case ok && (r.DueAt.IsZero() || late):
			changes = append(changes, change{r, name, 0})
		case ok && r.Name != name:
			changes = append(changes, change{r, name, max(0, time.Until(r.DueAt))})
		}
	}
	if len(changes)+len(wanted) == 0 {
		return nil
	}
	err = s.writeApart(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		for _, c := range changes {
			if _, err := tx.exec(ctx, `UPDATE repositories SET worker = '', repository = ?, due_at = CASE WHEN ? THEN `+tx.now+` + ? ELSE 0 END
				WHERE seq = ?`, c.name, c.due >= 0, max(0, c.due).Microseconds(), c.r.Seq); err != nil {
				return 0, err
			}
			if c.due >= 0 {
				continue
			}
			if _, err := tx.exec(ctx, `DELETE FROM missed_refs WHERE source = ? AND repository = ? AND NOT built`,
				source, strings.ToLower(c.r.Name)); err != nil {
				return 0, err
			}
		}
		n := int64(0)
		for _, name := range wanted {
			wait := n * spread.Microseconds() / int64(len(wanted))
			if _, err := tx.exec(ctx, `INSERT INTO repositories (source, repository, due_at) VALUES (?, ?, `+tx.now+` + ?)
				ON CONFLICT DO NOTHING`, source, name, wait); err != nil {
				return 0, err
			}
			n++
		}
		tx.notify(CatchUpQueue(source))
		return int64(len(changes)) + n, nil
	})
	if err != nil {
		return fmt.Errorf("repositories of source %s: %w", source, err)
	}
	return nil
}

// Delivered gives the sources and repositories of the deliveries whose seq is greater than
// after, each pair once; it reads at most n seqs. next is where to go on; a negative after begins at the newest n.
func (s *Store) Delivered(ctx context.Context, after, n int64) (pairs [][2]string, next int64, err error) {
	var last int64
	if err := queryRow(ctx, s.db.reader(), `SELECT coalesce(max(seq), 0) FROM deliveries`).Scan(&last); err != nil {
		return nil, after, fmt.Errorf("repositories that delivered: %w", err)
	}
	if after < 0 {
		after = max(0, last-n)
	}
	if next = min(after+n, last); next <= after {
		return nil, next, nil // on SQLite, the newest rows may have been deleted
	}
	err = each(ctx, s.db.reader(), func(row scanner) error {
		var p [2]string
		err := row.Scan(&p[0], &p[1])
		pairs = append(pairs, p)
		return err
	}, `SELECT DISTINCT source, repository FROM deliveries WHERE seq BETWEEN ? AND ? AND repository <> ''`, after+1, next)
	if err != nil {
		return nil, after, fmt.Errorf("repositories that delivered: %w", err)
	}
	return pairs, next, nil
}

// DueRepositories takes the n repositories of a source that have been due for longest. They
// are the caller's for a [LookLease], or until it saves them.
func (s *Store) DueRepositories(ctx context.Context, source string, n int) ([]*Repository, error) {
	var taken []*Repository // not a result: it may still be written after ctx ends
	err := s.writeSome(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		taken = nil
		err = each(ctx, tx, func(row scanner) error {
			var known []byte
			r, err := scanRepository(row, &known)
			if err != nil {
				s.log.LogAttrs(ctx, slog.LevelError, "due repository cannot be read; it is left out and tried again later",
					slog.String("source", source), slog.String("error", err.Error()))
				return nil
			}
			r.Known, r.stored = unpackDigests(known), known
			taken = append(taken, r)
			return nil
		}, `WITH due AS (SELECT seq FROM repositories WHERE source = ? AND due_at > 0 AND due_at <= `+tx.now+` ORDER BY due_at
			LIMIT ?`+tx.skipLocked+`) UPDATE repositories SET worker = ?, due_at = `+tx.now+` + ? WHERE seq IN (SELECT seq FROM due)
			RETURNING `+repositoryColumns+`, known`, source, n, s.caller, LookLease.Microseconds())
		if err != nil {
			return 0, fmt.Errorf("repositories of source %s that are due: %w", source, err)
		}
		return int64(len(taken)), nil
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// Look is what came of a look at the refs of a repository.
type Look struct {
	Repository *Repository // with its LookedAt, Failures, Reason and Known from now on

	Found  []*MissedRef // refs that a delivery may still name
	Missed []*MissedRef // those that count as missed from now on
	Gone   []*MissedRef // rows that are not needed any more
}

// SaveLook gives a repository back that this process took, with what came of the look. It is
// due after a wait of at most [LongestLookWait]. SaveLook returns ErrStale and changes nothing
// if the lease had ended.
func (s *Store) SaveLook(ctx context.Context, l *Look, wait time.Duration) error {
	r := l.Repository
	clean(&r.Reason)
	known := packDigests(r.Known)
	changes := !bytes.Equal(known, r.stored) // they may be long
	if !changes {
		known = []byte{}
	}
	var locks []int64
	for _, m := range slices.Concat(l.Found, l.Missed, l.Gone) {
		locks = append(locks, missedLock(m.Source, m.Repository, m.Ref))
	}
	err := s.write(ctx, locks, func(ctx context.Context, tx *tx) error {
		changed, err := tx.exec(ctx, `UPDATE repositories SET worker = '', due_at = `+tx.now+` + ?, looked_at = ?, failures = ?, reason = ?,
			known = CASE WHEN ? THEN ? ELSE known END WHERE seq = ? AND worker = ? AND due_at = ?`,
			min(max(0, wait), LongestLookWait).Microseconds(), micros(r.LookedAt), r.Failures, r.Reason, changes, known, r.Seq, s.caller, r.lease)
		if err != nil {
			return err
		}
		if changed == 0 {
			return ErrStale
		}
		return l.saveRefs(ctx, tx)
	})
	if errors.Is(err, ErrStale) {
		return err
	}
	if err != nil {
		return fmt.Errorf("look at repository %s of source %s: %w", r.Name, r.Source, err)
	}
	return nil
}

// pruneRepositories deletes the repositories that are not looked at any more, and the missed
// refs that are too old.
func (s *Store) pruneRepositories(ctx context.Context, keep time.Duration, now time.Time) (changed int64, err error) {
	statements := map[string]time.Duration{
		`DELETE FROM repositories WHERE due_at = 0 AND looked_at < ?`: forgetAfter,
	}
	if keep > 0 {
		statements[`DELETE FROM missed_refs WHERE found_at < ?`] = keep
	}
	for statement, age := range statements {
		err := s.writeSome(context.WithoutCancel(ctx), func(ctx context.Context, tx *tx) (n int64, err error) {
			n, err = tx.exec(ctx, statement, micros(now.Add(-age)))
			changed += n
			return n, err
		})
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// knownAt gives the hash of the commit that a ref was at, as digests have it; ok is false if it
// is not among them.
func knownAt(known []uint64, ref string) (commit uint32, ok bool) {
	part := refPart(ref)
	i, _ := slices.BinarySearch(known, part)
	if i == len(known) || known[i]>>32 != part>>32 {
		return 0, false
	}
	return uint32(known[i]), true //nolint:gosec // the lower half
}
