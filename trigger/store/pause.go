package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// PauseKind says which builds a pause is about.
type PauseKind string

// The kinds of pauses.
const (
	PauseAll        PauseKind = "all"
	PauseTarget     PauseKind = "target"
	PauseRule       PauseKind = "rule"
	PauseRepository PauseKind = "repository"
)

// PauseKinds lists all kinds.
func PauseKinds() []PauseKind { return []PauseKind{PauseAll, PauseTarget, PauseRule, PauseRepository} }

// ErrPause means that a pause is not valid. What is wrong follows: this text is shown to the
// person who asked.
var ErrPause = errors.New("it cannot be paused")

// ErrNotInRules is an ErrPause: what is to be paused is not in the rules.
var ErrNotInRules = fmt.Errorf("%w", ErrPause)

// Pause is one row of the pauses table: the builds that it is about are not called. Those that
// are started go on.
type Pause struct {
	Kind   PauseKind
	Name   string // of the target, the rule or the repository, in lower case; "" for all
	Reason string
	Actor  string // who asked for it
	Since  time.Time
	Until  time.Time // when it ends by itself; zero for never
}

// Holds reports whether the pause is about a build.
func (p *Pause) Holds(target, rule, repository string) bool {
	switch p.Kind {
	case PauseAll:
		return true
	case PauseTarget:
		return p.Name == target
	case PauseRule:
		return p.Name == rule
	case PauseRepository:
		return p.Name == strings.ToLower(repository)
	}
	return false
}

// What names what is paused.
func (p *Pause) What() string {
	if p.Kind == PauseAll {
		return "everything"
	}
	return string(p.Kind) + " " + p.Name
}

// says is the reason of the builds that it holds.
func (p *Pause) says() string {
	text := p.What() + " is paused: " + p.Reason
	if !p.Until.IsZero() {
		text += ", until " + p.Until.UTC().Format(time.RFC3339)
	}
	return text
}

// PausedInRules is the reason of a build whose rule is paused in its file.
func PausedInRules(rule, reason string) string {
	return "rule " + rule + " is paused in its file: " + reason
}

const pauseColumns = `kind, name, reason, actor, created_at, until_at`

func scanPause(row scanner) (*Pause, error) {
	var (
		p            Pause
		since, until int64
	)
	err := row.Scan(&p.Kind, &p.Name, &p.Reason, &p.Actor, &since, &until)
	p.Since, p.Until = fromMicros(since), fromMicros(until)
	return &p, err
}

// Pauses lists the pauses, the oldest first.
func (s *Store) Pauses(ctx context.Context) (pauses []*Pause, err error) {
	err = each(ctx, s.db.reader(), func(row scanner) error {
		p, err := scanPause(row)
		pauses = append(pauses, p)
		return err
	}, `SELECT `+pauseColumns+` FROM pauses ORDER BY seq`)
	if err != nil {
		return nil, fmt.Errorf("pauses: %w", err)
	}
	return pauses, nil
}

// Pause begins a pause, and sets Since: after it returned, no call begins that it is about, but
// those that were just beginning on PostgreSQL may still go. If there is one of this kind and
// name, it goes on with the new reason, actor and end, and before is what it was. The builds that it
// holds get the new reason from EndHolds.
func (s *Store) Pause(ctx context.Context, p *Pause) (before *Pause, err error) {
	clean(&p.Name, &p.Reason, &p.Actor)
	if p.Kind == PauseRepository {
		p.Name = strings.ToLower(p.Name)
	}
	locks := []int64{lockKey("pause", string(p.Kind), p.Name)}
	err = s.write(ctx, locks, func(ctx context.Context, tx *tx) error {
		var err error
		before, err = scanPause(queryRow(ctx, tx, `SELECT `+pauseColumns+` FROM pauses WHERE kind = ? AND name = ?`, string(p.Kind), p.Name))
		if before != nil && err != nil {
			before = nil
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var since int64
		err = queryRow(ctx, tx, `INSERT INTO pauses (kind, name, reason, actor, created_at, until_at, says)
			VALUES (?, ?, ?, ?, `+tx.now+`, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET reason = excluded.reason,
			actor = excluded.actor, until_at = excluded.until_at, says = excluded.says RETURNING created_at`,
			string(p.Kind), p.Name, p.Reason, p.Actor, micros(p.Until), p.says()).Scan(&since)
		p.Since = fromMicros(since)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("pause %s: %w", p.What(), err)
	}
	return before, nil
}

// EndPause ends a pause, and returns it. It returns ErrNotFound if there is none of this kind and
// name. EndHolds then frees its builds.
func (s *Store) EndPause(ctx context.Context, kind PauseKind, name string) (*Pause, error) {
	if kind == PauseRepository {
		name = strings.ToLower(name)
	}
	ended, err := s.endPauses(ctx, `kind = ? AND name = ?`, string(kind), name)
	switch {
	case err != nil:
		return nil, err
	case len(ended) == 0:
		return nil, fmt.Errorf("pause of %s: %w", (&Pause{Kind: kind, Name: name}).What(), ErrNotFound)
	}
	return ended[0], nil
}

// EndPauses ends the pauses whose time is over. It is for the leader, every few seconds.
func (s *Store) EndPauses(ctx context.Context) (ended []*Pause, err error) {
	return s.endPauses(ctx, `until_at > 0 AND until_at <= `+s.db.dialect().now)
}

func (s *Store) endPauses(ctx context.Context, condition string, args ...any) (ended []*Pause, err error) {
	var all []*Pause // not a result: it may still be written after ctx ends
	err = s.writeSome(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		all = nil
		err = each(ctx, tx, func(row scanner) error {
			p, err := scanPause(row)
			all = append(all, p)
			return err
		}, `DELETE FROM pauses WHERE `+condition+` RETURNING `+pauseColumns, args...)
		return int64(len(all)), err
	})
	if err != nil {
		return nil, fmt.Errorf("end pauses: %w", err)
	}
	return all, nil
}

// EndHolds goes through the builds that pauses hold, in their order. Those that no pause is about
// any more are due in the order in which they arrived, and their deadline is later by the time
// for which they were held. The others get the reason of the pause that holds them now. inFile
// gives the reason for which a rule is paused in its file, "" if it is not.
//
// A build that is being held at this moment may be left out: call it again some time after a
// pause has ended. It is safe for several processes to call it at the same time.
func (s *Store) EndHolds(ctx context.Context, inFile func(rule string) string) (resumed int64, err error) {
	pauses, err := s.Pauses(ctx)
	if err != nil {
		return 0, err
	}
	why := func(target, rule, repository string) string {
		for _, p := range pauses {
			if p.Holds(target, rule, repository) {
				return p.says()
			}
		}
		if reason := inFile(rule); reason != "" {
			return PausedInRules(rule, reason)
		}
		return ""
	}
	for after, n := int64(0), recallBatch; n == recallBatch; {
		n = 0
		c := &rows{columns: []string{"seq", "reason"}}
		err := each(ctx, s.db.reader(), func(row scanner) error {
			var target, rule, repository, reason string
			err := row.Scan(&after, &target, &rule, &repository, &reason)
			if now := why(target, rule, repository); now == "" || now != reason {
				c.add(after, now)
			}
			n++
			return err
		}, `SELECT seq, target, rule, repository, reason FROM builds WHERE held = 4 AND seq > ? ORDER BY seq LIMIT ?`, after, recallBatch)
		if err != nil {
			return resumed, fmt.Errorf("builds that pauses hold: %w", err)
		}
		if len(c.args) == 0 {
			continue
		}
		freed, err := s.endHolds(ctx, c)
		if err != nil {
			return resumed, fmt.Errorf("end the holds of builds: %w", err)
		}
		resumed += freed
	}
	return resumed, nil
}

// endHolds gives builds a new reason, or frees those whose reason is empty. It leaves out those
// that somebody is changing.
func (s *Store) endHolds(ctx context.Context, c *rows) (freed int64, err error) {
	var n int64 // not a result: it may still be written after ctx ends
	err = s.writeSome(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		targets, err := pairs[string](ctx, tx, c, `UPDATE builds SET reason = c.reason, version = builds.version + 1,
			held = CASE WHEN c.reason = '' THEN 0 ELSE 4 END,
			deadline = builds.deadline + CASE WHEN c.reason = '' AND `+tx.now+` > builds.paused_at THEN `+tx.now+` - builds.paused_at ELSE 0 END,
			resumed_at = CASE WHEN c.reason = '' THEN `+tx.now+` ELSE builds.resumed_at END,
			paused_at = CASE WHEN c.reason = '' THEN 0 ELSE builds.paused_at END,
			due_at = CASE WHEN c.reason <> '' THEN builds.due_at WHEN builds.received_at BETWEEN 1 AND `+tx.now+` THEN builds.received_at
				ELSE `+tx.now+` END
			FROM c WHERE builds.seq = c.seq AND `+tx.among("builds.seq")+`
			AND builds.seq IN (SELECT h.seq FROM builds h WHERE h.held = 4 AND h.seq IN (SELECT seq FROM c)`+tx.skipLocked+`)
			RETURNING builds.seq, CASE WHEN builds.held = 0 THEN builds.target ELSE '' END`)
		n = 0
		for _, target := range targets {
			if target != "" {
				n++
				tx.notify(target)
			}
		}
		return int64(len(targets)), err
	})
	return n, err
}
