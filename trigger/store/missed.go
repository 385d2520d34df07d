package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"buildbridge/mapping"
)

// MissedRef is one row of the missed_refs table: a ref at a commit that no delivery has named.
type MissedRef struct {
	Seq        int64
	Source     string
	Repository string // in lower case: rules and hosts may spell it in another way
	Ref        string
	Commit     string // the commit, also of an annotated tag

	FoundAt  time.Time // the look that saw it first
	MissedAt time.Time // since when it counts as missed; zero before
	Delivery string    // the delivery that was made of it; "" for none
	Built    bool      // that delivery has builds
	Unsure   bool      // its delivery may have come, and be forgotten by the ignored log

	was string // digests of the commits that the ref was at before
}

// NewMissedRef is a ref of a repository that is at a commit which no delivery has named.
// r.Known is still what was known before.
func NewMissedRef(r *Repository, ref, commit string, at time.Time) *MissedRef {
	m := &MissedRef{Source: r.Source, Repository: strings.ToLower(r.Name), Ref: ref, Commit: commit, FoundAt: at}
	before, ok := knownAt(r.Known, ref)
	if !ok {
		before = commitPart(ref, "") // it is new
	}
	m.was = wasPart(before)
	return m
}

// RefChange is a ref that a delivery tells of.
type RefChange struct {
	Repository, Ref string
	Commit          string // "" if it is not known
	Before          string // the commit before; zeros if there was none, "" if it is not known
}

func wasPart(commit uint32) string { return fmt.Sprintf("%08x", commit) }

// lateWithin is how long the deliveries of older pushes of a ref may be late. A push that comes
// later is taken for a new one, whatever it says that the ref was at before.
const lateWithin = 24 * time.Hour

// wasMost bounds the commits that a row remembers, in hex digits.
const wasMost = 8 * 64

// WasAt reports whether the ref is known to have been at a commit before. Zeros ask whether it is
// new.
func (m *MissedRef) WasAt(commit string) bool {
	if commit == "" {
		return false
	}
	if strings.Trim(commit, "0") == "" {
		commit = ""
	}
	part := wasPart(commitPart(m.Ref, commit))
	for was := m.was; len(was) >= len(part); was = was[len(part):] {
		if was[:len(part)] == part {
			return true
		}
	}
	return false
}

// goneOn adds the commits that an earlier row of the ref knows: the ref was there too.
func goneOn(was, earlier, ref, commit string) string {
	was = earlier + wasPart(commitPart(ref, commit)) + was
	return was[max(0, len(was)-wasMost):]
}

// moreRefs is what a delivery stores of the refs after its first.
func moreRefs(refs []RefChange) string {
	if len(refs) < 2 {
		return ""
	}
	var more strings.Builder
	for _, r := range refs[1:] {
		fmt.Fprintf(&more, "%016x", RefDigest(r.Ref, r.Commit))
	}
	return more.String()
}

const missedColumns = `seq, source, repository, ref, commit_id, was, found_at, missed_at, delivery, built, unsure`

func scanMissed(row scanner) (*MissedRef, error) {
	var (
		m             MissedRef
		found, missed int64
	)
	err := row.Scan(&m.Seq, &m.Source, &m.Repository, &m.Ref, &m.Commit, &m.was, &found, &missed, &m.Delivery,
		(*flag)(&m.Built), (*flag)(&m.Unsure))
	m.FoundAt, m.MissedAt = fromMicros(found), fromMicros(missed)
	return &m, err
}

// MissedOf gives the refs of a repository that no delivery has named, also those that do not
// count as missed yet.
func (s *Store) MissedOf(ctx context.Context, source, repository string) (all []*MissedRef, err error) {
	err = each(ctx, s.db.reader(), func(row scanner) error {
		m, err := scanMissed(row)
		all = append(all, m)
		return err
	}, `SELECT `+missedColumns+` FROM missed_refs WHERE source = ? AND repository = ?`, source, strings.ToLower(repository))
	if err != nil {
		return nil, fmt.Errorf("missed refs of %s: %w", repository, err)
	}
	return all, nil
}

// MissedFilter selects missed pushes.
type MissedFilter struct {
	Source, Repository string

	After string // the cursor of the page before
	Limit int    // rows; DefaultPage if not set, MaxPage at most
}

// Missed lists the pushes that were missed and whose ref is still where it was, and those that
// were built, the newest first. next is the cursor of the next page, "" if this is the last one. A
// cursor that Missed did not give is an error.
func (s *Store) Missed(ctx context.Context, f MissedFilter) (all []*MissedRef, next string, err error) {
	high, err := below(f.After)
	if err != nil {
		return nil, "", err
	}
	w := &where{}
	w.equal("source", f.Source)
	w.equal("repository", strings.ToLower(f.Repository))
	limit := page(f.Limit)
	err = each(ctx, s.db.reader(), func(row scanner) error {
		m, err := scanMissed(row)
		all = append(all, m)
		return err
	}, `SELECT `+missedColumns+` FROM missed_refs WHERE seq BETWEEN 0 AND ? AND missed_at > 0`+w.conditions+` ORDER BY seq DESC LIMIT ?`,
		slices.Concat([]any{high}, w.args, []any{limit + 1})...)
	if err != nil {
		return nil, "", fmt.Errorf("list missed pushes: %w", err)
	}
	if len(all) > limit {
		all = all[:limit]
		next = strconv.FormatInt(all[limit-1].Seq, 10)
	}
	return all, next, nil
}

// CountMissed counts the pushes that were missed and not built, by source.
func (s *Store) CountMissed(ctx context.Context) (map[string]int64, error) {
	missed := map[string]int64{}
	err := each(ctx, s.db.reader(), func(row scanner) error {
		var (
			source string
			n      int64
		)
		err := row.Scan(&source, &n)
		missed[source] = n
		return err
	}, `SELECT source, count(*) FROM missed_refs WHERE missed_at > 0 AND NOT built GROUP BY source`)
	if err != nil {
		return nil, fmt.Errorf("count the missed pushes: %w", err)
	}
	return missed, nil
}

// NamedSince calls each with the digests of the refs that deliveries of a repository have named
// since a time, whatever became of them. It does not read the history before: what was stored
// before deliveries that are a day older is left out. What catch-up itself has found does not
// count, but a person's replay of it does.
func (s *Store) NamedSince(ctx context.Context, source, repository string, since time.Time, named func(digest uint64)) error {
	f := DeliveryFilter{Source: source, Repository: repository, Since: since}
	for _, w := range f.wheres() {
		w.oldest = micros(since.Add(-24 * time.Hour))
		w.add("(origin <> ? OR replay_of <> '')", string(mapping.OriginCatchUp))
		w.each = func(row scanner) error {
			var ref, commit, more string
			if err := row.Scan(&ref, &commit, &more); err != nil {
				return err
			}
			if ref != "" {
				named(RefDigest(ref, commit))
			}
			for ; len(more) >= 16; more = more[16:] {
				if digest, err := strconv.ParseUint(more[:16], 16, 64); err == nil {
					named(digest)
				}
			}
			return nil
		}
		if err := s.find(ctx, deliveryBlocks, "ref, commit_id, more", w, math.MaxInt64, math.MaxInt32); err != nil {
			return fmt.Errorf("refs that deliveries of %s have named: %w", repository, err)
		}
	}
	return nil
}

// saveRefs writes the rows of a look.
func (l *Look) saveRefs(ctx context.Context, tx *tx) error {
	for _, m := range l.Gone {
		// Not if it was built meanwhile, or is another commit by now.
		if _, err := tx.exec(ctx, `DELETE FROM missed_refs WHERE seq = ? AND commit_id = ? AND delivery = ?`,
			m.Seq, m.Commit, m.Delivery); err != nil {
			return err
		}
	}
	for _, m := range l.Found {
		clean(&m.Ref, &m.Commit)
		before, err := missedRef(ctx, tx, m.Source, m.Repository, m.Ref)
		if err != nil {
			return err
		}
		if before != nil {
			if before.Commit == "" && before.WasAt(m.Commit) {
				// Its delivery came during the look, and builds. If it is another push, the next look finds it.
				if _, err := tx.exec(ctx, `DELETE FROM missed_refs WHERE seq = ?`, before.Seq); err != nil {
					return err
				}
				continue
			}
			m.was = goneOn(m.was, before.was, m.Ref, before.Commit)
		}
		if _, err := tx.exec(ctx, `INSERT INTO missed_refs (source, repository, ref, commit_id, was, found_at, unsure)
			VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (source, repository, ref) DO UPDATE SET commit_id = excluded.commit_id, was = excluded.was,
			found_at = excluded.found_at, missed_at = 0, delivery = '', built = ?, unsure = excluded.unsure`,
			m.Source, m.Repository, m.Ref, m.Commit, m.was, micros(m.FoundAt), m.Unsure, false); err != nil {
			return err
		}
	}
	for _, m := range l.Missed {
		if _, err := tx.exec(ctx, `UPDATE missed_refs SET missed_at = ?, delivery = ? WHERE seq = ? AND commit_id = ? AND delivery = ''`,
			micros(m.MissedAt), m.Delivery, m.Seq, m.Commit); err != nil {
			return err
		}
	}
	return nil
}

// missedRef is nil if there is no row of a ref.
func missedRef(ctx context.Context, tx *tx, source, repository, ref string) (*MissedRef, error) {
	m, err := scanMissed(queryRow(ctx, tx, `SELECT `+missedColumns+` FROM missed_refs WHERE source = ? AND repository = ? AND ref = ?`,
		source, strings.ToLower(repository), ref))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("look whether a push of %s was missed: %w", repository, err)
	}
	return m, nil
}

func missedLock(source, repository, ref string) int64 {
	return lockKey("missed", source, strings.ToLower(repository), ref)
}

// missedLocks are held by those who accept a delivery of a push, and the build that catch-up
// makes of it: one of them finds what the other did.
func missedLocks(d *Delivery) (locks []int64) {
	if d.Missed != nil {
		locks = append(locks, missedLock(d.Source, d.Missed.Repository, d.Missed.Ref))
	}
	if d.CatchUp {
		for _, r := range d.Refs {
			locks = append(locks, missedLock(d.Source, r.Repository, r.Ref))
		}
	}
	return locks
}

// claimMissed notes that a missed push is built by this delivery. It returns ErrStale if its own
// delivery came, or somebody has built it.
func claimMissed(ctx context.Context, tx *tx, a *acceptance) error {
	n, err := tx.exec(ctx, `UPDATE missed_refs SET missed_at = ?, delivery = ?, built = ? WHERE seq = ? AND commit_id = ? AND delivery = ''`,
		micros(a.ReceivedAt), a.ID, true, a.Missed.Seq, a.Missed.Commit)
	if err != nil {
		return fmt.Errorf("claim the missed push of %s: %w", a.Missed.Ref, err)
	}
	if n == 0 {
		return ErrStale
	}
	return nil
}

// findCaught gives the builds of a delivery that catch-up has made already, which are superseded
// by those. It keeps the rows of missed refs right: a push that is named is not missed.
//
// Catch-up builds the newest commit of a ref. Deliveries of the pushes before may come late too:
// to build them after it would leave the ref's older commit as the last that was built. They are
// told by the commits that the ref was at, until a push comes that goes on from the newest one.
// If such a delivery was of a new push after all, as of a branch that was deleted and made anew,
// the next looks find the ref at its commit.
func findCaught(ctx context.Context, tx *tx, a *acceptance) (superseded []*Build, err error) {
	byHand := a.ReplayOf != "" || a.Origin == mapping.OriginManual
	for _, r := range a.Refs {
		m, err := missedRef(ctx, tx, a.Source, r.Repository, r.Ref)
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue
		}
		same := r.Commit == m.Commit || r.Commit == "" // of a tag whose host does not say it
		older := a.ReceivedAt.Sub(m.MissedAt) < lateWithin && r.Before != m.Commit && (m.WasAt(r.Commit) || m.WasAt(r.Before))
		late := same || older
		switch {
		case byHand && (m.Built || !same), m.Delivery != "" && !m.Built && !same:
			continue
		case !m.Built && !same:
			// Most likely a newer push, while a look still reads the refs or builds: what that look
			// found must not be built after it. If it is an older one, the next looks find the other again.
			if _, err := tx.exec(ctx, `UPDATE missed_refs SET commit_id = '', was = ? WHERE seq = ?`,
				goneOn("", m.was, m.Ref, r.Commit), m.Seq); err != nil {
				return nil, fmt.Errorf("a push of %s moved on: %w", r.Repository, err)
			}
			continue
		case !m.Built, !late: // it is not missed, or the ref has moved on
			if _, err := tx.exec(ctx, `DELETE FROM missed_refs WHERE seq = ?`, m.Seq); err != nil {
				return nil, fmt.Errorf("a push of %s was not missed: %w", r.Repository, err)
			}
			continue
		case !same:
			if _, err := tx.exec(ctx, `UPDATE missed_refs SET was = ? WHERE seq = ?`, goneOn("", m.was, m.Ref, r.Commit), m.Seq); err != nil {
				return nil, fmt.Errorf("an older push of %s came late: %w", r.Repository, err)
			}
		}
		some, err := m.supersede(ctx, tx, a.builds, r, same)
		if err != nil {
			return nil, err
		}
		superseded = append(superseded, some...)
	}
	return superseded, nil
}

// supersede gives the builds of a ref that were built already as builds of the missed push.
func (m *MissedRef) supersede(ctx context.Context, tx *tx, builds []*Build, r RefChange, same bool) (superseded []*Build, err error) {
	type key struct{ rule, target, job string }
	caught := map[key]string{}
	err = each(ctx, tx, func(row scanner) error {
		var (
			k  key
			id string
		)
		err := row.Scan(&id, &k.rule, &k.target, &k.job)
		caught[k] = id
		return err
	}, `SELECT id, rule, target, job_id FROM builds WHERE delivery = ? AND state NOT IN ('dead', 'superseded')`, m.Delivery)
	if err != nil {
		return nil, fmt.Errorf("builds of the missed push of %s: %w", m.Ref, err)
	}
	for _, b := range builds {
		id := caught[key{b.Rule, b.Target, b.JobID}]
		if id == "" || b.State != Waiting && b.State != "" || !strings.EqualFold(b.Repository, r.Repository) || b.Ref != r.Ref {
			continue
		}
		b.State, b.SupersededBy, b.Reason = Superseded, id, "built already by catch-up, as build "+id
		if !same {
			b.Reason = "a newer push of this ref was built already by catch-up, as build " + id
		}
		superseded = append(superseded, b)
	}
	return superseded, nil
}
