package trigger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// askAgain is how long to wait before the service is asked once more: several
// times within the target's patience, growing from a second, or less where the
// patience is short, to fifteen. It grows with the searches for the last call.
func askAgain(target *target, b *store.Build) time.Duration {
	times := 0
	if n := len(b.Log); n > 0 && b.Log[n-1].Outcome == store.Unknown {
		times = b.Log[n-1].Times
	}
	first := min(time.Second, target.Reconcile.Patience/8)
	return min(15*time.Second, max(first, 10*time.Millisecond)<<min(times, 10))
}

// minAsked is how often the service has to say that there is no such build
// before it is believed: its list may lag behind.
const minAsked = 3

// reconcile asks the service what became of a call without an answer. What it
// finds is adopted; what it does not find within the target's patience waits
// again. When asking fails, the build stays unknown, with the reason to be seen.
func (t *Trigger) reconcile(ctx context.Context, target *target, b *store.Build) (again time.Duration, err error) {
	now := time.Now()
	if gone := cannotAsk(target, b); gone != "" {
		if now.After(b.Deadline) {
			return 0, t.giveUp(ctx, b, store.Attempt{At: now, Error: gone})
		}
		return t.wait(ctx, b, "RunJob got no answer, and "+gone, goneRetry)
	}
	if pause := target.pausedFor(now); pause > 0 {
		return pause, nil
	}
	ctx, span := t.attempt(ctx, "reconcile", b)
	defer func() { end(span, err) }()
	found, err := t.search(ctx, target, b)
	took := time.Since(now)
	if err != nil {
		if ctx.Err() != nil {
			return time.Millisecond, nil //nolint:nilerr // stopping; the row says where to go on
		}
		span.SetStatus(codes.Error, err.Error())
		if e, ok := errors.AsType[*codearts.Error](err); ok && throttled(err) {
			target.pause(now.Add(throttledFor(e.RetryAfter, 1)))
		}
		return t.stayUnknown(ctx, target, b, store.Attempt{At: now, Took: took, Search: true, Error: "search: " + err.Error()})
	}
	for _, r := range found.ours {
		log := slices.Clone(b.Log)
		b.State, b.Reason, b.BuildNumber, b.Adopted, b.StartedAt = store.Started, "", r.Number, true, time.Now()
		err := t.finish(ctx, b, store.Attempt{At: now, Took: took, Search: true, Outcome: store.Started})
		if !errors.Is(err, store.ErrClaimed) {
			return 0, err
		}
		b.State, b.BuildNumber, b.Adopted, b.StartedAt = store.Unknown, "", false, time.Time{}
		b.Log = log
	}
	b.Asked++
	if len(found.undecided) > 0 {
		return t.stayUnknown(ctx, target, b, store.Attempt{At: now, Took: took, Search: true, Error: fmt.Sprintf("search: build %s does not say yet what it builds", found.undecided[0].Number)})
	}
	if b.Asked < minAsked || now.Before(patienceEnds(target, b)) {
		return t.stayUnknown(ctx, target, b, store.Attempt{At: now, Took: took, Search: true, Error: "search: not found yet"})
	}
	b.State, b.Reason = store.Waiting, "the service has no such build: the call before started none"
	return time.Millisecond, t.finish(ctx, b, store.Attempt{At: now, Took: took, Search: true, Outcome: store.Waiting, Error: b.Reason})
}

// cannotAsk says why nobody can be asked what became of a call, "" if somebody can.
func cannotAsk(target *target, b *store.Build) string {
	switch {
	case target == nil:
		return fmt.Sprintf("target %q is not in the rules", b.Target)
	case target.Service.Address() != b.Service:
		return fmt.Sprintf("target %q led to %s then, and leads to %s now", b.Target, b.Service, target.Service.Address())
	}
	return ""
}

// stayUnknown saves why, and says when to ask again; after the deadline it gives
// up, unless there is patience left.
func (t *Trigger) stayUnknown(ctx context.Context, target *target, b *store.Build, a store.Attempt) (time.Duration, error) {
	if a.At.After(b.Deadline) && a.At.After(patienceEnds(target, b)) {
		return 0, t.giveUp(ctx, b, a)
	}
	b.State, b.Reason, a.Outcome = store.Unknown, a.Error, store.Unknown
	err := t.finish(ctx, b, a)
	return askAgain(target, b), err
}

// giveUp ends a build of which it never became known whether it was started.
func (t *Trigger) giveUp(ctx context.Context, b *store.Build, a store.Attempt) error {
	a.Outcome = store.Dead
	a.Error = "it is not known whether RunJob started this build: look at the builds of the job before you replay it (" + a.Error + ")"
	b.State, b.Reason = store.Dead, a.Error
	return t.finish(ctx, b, a)
}

// patienceEnds is when a build that was not found is believed not to exist:
// counted from the end of the call, or from the latest end it can have had.
func patienceEnds(target *target, b *store.Build) time.Time {
	end := b.CalledAt.Add(target.Timeout)
	for _, a := range slices.Backward(b.Log) {
		if a.At.Equal(b.CalledAt) {
			end = a.At.Add(a.Took)
			break
		}
	}
	return end.Add(target.Reconcile.Patience)
}

// searched is the time in which a build can have been started, by the clock of the
// service: it differs from ours by the target's window, and what was called is
// started within its patience. That does not grow with the time that has passed,
// or a search would become ever longer and less likely to succeed. Where the clock
// says that the call is yet to come it was set back, and may have been wrong
// before.
func searched(target *target, b *store.Build, now time.Time) (from, to time.Time) {
	from = b.CalledAt
	if now.Before(from) {
		from = now
	}
	window := target.Reconcile.Window
	return from.Add(-window), patienceEnds(target, b).Add(window)
}

// candidates are builds of the service that nobody claimed.
type candidates struct {
	ours      []codearts.Record // they build what b asked for, oldest first
	undecided []codearts.Record // queued, and not telling yet
}

// search looks through the records of the job for builds that are of this call.
func (t *Trigger) search(ctx context.Context, target *target, b *store.Build) (c candidates, err error) {
	from, to := searched(target, b, time.Now())
	records, err := target.Service.Records(ctx, b.JobID, from, to, target.Reconcile.TimeZone)
	var claimed map[string]bool
	defer func() {
		attrs := append(buildAttrs(b), "from", from, "to", to, "records", len(records),
			"claimed", len(claimed), "ours", len(c.ours), "undecided", len(c.undecided))
		if err != nil {
			attrs = append(attrs, "error", err)
		}
		t.log.DebugContext(ctx, "searched", attrs...)
	}()
	if err != nil || len(records) == 0 {
		return candidates{}, err
	}
	slices.SortFunc(records, func(x, y codearts.Record) int { return cmp.Compare(number(x), number(y)) })
	numbers := make([]string, len(records))
	for i, r := range records {
		numbers[i] = r.Number
	}
	claimed, err = t.store.Claimed(ctx, b.Service, b.JobID, numbers)
	if err != nil {
		return candidates{}, err
	}
	var errs []error
	for _, r := range records {
		if claimed[r.Number] || startedBefore(r, from) {
			continue
		}
		is, err := t.isOurs(ctx, target, b, r)
		if err != nil {
			// Another may be ours, and then this one does not matter.
			if errs = append(errs, err); len(errs) == unreadRecords || throttled(err) || ctx.Err() != nil {
				break
			}
			continue
		}
		switch is {
		case yes:
			c.ours = append(c.ours, r)
		case undecided:
			c.undecided = append(c.undecided, r)
		case no:
		}
	}
	switch {
	case len(c.ours) > 0:
		return c, nil
	case len(errs) > 0:
		return candidates{}, errs[len(errs)-1]
	case len(c.undecided) == 0 && astray(records, from, to):
		return candidates{}, errAstray
	}
	return c, nil
}

var errAstray = errors.New("the times of the service's records do not fit reconcile.time_zone: these are not the hours that were asked for")

// astray tells whether the service gave records of other times than it was asked
// for, and no other: it understands these in another zone.
func astray(records []codearts.Record, from, to time.Time) bool {
	outside := false
	for _, r := range records {
		switch {
		case r.Start.IsZero():
		case startedBefore(r, from) || r.Start.After(to):
			outside = true
		default:
			return false
		}
	}
	return outside
}

// startedBefore tells whether a build cannot be of a call after from. A later start
// than was asked for says nothing: it may have been queued.
func startedBefore(r codearts.Record, from time.Time) bool {
	return !r.Start.IsZero() && r.Start.Before(from.Truncate(time.Second)) // some are to the second
}

// unreadRecords is how many records that cannot be read end a search.
const unreadRecords = 3

func throttled(err error) bool {
	e, ok := errors.AsType[*codearts.Error](err)
	return ok && e.Fate == codearts.FateThrottled
}

// number orders records: build numbers count up per job.
func number(r codearts.Record) int64 {
	n, err := strconv.ParseInt(r.Number, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

type answer int

const (
	no answer = iota
	yes
	undecided
)

// isOurs tells whether a record is of the build that b asked for: by the marker
// where the job has one, else by the tag or the commit.
func (t *Trigger) isOurs(ctx context.Context, target *target, b *store.Build, r codearts.Record) (answer, error) {
	if b.Marker != "" {
		parameters, err := target.Service.HistoryParameters(ctx, b.JobID, r.Number)
		if err != nil {
			return no, err
		}
		i := slices.IndexFunc(parameters, func(p codearts.Parameter) bool { return p.Name == b.Marker })
		switch {
		case i >= 0:
			return is(parameters[i].Value == b.ID), nil
		case finished(r):
			return no, nil
		}
		return undecided, nil // they may come with the build's start
	}
	if b.Tag == "" && r.CommitID != "" && !strings.EqualFold(r.CommitID, b.Commit) {
		return no, nil
	}
	// The list has the commit of a tag's build, and not its tag.
	info, err := target.Service.RecordInfo(ctx, b.JobID, r.Number)
	if err != nil {
		return no, err
	}
	commit, tag := cmp.Or(r.CommitID, info.Commit), info.Tag
	switch {
	case b.Tag != "" && tag != "":
		return is(tag == b.Tag), nil
	case b.Tag == "" && commit != "":
		return is(strings.EqualFold(commit, b.Commit) && tag == ""), nil
	case commit == "" && tag == "" && !finished(r):
		return undecided, nil // it ended without: it never got so far as to check anything out
	}
	return no, nil
}

func finished(r codearts.Record) bool { return strings.EqualFold(r.JobRunningStatus, "Finished") }

func is(b bool) answer {
	if b {
		return yes
	}
	return no
}
