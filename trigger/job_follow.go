package trigger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// jobLook is a look at the builds of a job.
type jobLook struct{ *followLook }

// follow reads the list of records, and then those that it lacks.
func (j job) follow(ctx context.Context, of *followLook, ask []*store.Build) {
	l := jobLook{of}
	records, ok := l.list(ctx, ask)
	if !ok {
		return
	}
	tick := l.tick(ask)
	var missing []*store.Build
	for _, b := range ask {
		r, found := records[b.BuildNumber]
		if !found {
			if rand.N(l.step(b)) < tick { //nolint:gosec // an old build is not read as often as the job is looked at
				missing = append(missing, b)
			}
		} else if l.late() || !l.apply(ctx, b, r) {
			return
		}
	}
	rand.Shuffle(len(missing), func(i, j int) { missing[i], missing[j] = missing[j], missing[i] }) //nolint:gosec // each has its turn
	failed := 0
	for _, b := range missing[:min(len(missing), followSingles)] {
		if l.late() {
			return
		}
		r, err := l.target.Service.Record(ctx, b.JobID, b.BuildNumber, l.target.Reconcile.TimeZone)
		l.asked(err)
		switch {
		case err == nil:
			if !l.apply(ctx, b, r) {
				return
			}
		case noSuchBuild(err):
			l.looked[b.Seq] = "the service has no record of it"
		default:
			if failed++; !l.failed(ctx, err) || failed == unreadRecords {
				return
			}
		}
	}
}

func noSuchJob(err error) bool {
	e, ok := errors.AsType[*codearts.Error](err)
	return ok && e.NoSuchJob()
}

// list reads the records of the builds in one request, if they are among the newest hundred
// of their time. ok is false if it could not.
func (l jobLook) list(ctx context.Context, builds []*store.Build) (records map[string]codearts.Record, ok bool) {
	var from time.Time
	numbers := make([]string, len(builds))
	for i, b := range builds {
		numbers[i] = b.BuildNumber
		if earliest := l.earliest(b); i == 0 || earliest.Before(from) {
			from = earliest
		}
	}
	to, known := l.target.Service.Clock()
	if !known {
		to = time.Now().Add(l.target.Reconcile.Window)
	}
	jobID, zone := l.follow.JobID, l.target.Reconcile.TimeZone
	records, err := l.target.Service.Following(ctx, jobID, from, to.Add(clockMargin), zone, numbers)
	l.asked(err)
	if err == nil {
		return records, true
	}
	if !noSuchJob(err) {
		l.failed(ctx, err)
		return nil, false
	}
	_, second := l.target.Service.Record(ctx, jobID, builds[0].BuildNumber, zone)
	if l.asked(second); !noSuchJob(second) {
		l.failed(ctx, err)
		return nil, false
	}
	for _, b := range builds {
		l.lost(ctx, b, "the job was deleted: "+err.Error())
	}
	return nil, false
}

// apply saves what a record says of a build. It reports whether the look goes on.
func (l jobLook) apply(ctx context.Context, b *store.Build, r codearts.Record) (goOn bool) {
	if !r.Start.IsZero() && startedBefore(r, l.earliest(b).Add(-zonesMost)) {
		// The job was created anew, and this is the record of a build before: its own will come.
		l.looked[b.Seq] = "the service's record of its number is that of an earlier build"
		return true
	}
	switch outcome := r.Outcome(); {
	case r.Queued():
		l.looked[b.Seq] = inQueue
	case outcome == codearts.OutcomeNone:
		l.looked[b.Seq] = fmt.Sprintf("the service says that it is %q", r.JobRunningStatus)
		if b.RunningAt.IsZero() {
			b.RunningAt = l.between(r.Start, b.StartedAt)
			l.began = append(l.began, b)
		}
	case outcome == codearts.OutcomeUnclear:
		return l.secondOpinion(ctx, b, r)
	default:
		return l.end(ctx, b, outcome)
	}
	return true
}

// zonesMost is how far two wall clocks can be apart. The service's may be in another zone than
// the rules say: what it says of its builds must count all the same.
const zonesMost = 26 * time.Hour

// secondOpinion asks in another way how a build ended whose record does not say it. If that
// is not known either, it looks once more, and then the build is lost.
func (l jobLook) secondOpinion(ctx context.Context, b *store.Build, r codearts.Record) (goOn bool) {
	info, err := l.target.Service.BuildInfo(ctx, b.JobID, b.BuildNumber)
	l.asked(err)
	if err != nil {
		return l.failed(ctx, err)
	}
	switch outcome := info.Outcome(); {
	case outcome == codearts.OutcomeNone:
		l.looked[b.Seq] = "one call of the service says that it has ended, another that it runs"
	case outcome != codearts.OutcomeUnclear:
		return l.end(ctx, b, outcome)
	case strings.HasPrefix(b.Message, endUnclear):
		l.lost(ctx, b, b.Message)
	default:
		b.Message, l.soon = fmt.Sprintf("%s: its state is %q, and its result %q", endUnclear, r.State, info.Result), true
		d, err := l.target.Service.Details(ctx, b.JobID, b.BuildNumber, l.target.Reconcile.TimeZone) // for the link
		l.asked(err)
		b.RecordID, b.ProjectID = text(d.RecordID), text(d.ProjectID)
		l.save(ctx, b)
	}
	return true
}

// results by outcomes.
func resultOf(o codearts.Outcome) store.Result {
	switch o {
	case codearts.OutcomeSucceeded:
		return store.Success
	case codearts.OutcomeFailed:
		return store.Failure
	case codearts.OutcomeAborted:
		return store.Aborted
	case codearts.OutcomeTimedOut:
		return store.Timeout
	case codearts.OutcomeNone, codearts.OutcomeUnclear:
	}
	return store.Lost
}

// end reads the details of a build that has ended, and saves its result. Details that cannot
// be read are tried once more at the next look.
func (l jobLook) end(ctx context.Context, b *store.Build, outcome codearts.Outcome) (goOn bool) {
	d, err := l.target.Service.Details(ctx, b.JobID, b.BuildNumber, l.target.Reconcile.TimeZone)
	l.asked(err)
	var step string
	if err == nil && outcome == codearts.OutcomeFailed {
		step, err = l.target.Service.FailedStep(ctx, b.JobID, b.BuildNumber)
		l.asked(err)
	}
	goOn = true
	if err != nil {
		if ctx.Err() != nil || throttled(err) {
			goOn = l.failed(ctx, err)
		}
		if !strings.HasPrefix(b.Message, detailsUnread) {
			b.Message, l.soon = text(detailsUnread+err.Error()), true
			l.save(ctx, b)
			return goOn
		}
	}
	b.Result, b.EndedAt, b.Step = resultOf(outcome), l.between(d.Finished, b.StartedAt), text(step)
	b.RecordID, b.ProjectID = text(d.RecordID), text(d.ProjectID)
	if d.Message != "" || !strings.HasPrefix(b.Message, stopRefused) {
		b.Message = text(d.Message)
	}
	l.save(ctx, b)
	return goOn
}
