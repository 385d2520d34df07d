package trigger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// candidates are builds of the service that nobody claimed.
type candidates struct {
	ours      []string // numbers of builds that nothing tells from the one that was asked for, oldest first
	undecided string   // why it cannot be told of some build whether it is ours; "" if there is none
	highest   int64    // number of the job that was seen
}

// search looks through the records of the job for the build of b's last call.
func (t *Trigger) search(ctx context.Context, target *target, b *store.Build) (c candidates, err error) {
	s := &search{Trigger: t, target: target, build: b}
	from, to, records, err := s.list(ctx)
	var claimed map[string]bool
	defer func() {
		attrs := append(buildAttrs(b), "from", from, "to", to, "called_there", s.at, "records", len(records),
			"claimed", len(claimed), "ours", len(c.ours), "undecided", c.undecided)
		if err != nil {
			attrs = append(attrs, "error", err)
		}
		t.log.DebugContext(ctx, "searched", attrs...)
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
		if claimed[r.Number] {
			continue
		}
		is, why, err := s.isOurs(ctx, r)
		if err != nil {
			// Another may be ours, and then this one does not matter.
			if errs = append(errs, err); len(errs) == unreadRecords || throttled(err) || ctx.Err() != nil {
				break
			}
			continue
		}
		switch {
		case is == yes:
			c.ours = append(c.ours, r.Number)
		case is == undecided && c.undecided == "":
			c.undecided = fmt.Sprintf("it cannot be told whether build %s is this one: %s", r.Number, why)
		}
	}
	switch {
	case len(c.ours) > 0:
		return c, nil
	case len(errs) > 0:
		return c, errs[len(errs)-1]
	case c.undecided == "" && astray(records, from, to):
		return c, errAstray
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

	looked    bool // for what follows
	answered  *store.Build
	record    codearts.Record // of answered
	recordErr error
}

// clockMargin is by how much a clock may be wrong that nobody compared.
const clockMargin = 5 * time.Minute

// list reads the records of builds that can be of the call: begun from then until
// its patience ends. That does not grow with the time that has passed, or a search
// would become ever longer and less likely to succeed. It lists some more, on either
// side: what began at another time is told apart later, and knowingly.
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
		read() // of the right hours
	}
	if now, known := s.target.Service.Clock(); err == nil && known && s.build.Seen > s.build.Known && to.Before(now) {
		var late []codearts.Record
		late, err = s.target.Service.Records(ctx, s.build.JobID, to, now, s.target.Reconcile.TimeZone)
		to = now
		records = append(records, slices.DeleteFunc(late, func(r codearts.Record) bool { return store.Number(r.Number) > s.build.Seen })...)
	}
	return from, to, records, err
}

// calledThere says when the last call of a build began by the service's clock: at, or
// at least between at and late. It is sure if that is hardly too early.
//
// Where it was not measured before the call, the time since then is counted by this
// machine's clock. That may have been set meanwhile, the longer ago the call the
// likelier: if another process made it, what the clock showed then counts too.
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

// startedBefore tells whether a build was started before a time, whatever its wall
// clock means.
func startedBefore(r codearts.Record, at time.Time) bool {
	at = at.Truncate(time.Second) // some are to the second
	return r.Start.Before(at) && r.StartAgain.Before(at)
}

type answer int

const (
	no answer = iota
	yes
	undecided
)

// isOurs tells whether a record is of the build that was asked for: by the marker
// where the record has it, else if nothing contradicts it. What cannot be read leaves it
// undecided, and why says what that is.
func (s *search) isOurs(ctx context.Context, r codearts.Record) (is answer, why string, err error) {
	is = yes
	if s.build.Marker != "" {
		if is, why, err = s.isMarked(ctx, r); err != nil || is != undecided {
			return is, why, err
		}
	}
	if n := store.Number(r.Number); n > 0 && n <= s.build.Known {
		return no, "", nil // there before the call
	}
	if is == undecided && !finished(r) {
		return is, why, nil // its parameters may come with its start
	}
	if s.build.Tag == "" && r.CommitID != "" && !strings.EqualFold(r.CommitID, s.build.Commit) {
		return no, "", nil
	}
	for _, clause := range []func(context.Context, codearts.Record) (answer, string, error){
		s.fitsStart, s.fitsSource, s.fitsParameters, s.fitsExecutor,
	} {
		fits, reason, err := clause(ctx, r)
		if err != nil || fits == no {
			return no, "", err
		}
		if fits == undecided && is == yes {
			is, why = undecided, reason
		}
	}
	return is, why, nil
}

// isMarked goes by the parameter that holds the id of the build.
func (s *search) isMarked(ctx context.Context, r codearts.Record) (answer, string, error) {
	parameters, err := s.target.Service.HistoryParameters(ctx, s.build.JobID, r.Number)
	if err != nil {
		return no, "", err
	}
	if value, has := valueOf(parameters, s.build.Marker); has {
		return is(value == s.build.ID), "", nil
	}
	return undecided, "its parameters do not have " + s.build.Marker + yet(r), nil
}

// fitsStart wants a build that did not begin before the call. A late start says
// nothing: it may have been queued.
func (s *search) fitsStart(ctx context.Context, r codearts.Record) (answer, string, error) {
	limit := s.at.Add(-s.target.Reconcile.Window)
	switch {
	case r.Start.IsZero():
		return undecided, "its record does not say when it was started", nil
	case !startedBefore(r, limit):
		return yes, "", nil
	case !s.sure && !startedBefore(r, limit.Add(-clockMargin)):
		return undecided, "it was started at about the time of the call, and nobody had compared the clocks by then", nil
	}
	answered, record, err := s.certain(ctx)
	if err != nil || answered == nil || record.Start.IsZero() {
		return no, "", err
	}
	if at, _, _ := s.calledThere(answered); startedBefore(record, at.Add(-s.target.Reconcile.Window)) {
		return undecided, "it was started before the call, but the record of build " + answered.BuildNumber + ", which is ours, says the same of that", nil
	}
	return no, "", nil
}

// fitsSource wants a build of the tag or the commit. The list has the commit of a
// tag's build, and not its tag.
func (s *search) fitsSource(ctx context.Context, r codearts.Record) (answer, string, error) {
	info, err := s.target.source(ctx, s.build.JobID, r)
	if err != nil {
		return no, "", err
	}
	commit, tag := cmp.Or(r.CommitID, info.Commit), info.Tag
	switch {
	case s.build.Tag != "" && tag != "":
		return is(tag == s.build.Tag), "", nil
	case s.build.Tag == "" && commit != "":
		return is(strings.EqualFold(commit, s.build.Commit) && tag == ""), "", nil
	case commit == "" && tag == "":
		return undecided, "its record does not say what it builds" + yet(r), nil
	}
	return no, "", nil
}

// fitsParameters wants a build with all parameters that were sent. The service adds
// those that the job declares. Of what it does not give of a build that is ours for
// certain, nothing can be told.
func (s *search) fitsParameters(ctx context.Context, r codearts.Record) (answer, string, error) {
	sent, err := parametersOf(s.build)
	if err != nil || len(sent) == 0 {
		return yes, "", err
	}
	has, err := s.target.Service.HistoryParameters(ctx, s.build.JobID, r.Number)
	if err != nil {
		return no, "", err
	}
	if len(has) == 0 && (r.CommitID == "" || !finished(r)) {
		return undecided, "its record does not have its parameters" + yet(r), nil
	}
	lost := lostParameters(sent, has)
	if len(lost) == 0 {
		return yes, "", nil
	}
	if i := slices.IndexFunc(lost, func(name string) bool { return !isMasked(has, name) }); i < 0 {
		return undecided, "its parameter " + lost[0] + " is hidden", nil
	}
	answered, _, err := s.certain(ctx)
	if answered == nil {
		return no, "", err
	}
	if sent, err = parametersOf(answered); err != nil {
		return no, "", err
	}
	if has, err = s.target.Service.HistoryParameters(ctx, answered.JobID, answered.BuildNumber); err != nil {
		return no, "", err
	}
	lostThere := lostParameters(sent, has)
	for _, name := range lost {
		if !slices.Contains(lostThere, name) {
			return no, "", nil
		}
	}
	return undecided, "its parameter " + lost[0] + " is not what was sent, but neither is that of build " + answered.BuildNumber + ", which is ours", nil
}

// fitsExecutor wants a build that was not started by somebody else, where it is known
// who starts ours.
func (s *search) fitsExecutor(ctx context.Context, r codearts.Record) (answer, string, error) {
	answered, ours, err := s.certain(ctx)
	if err != nil || answered == nil || ours.Executor == "" {
		return yes, "", err
	}
	// Where ours was read: the list may have none, or write it otherwise.
	record, err := s.target.Service.Record(ctx, s.build.JobID, r.Number, s.target.Reconcile.TimeZone)
	if err != nil {
		return no, "", err
	}
	return is(record.Executor == "" || record.Executor == ours.Executor), "", nil
}

// executorFor is how long a target is taken to start builds in the same name: its
// credentials may become those of another user.
const executorFor = 24 * time.Hour

// certain gives the last build of this job that is ours for certain, for the service
// answered its number, and its record; nil if there is none, or none of late.
func (s *search) certain(ctx context.Context) (*store.Build, codearts.Record, error) {
	if s.looked {
		return s.answered, s.record, s.recordErr
	}
	s.looked = true
	b, err := s.store.Answered(ctx, s.build.Target, s.build.Service, s.build.JobID)
	if err == nil && b != nil && s.build.CalledAt.Sub(b.CalledAt).Abs() < executorFor {
		s.record, err = s.target.Service.Record(ctx, b.JobID, b.BuildNumber, s.target.Reconcile.TimeZone)
		old := time.Since(b.StartedAt) > s.target.Reconcile.Patience // else its record may lag behind
		if e, ok := errors.AsType[*codearts.Error](err); ok && e.Fate == codearts.FateDead && old {
			b, err = nil, nil // the service does not know it any more
		}
		s.answered = b
	}
	s.recordErr = err
	return s.answered, s.record, err
}

// parametersOf gives what was sent with the last call.
func parametersOf(b *store.Build) ([]codearts.Parameter, error) {
	var r codearts.RunJobRequest
	err := json.Unmarshal(b.Body, &r)
	return r.Parameters, err
}

// lostParameters names those that were sent and are not there as they were sent.
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

// isMasked tells whether a value is stars, as those of private parameters are shown.
func isMasked(parameters []codearts.Parameter, name string) bool {
	value, _ := valueOf(parameters, name)
	return value != "" && strings.Trim(value, "*") == ""
}

func finished(r codearts.Record) bool { return strings.EqualFold(r.JobRunningStatus, "Finished") }

// yet ends what a record lacks: of one that has ended, it will not come. A build may
// end before it is known what it builds, as one that is aborted in the queue.
func yet(r codearts.Record) string {
	if finished(r) {
		return ", and it has ended"
	}
	return " yet"
}

func is(b bool) answer {
	if b {
		return yes
	}
	return no
}
