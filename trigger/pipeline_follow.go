package trigger

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// pipelineLook is a look at the runs of a pipeline.
type pipelineLook struct {
	*followLook
	pipeline pipeline
}

const (
	// listFrom is how many runs are asked about by a list, rather than one by one, listedFor how
	// long after their start: a list of days would be long.
	listFrom  = 3
	listedFor = 2 * time.Hour
	// queueFor is how long a run waits in the queue of its pipeline before the service drops it.
	queueFor = 24 * time.Hour
)

// follow reads the list of runs if they are many, and then the runs that have changed by it, or
// that it lacks.
func (p pipeline) follow(ctx context.Context, of *followLook, ask []*store.Build) {
	l := &pipelineLook{of, p}
	ask, ok := l.queued(ctx, ask)
	if !ok || len(ask) == 0 {
		return
	}
	listed, ok := l.list(ctx, ask)
	if !ok {
		return
	}
	tick := l.tick(ask)
	var read []*store.Build
	changed := 0
	for _, b := range ask {
		run, found := listed[b.BuildNumber]
		if found && l.applyListed(ctx, b, run) {
			continue
		}
		if found {
			changed++
		}
		if found || rand.N(l.step(b)) < tick { //nolint:gosec // an old build is not read as often as the pipeline is looked at
			read = append(read, b)
		}
	}
	rand.Shuffle(len(read), func(i, j int) { read[i], read[j] = read[j], read[i] }) //nolint:gosec // each has its turn
	l.soon = l.soon || changed > followSingles
	failed := 0
	for _, b := range read[:min(len(read), followSingles)] {
		if l.late() {
			return
		}
		run, err := p.Pipelines.PipelineRun(ctx, pipelineOf(b), b.BuildNumber)
		l.asked(err)
		switch {
		case err == nil:
			l.apply(ctx, b, run)
		case noSuchBuild(err):
			l.missing(ctx, b)
			err = nil
		case noSuchJob(err) && l.deleted(ctx, ask, err):
			return
		}
		if err != nil {
			if failed++; !l.failed(ctx, err) || failed == unreadRecords {
				return
			}
		}
	}
}

// list reads the runs of young builds in one call, if they are many. ok is false if the look ends.
func (l *pipelineLook) list(ctx context.Context, builds []*store.Build) (listed map[string]codearts.PipelineRun, ok bool) {
	var from time.Time
	young := 0
	for _, b := range builds {
		if l.now.Sub(b.StartedAt) > listedFor {
			continue
		}
		young++
		if earliest := l.earliest(b); from.IsZero() || earliest.Before(from) {
			from = earliest
		}
	}
	if young < listFrom {
		return nil, true
	}
	to, known := l.pipeline.clock()
	if !known {
		to = time.Now().Add(l.target.Reconcile.Window)
	}
	runs, err := l.target.Pipelines.PipelineRuns(ctx, pipelineOf(builds[0]), from, to.Add(clockMargin))
	l.asked(err)
	if err != nil { // the runs may be readable all the same
		return nil, l.failed(ctx, err)
	}
	listed = make(map[string]codearts.PipelineRun, len(runs))
	for _, r := range runs {
		listed[r.ID] = r
	}
	return listed, true
}

// says keeps what the service says of a run for the end by a cap, which a run that waits for a person
// does not have.
func (l *pipelineLook) says(b *store.Build, run codearts.PipelineRun) {
	if !run.WaitsForPerson() {
		l.looked[b.Seq] = fmt.Sprintf("the service says that it is %q", run.Status)
	}
}

// applyListed saves what the list says of a run, if that is all there is to know. Only the run itself
// tells how it ended, where it waits for a person, and its marker.
func (l *pipelineLook) applyListed(ctx context.Context, b *store.Build, run codearts.PipelineRun) (all bool) {
	l.says(b, run)
	if run.Outcome() != codearts.OutcomeNone || run.Queued() || run.WaitsForPerson() != b.WaitsForPerson() {
		return false
	}
	if !run.WaitsForPerson() {
		l.apply(ctx, b, run)
	}
	return true
}

// deleted ends the builds of a pipeline that does not exist any more, by the word of two calls.
func (l *pipelineLook) deleted(ctx context.Context, builds []*store.Build, err error) bool {
	_, second := l.target.Pipelines.PipelineInfo(ctx, pipelineOf(builds[0]))
	if l.asked(second); !noSuchJob(second) {
		return false
	}
	for _, b := range builds {
		if b.Result == store.Running {
			l.lost(ctx, b, "the pipeline was deleted: "+err.Error())
		}
	}
	return true
}

// apply saves what the service says of a run.
func (l *pipelineLook) apply(ctx context.Context, b *store.Build, run codearts.PipelineRun) {
	ended := run.Outcome() != codearts.OutcomeNone
	switch {
	case ended:
	case run.Queued():
		l.inQueue(ctx, b)
		return
	default:
		l.says(b, run)
	}
	news := b.RunningAt.IsZero() || ended
	if ended && !b.Adopted && !strings.Contains(run.Description, runMarker(b.ID)) {
		l.log.LogAttrs(ctx, slog.LevelWarn, "a run of a pipeline does not show its marker: if a call gets no answer, its build may be held",
			l.buildAttrs(b, slog.String("build_number", b.BuildNumber))...)
	}
	if b.RunningAt.IsZero() && !ended {
		if b.RunningAt = l.now; b.QueueID == "" { // else it may say when it was queued
			b.RunningAt = l.between(run.Start, b.StartedAt)
		} else if !b.StoppedAt.IsZero() { // it left the queue before it was taken out: the run is to be stopped
			b.StoppedAt, l.soon = time.Time{}, true
		}
	}
	if commit, asked := ranCommit(b, run), cmp.Or(b.Commit, b.TagCommit); commit != "" && commit != b.RanCommit {
		b.RanCommit, news = text(commit), true
		if asked != "" && !strings.EqualFold(asked, commit) {
			l.log.LogAttrs(ctx, slog.LevelWarn, "a run of a pipeline builds another commit than it was started for",
				l.buildAttrs(b, slog.String("build_number", b.BuildNumber), slog.String("ran_commit", b.RanCommit))...)
		}
	}
	if run.Address != "" && run.Address != b.Console {
		b.Console, news = run.Address, true
	}
	if says := l.waitsFor(b, run); !ended && says != b.Message {
		if run.WaitsForPerson() != b.WaitsForPerson() {
			b.WaitedAt = l.now
		}
		b.Message, news = says, true
	}
	switch {
	case ended:
		l.end(ctx, b, run)
	case news:
		l.began = append(l.began, b)
	}
}

// inQueue notes that a run is in the queue of its pipeline, and as which entry, if it was not known.
func (l *pipelineLook) inQueue(ctx context.Context, b *store.Build) {
	l.looked[b.Seq] = inQueue
	if b.QueueID != "" {
		return
	}
	entry, err := l.pipeline.queued(ctx, b)
	if l.asked(err); err != nil {
		l.failed(ctx, err)
	} else if b.QueueID = entry.ID; b.QueueID != "" {
		l.save(ctx, b)
	}
}

// ranCommit is the commit that a run built of the branch or tag of the build: of two sources that have
// it, that for which it was asked. "" if the run does not say, or builds no such source. One that
// names neither branch nor tag counts if there is no other.
func ranCommit(b *store.Build, run codearts.PipelineRun) (commit string) {
	for _, built := range run.Built {
		unnamed := len(run.Built) == 1 && built.Branch == "" && built.Tag == ""
		switch {
		case !unnamed && (b.Tag != "" && built.Tag != b.Tag || b.Tag == "" && "refs/heads/"+built.Branch != b.Ref):
		case built.Commit != "" && strings.EqualFold(built.Commit, cmp.Or(b.Commit, b.TagCommit)):
			return built.Commit
		default:
			commit = cmp.Or(commit, built.Commit)
		}
	}
	return commit
}

// waitsFor is the message of a build whose run goes on, or waits for a person. If the service does
// not stop it, that stays there.
func (l *pipelineLook) waitsFor(b *store.Build, run codearts.PipelineRun) string {
	says := ""
	if run.WaitsForPerson() {
		says = store.WaitsForPerson
		if run.Stage != "" {
			says += fmt.Sprintf(", in stage %q", run.Stage)
		}
	}
	if i := strings.Index(b.Message, stopRefused); i >= 0 {
		says = strings.TrimPrefix(says+"; "+b.Message[i:], "; ")
	}
	return text(says)
}

// end saves the result of a run.
func (l *pipelineLook) end(ctx context.Context, b *store.Build, run codearts.PipelineRun) {
	if b.EndedAt = l.between(run.End, b.StartedAt); b.WaitsForPerson() {
		b.WaitedAt = b.EndedAt
	}
	b.Result, b.Step = resultOf(run.Outcome()), text(cmp.Or(run.Step, run.Stage))
	switch {
	case run.Ignored():
		b.Message = store.NeverRan + ": the pipeline takes no more runs at a time, and the service ignored this one"
	case !strings.HasPrefix(b.Message, stopRefused) && b.Message != takenOut:
		b.Message = ""
	}
	l.save(ctx, b)
}

// missing ends a build whose run the service does not have: it was taken out of the queue, or
// dropped. Else it cannot be read yet.
func (l *pipelineLook) missing(ctx context.Context, b *store.Build) {
	if l.looked[b.Seq] = "the service has no such run"; b.WaitsForPerson() { // as far as is known it does so no longer
		b.Message, b.WaitedAt = "", l.now
		l.save(ctx, b)
	}
	stopped := !b.StoppedAt.IsZero() && (b.QueueID != "" || l.now.Sub(b.StoppedAt) > l.target.Reconcile.Patience)
	if b.RunningAt.IsZero() && (stopped || b.QueueID != "" && l.now.Sub(b.StartedAt) > queueFor) {
		l.unqueued(ctx, b)
	}
}

// takenOut is the message of a build that was stopped in the queue of its pipeline.
const takenOut = store.NeverRan + ": it was taken out of the queue of its pipeline"

// unqueued ends a build that has left the queue of its pipeline without a run.
func (l *pipelineLook) unqueued(ctx context.Context, b *store.Build) {
	if b.StoppedAt.IsZero() {
		l.lost(ctx, b, store.NeverRan+": the service dropped it from the queue of its pipeline")
		return
	}
	b.Result, b.EndedAt, b.Message = store.Aborted, l.now, takenOut
	l.save(ctx, b)
}

// queued looks for the builds that were queued in the queue of their pipeline, and gives those that
// are not there. ok is false if the look ends.
func (l *pipelineLook) queued(ctx context.Context, builds []*store.Build) (others []*store.Build, ok bool) {
	mayBe := func(b *store.Build) bool { return b.QueueID != "" && b.RunningAt.IsZero() }
	if !slices.ContainsFunc(builds, mayBe) {
		return builds, true
	}
	queue, err := l.target.Pipelines.QueuedRuns(ctx, pipelineOf(builds[0]))
	if l.asked(err); err != nil {
		return builds, l.failed(ctx, err) // their runs may be readable all the same
	}
	for _, b := range builds {
		i := slices.IndexFunc(queue, func(entry codearts.QueuedRun) bool { return entry.RunID == b.BuildNumber })
		switch {
		case i < 0 || !mayBe(b):
			others = append(others, b)
		case queue[i].Status == "QUEUED_TIME_OUT":
			l.unqueued(ctx, b)
		default:
			l.looked[b.Seq] = inQueue
		}
	}
	return others, true
}
