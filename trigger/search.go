package trigger

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// candidates are what the service has that may be of a call.
type candidates struct {
	ours      []started // what fits and is not claimed, the oldest first
	undecided string    // why it cannot be told of something whether it is ours; "" if it can be told of all
	highest   int64     // the highest number of the job that was seen; 0 where numbers have no order
	afresh    bool      // searches that found nothing count from now on
}

// search is one search for what the last call of a build started.
type search struct {
	*Trigger
	target *target
	build  *store.Build

	at, late time.Time // as calledThere gives them
	sure     bool

	from, to        time.Time // what was asked for
	listed, claimed int       // how many the service gave, and how many of them belong to builds
}

// search searches the service for what b's last call started.
func (t *Trigger) search(ctx context.Context, target *target, b *store.Build) (candidates, error) {
	s := &search{Trigger: t, target: target, build: b}
	c, err := target.action(b.Action).find(ctx, s)
	attrs := t.buildAttrs(b, slog.Time("from", s.from), slog.Time("to", s.to), slog.Time("called_there", s.at), slog.Int("records", s.listed),
		slog.Int("claimed", s.claimed), slog.Int("ours", len(c.ours)), slog.String("undecided", c.undecided))
	if err != nil {
		attrs = append(attrs, errorAttr(err))
	}
	t.log.LogAttrs(ctx, slog.LevelDebug, "searched", attrs...)
	return c, err
}

// unreadRecords is how many records that cannot be read end a search.
const unreadRecords = 3

// among sorts what the service lists, the oldest first, by what isOurs says of each; those that
// belong to builds already are left out. Its error is only of what could not be read, and comes
// with the rest.
func (s *search) among(ctx context.Context, listed []started, isOurs func(i int) (owner, string, error)) (c candidates, err error) {
	s.listed = len(listed)
	if s.listed == 0 {
		return c, nil
	}
	numbers := make([]string, len(listed))
	for i, l := range listed {
		numbers[i] = l.number
	}
	claimed, err := s.store.Claimed(ctx, s.build.Service, s.build.JobID, numbers)
	if err != nil {
		return c, err
	}
	s.claimed = len(claimed)
	var errs []error
	for i, l := range listed {
		if slices.Contains(claimed, l.number) {
			continue
		}
		found, why, err := isOurs(i)
		if err != nil {
			// If another one is ours, this one does not matter.
			if errs = append(errs, err); len(errs) == unreadRecords || throttled(err) || ctx.Err() != nil {
				break
			}
			continue
		}
		switch {
		case found == ours:
			c.ours = append(c.ours, l)
		case found == undecided && c.undecided == "":
			c.undecided = why
		}
	}
	if len(c.ours) == 0 && len(errs) > 0 {
		return c, errs[len(errs)-1]
	}
	return c, nil
}

func throttled(err error) bool {
	e, ok := errors.AsType[*codearts.Error](err)
	return ok && e.Fate == codearts.FateThrottled
}

// clockMargin is how wrong a clock may be that was not compared with the service's.
const clockMargin = 5 * time.Minute

// listAround asks for what may be of the call: begun between the call and the end of its
// patience, with a margin on both sides. That time does not grow, because a search of a longer
// time would be slower and less likely to succeed.
func (s *search) listAround(ask func() error) error {
	clock := s.target.action(s.build.Action).clock
	_, before := clock()
	for {
		s.at, s.late, s.sure = s.calledThere(s.target, s.build)
		margin := s.target.Reconcile.Window + clockMargin
		lasts := patienceEnds(s.target, s.build).Sub(s.build.CalledAt)
		s.from, s.to = s.at.Add(-margin), s.late.Add(lasts+margin)
		err := ask()
		if _, known := clock(); !known || before || err != nil {
			return err
		}
		before = true // again: the answer told the time by the service's clock
	}
}

// calledThere says when the last call of a build began by the service's clock: between at
// and late. It is sure if at is hardly too early.
//
// If that was not measured before the call, the time since then is counted by this
// machine's clock, which may have been set meanwhile. If another process made the call, what
// the clock showed then counts too.
func (t *Trigger) calledThere(target *target, b *store.Build) (at, late time.Time, sure bool) {
	if !b.CalledThere.IsZero() {
		return b.CalledThere, b.CalledThere, true
	}
	now := time.Now()
	there, known := target.action(b.Action).clock()
	if !known {
		there = now
	}
	since := now.Sub(b.CalledAt)
	at = there.Add(-max(0, since))
	switch sure = known && since >= 0 && b.Caller == t.store.Caller(); {
	case sure:
		return at, at, true
	case b.CalledAt.Before(at):
		return b.CalledAt, at, false
	}
	return at, b.CalledAt, false
}

// owner says whether something at the service is of the call.
type owner int

const (
	notOurs owner = iota
	ours
	undecided
)

func oursIf(same bool) owner {
	if same {
		return ours
	}
	return notOurs
}
