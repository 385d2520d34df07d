package trigger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// candidates are the builds of the service that may be the one of a call.
type candidates struct {
	ours      []string // numbers of builds that fit and are not claimed, oldest first
	undecided string   // why it cannot be told of some build whether it is ours; "" if it can be told of all
	highest   int64    // the highest number of the job that was seen
}

// search searches the records of the job for the build of b's last call.
func (t *Trigger) search(ctx context.Context, target *target, b *store.Build) (c candidates, err error) {
	s := &search{Trigger: t, target: target, build: b}
	s.certain = sync.OnceValues(func() (certainBuild, error) { return s.findCertain(ctx) })
	from, to, records, err := s.list(ctx)
	var claimed []string
	defer func() {
		attrs := t.buildAttrs(b, slog.Time("from", from), slog.Time("to", to), slog.Time("called_there", s.at), slog.Int("records", len(records)),
			slog.Int("claimed", len(claimed)), slog.Int("ours", len(c.ours)), slog.String("undecided", c.undecided))
		if err != nil {
			attrs = append(attrs, errorAttr(err))
		}
		t.log.LogAttrs(ctx, slog.LevelDebug, "searched", attrs...)
	}()
	if err != nil || len(records) == 0 {
		return c, err
	}
	slices.SortFunc(records, func(x, y codearts.Record) int { return cmp.Compare(store.Number(x.Number), store.Number(y.Number)) })
	numbers := make([]string, len(records))
	for i, r := range records {
		numbers[i] = r.Number
		c.highest = max(c.highest, store.Number(r.Number))
	}
	if claimed, err = t.store.Claimed(ctx, b.Service, b.JobID, numbers); err != nil {
		return c, err
	}
	var errs []error
	for _, r := range records {
		if slices.Contains(claimed, r.Number) {
			continue
		}
		found, why, err := s.isOurs(ctx, r)
		if err != nil {
			// If another record is ours, this one does not matter.
			if errs = append(errs, err); len(errs) == unreadRecords || throttled(err) || ctx.Err() != nil {
				break
			}
			continue
		}
		switch {
		case found == ours:
			c.ours = append(c.ours, r.Number)
		case found == undecided && c.undecided == "":
			c.undecided = fmt.Sprintf("it cannot be told whether build %s is this one: %s", r.Number, why)
		}
	}
	switch {
	case len(c.ours) > 0:
		return c, nil
	case len(errs) > 0:
		return c, errs[len(errs)-1]
	case c.undecided == "" && otherTimes(records, from, to):
		return c, errTimeZone
	}
	return c, nil
}

// unreadRecords is how many records that cannot be read end a search.
const unreadRecords = 3

func throttled(err error) bool {
	e, ok := errors.AsType[*codearts.Error](err)
	return ok && e.Fate == codearts.FateThrottled
}

// search is one search for the build of a call.
type search struct {
	*Trigger
	target *target
	build  *store.Build

	at, late time.Time // as calledThere gives them
	sure     bool

	certain func() (certainBuild, error) // findCertain, which is asked once
}

// clockMargin is how wrong a clock may be that was not compared with the service's.
const clockMargin = 5 * time.Minute

// list reads the records of builds that may be of the call: started between the call and
// the end of its patience, with a margin on both sides. That time does not grow, because a
// search of a longer time would be slower and less likely to succeed.
func (s *search) list(ctx context.Context) (from, to time.Time, records []codearts.Record, err error) {
	read := func() {
		s.at, s.late, s.sure = s.calledThere(s.build)
		margin := s.target.Reconcile.Window + clockMargin
		lasts := patienceEnds(s.target, s.build).Sub(s.build.CalledAt)
		from, to = s.at.Add(-margin), s.late.Add(lasts+margin)
		records, err = s.target.Service.Records(ctx, s.build.JobID, from, to, s.target.Reconcile.TimeZone)
	}
	_, before := s.target.Service.Clock()
	read()
	if _, known := s.target.Service.Clock(); known && !before && err == nil {
		read() // again: the answer told the time by the service's clock
	}
	if now, known := s.target.Service.Clock(); err == nil && known && s.build.Seen > s.build.Known && to.Before(now) {
		var late []codearts.Record
		late, err = s.target.Service.Records(ctx, s.build.JobID, to, now, s.target.Reconcile.TimeZone)
		to = now
		records = append(records, slices.DeleteFunc(late, func(r codearts.Record) bool { return store.Number(r.Number) > s.build.Seen })...)
	}
	return from, to, records, err
}

// calledThere says when the last call of a build began by the service's clock: between at
// and late. It is sure if at is hardly too early.
//
// If that was not measured before the call, the time since then is counted by this
// machine's clock, which may have been set meanwhile. If another process made the call, what
// the clock showed then counts too.
func (s *search) calledThere(b *store.Build) (at, late time.Time, sure bool) {
	if !b.CalledThere.IsZero() {
		return b.CalledThere, b.CalledThere, true
	}
	now := time.Now()
	there, known := s.target.Service.Clock()
	if !known {
		there = now
	}
	since := now.Sub(b.CalledAt)
	at = there.Add(-max(0, since))
	switch sure = known && since >= 0 && b.Caller == s.store.Caller(); {
	case sure:
		return at, at, true
	case b.CalledAt.Before(at):
		return b.CalledAt, at, false
	}
	return at, b.CalledAt, false
}

var errTimeZone = errors.New("the times of the service's records do not fit reconcile.time_zone: " +
	"these are not the hours that were asked for")

// otherTimes reports whether all records that the service gave are of other times than it was
// asked for: its wall clock is in another zone.
func otherTimes(records []codearts.Record, from, to time.Time) bool {
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

// startedBefore reports whether a build was started before a time, by both meanings of its
// wall clock.
func startedBefore(r codearts.Record, at time.Time) bool {
	at = at.Truncate(time.Second) // some records count whole seconds
	return r.Start.Before(at) && r.StartAgain.Before(at)
}

// owner says whether a build of the service is of the call.
type owner int

const (
	notOurs owner = iota
	ours
	undecided
)

// isOurs compares a record with the call: by the marker if the record has it, else it is ours
// if nothing contradicts that. It is undecided, for the reason why, if the record lacks
// something.
func (s *search) isOurs(ctx context.Context, r codearts.Record) (found owner, why string, err error) {
	found = ours
	if s.build.Marker != "" {
		if found, why, err = s.compareMarker(ctx, r); err != nil || found != undecided {
			return found, why, err
		}
	}
	if n := store.Number(r.Number); n > 0 && n <= s.build.Known {
		return notOurs, "", nil // it was there before the call
	}
	if found == undecided && !finished(r) {
		return found, why, nil // its parameters may be known when it starts
	}
	if s.build.Tag == "" && r.CommitID != "" && !strings.EqualFold(r.CommitID, s.build.Commit) {
		return notOurs, "", nil
	}
	for _, compare := range []func(context.Context, codearts.Record) (owner, string, error){
		s.compareStart, s.compareSource, s.compareParameters, s.compareExecutor,
	} {
		one, reason, err := compare(ctx, r)
		if err != nil || one == notOurs {
			return notOurs, "", err
		}
		if one == undecided && found == ours {
			found, why = undecided, reason
		}
	}
	return found, why, nil
}

// compareMarker compares the parameter that holds the id of the build.
func (s *search) compareMarker(ctx context.Context, r codearts.Record) (owner, string, error) {
	parameters, err := s.target.Service.HistoryParameters(ctx, s.build.JobID, r.Number)
	if err != nil {
		return notOurs, "", err
	}
	if value, has := valueOf(parameters, s.build.Marker); has {
		return oursIf(value == s.build.ID), "", nil
	}
	return undecided, "its parameters do not have " + s.build.Marker + yet(r), nil
}

// compareStart wants a build that was not started before the call. A late start says
// nothing: the build may have been queued.
func (s *search) compareStart(_ context.Context, r codearts.Record) (owner, string, error) {
	limit := s.at.Add(-s.target.Reconcile.Window)
	switch {
	case r.Start.IsZero():
		return undecided, "its record does not say when it was started", nil
	case !startedBefore(r, limit):
		return ours, "", nil
	case !s.sure && !startedBefore(r, limit.Add(-clockMargin)):
		return undecided, "it was started at about the time of the call, and nobody had compared the clocks by then", nil
	}
	certain, err := s.certain()
	if err != nil || certain.Build == nil || certain.record.Start.IsZero() {
		return notOurs, "", err
	}
	if at, _, _ := s.calledThere(certain.Build); startedBefore(certain.record, at.Add(-s.target.Reconcile.Window)) {
		return undecided, "it was started before the call, but the record of build " + certain.BuildNumber +
			", which is ours, says the same of that", nil
	}
	return notOurs, "", nil
}

// compareSource wants a build of the tag or the commit. The list has the commit of a build,
// but not its tag.
func (s *search) compareSource(ctx context.Context, r codearts.Record) (owner, string, error) {
	source, err := s.target.source(ctx, s.build.JobID, r)
	if err != nil {
		return notOurs, "", err
	}
	commit, tag := cmp.Or(r.CommitID, source.Commit), source.Tag
	switch {
	case s.build.Tag != "" && tag != "":
		return oursIf(tag == s.build.Tag), "", nil
	case s.build.Tag == "" && commit != "":
		return oursIf(strings.EqualFold(commit, s.build.Commit) && tag == ""), "", nil
	case commit == "" && tag == "":
		return undecided, "its record does not say what it builds" + yet(r), nil
	}
	return notOurs, "", nil
}

// compareParameters wants a build with all parameters that were sent. The service adds those
// that the job declares. Parameters that it changes or leaves out in a build that is certainly
// ours are not compared.
func (s *search) compareParameters(ctx context.Context, r codearts.Record) (owner, string, error) {
	sent, err := parametersOf(s.build)
	if err != nil || len(sent) == 0 {
		return ours, "", err
	}
	has, err := s.target.Service.HistoryParameters(ctx, s.build.JobID, r.Number)
	if err != nil {
		return notOurs, "", err
	}
	if len(has) == 0 && (r.CommitID == "" || !finished(r)) {
		return undecided, "its record does not have its parameters" + yet(r), nil
	}
	lost := lostParameters(sent, has)
	if len(lost) == 0 {
		return ours, "", nil
	}
	if i := slices.IndexFunc(lost, func(name string) bool { return !isMasked(has, name) }); i < 0 {
		return undecided, "its parameter " + lost[0] + " is hidden", nil
	}
	certain, err := s.certain()
	if certain.Build == nil {
		return notOurs, "", err
	}
	if sent, err = parametersOf(certain.Build); err != nil {
		return notOurs, "", err
	}
	if has, err = s.target.Service.HistoryParameters(ctx, certain.JobID, certain.BuildNumber); err != nil {
		return notOurs, "", err
	}
	lostThere := lostParameters(sent, has)
	if slices.ContainsFunc(lost, func(name string) bool { return !slices.Contains(lostThere, name) }) {
		return notOurs, "", nil
	}
	return undecided, "its parameter " + lost[0] + " is not what was sent, but neither is that of build " + certain.BuildNumber +
		", which is ours", nil
}

// compareExecutor wants a build that was not started by somebody else, if it is known in
// whose name our builds are started.
func (s *search) compareExecutor(ctx context.Context, r codearts.Record) (owner, string, error) {
	certain, err := s.certain()
	if err != nil || certain.Build == nil || certain.record.Executor == "" {
		return ours, "", err
	}
	// Not from the list, which may lack it, or write it in another way.
	record, err := s.target.Service.Record(ctx, s.build.JobID, r.Number, s.target.Reconcile.TimeZone)
	if err != nil {
		return notOurs, "", err
	}
	return oursIf(record.Executor == "" || record.Executor == certain.record.Executor), "", nil
}

// executorFor is how long a target is expected to start builds in the same name: its
// credentials may become those of another user.
const executorFor = 24 * time.Hour

// certainBuild is the last build of a job that is certainly ours, because the service
// answered its number, and its record; nil if there is none, or only an old one.
type certainBuild struct {
	*store.Build
	record codearts.Record
}

func (s *search) findCertain(ctx context.Context) (certainBuild, error) {
	b, err := s.store.Answered(ctx, s.build.Target, s.build.Service, s.build.JobID)
	if err != nil || b == nil || s.build.CalledAt.Sub(b.CalledAt).Abs() >= executorFor {
		return certainBuild{}, err
	}
	record, err := s.target.Service.Record(ctx, b.JobID, b.BuildNumber, s.target.Reconcile.TimeZone)
	old := time.Since(b.StartedAt) > s.target.Reconcile.Patience // else its record may lag behind
	if e, ok := errors.AsType[*codearts.Error](err); ok && e.Fate == codearts.FateDead && old {
		return certainBuild{}, nil // the service has deleted its record
	}
	return certainBuild{b, record}, err
}

// parametersOf gives the parameters that were sent with the last call.
func parametersOf(b *store.Build) ([]codearts.Parameter, error) {
	var r codearts.RunJobRequest
	err := json.Unmarshal(b.Body, &r)
	return r.Parameters, err
}

// lostParameters names the parameters that were sent, and are missing or changed.
func lostParameters(sent, has []codearts.Parameter) (names []string) {
	for _, p := range sent {
		if value, ok := valueOf(has, p.Name); !ok || value != p.Value {
			names = append(names, p.Name)
		}
	}
	return names
}

func valueOf(parameters []codearts.Parameter, name string) (value string, ok bool) {
	i := slices.IndexFunc(parameters, func(p codearts.Parameter) bool { return p.Name == name })
	if i < 0 {
		return "", false
	}
	return parameters[i].Value, true
}

// isMasked reports whether a value is stars: so the service shows private parameters.
func isMasked(parameters []codearts.Parameter, name string) bool {
	value, _ := valueOf(parameters, name)
	return value != "" && strings.Trim(value, "*") == ""
}

func finished(r codearts.Record) bool { return strings.EqualFold(r.JobRunningStatus, "Finished") }

// yet ends a sentence about what a record lacks. If the build has ended it will never have
// it: such a build was perhaps aborted in the queue.
func yet(r codearts.Record) string {
	if finished(r) {
		return ", and it has ended"
	}
	return " yet"
}

func oursIf(same bool) owner {
	if same {
		return ours
	}
	return notOurs
}
