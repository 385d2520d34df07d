package trigger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// jobSearch is a search among the records of a job.
type jobSearch struct {
	*search
	certain func() (certainBuild, error) // findCertain, which is asked once
}

// find searches the records of the job.
func (j job) find(ctx context.Context, of *search) (c candidates, err error) {
	s := &jobSearch{search: of}
	s.certain = sync.OnceValues(func() (certainBuild, error) { return s.findCertain(ctx) })
	records, err := s.list(ctx)
	if err != nil {
		return c, err
	}
	slices.SortFunc(records, func(x, y codearts.Record) int { return cmp.Compare(store.Number(x.Number), store.Number(y.Number)) })
	listed := make([]started, len(records))
	for i, r := range records {
		listed[i].number = r.Number
	}
	c, err = s.among(ctx, listed, func(i int) (owner, string, error) {
		found, why, err := s.isOurs(ctx, records[i])
		return found, fmt.Sprintf("it cannot be told whether build %s is this one: %s", records[i].Number, why), err
	})
	for _, r := range records {
		c.highest = max(c.highest, store.Number(r.Number))
	}
	if err == nil && len(c.ours) == 0 && c.undecided == "" && otherTimes(records, s.from, s.to) {
		return c, errTimeZone
	}
	return c, err
}

// list reads the records that may be of the call, and those of numbers that were seen since.
func (s *jobSearch) list(ctx context.Context) (records []codearts.Record, err error) {
	jobID, zone := s.build.JobID, s.target.Reconcile.TimeZone
	err = s.listAround(func() (err error) {
		records, err = s.target.Service.Records(ctx, jobID, s.from, s.to, zone)
		return err
	})
	if now, known := s.target.Service.Clock(); err == nil && known && s.build.Seen > s.build.Known && s.to.Before(now) {
		var late []codearts.Record
		late, err = s.target.Service.Records(ctx, jobID, s.to, now, zone)
		s.to = now
		records = append(records, slices.DeleteFunc(late, func(r codearts.Record) bool { return store.Number(r.Number) > s.build.Seen })...)
	}
	return records, err
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

// isOurs compares a record with the call: by the marker if the record has it, else it is ours
// if nothing contradicts that. It is undecided, for the reason why, if the record lacks
// something.
func (s *jobSearch) isOurs(ctx context.Context, r codearts.Record) (found owner, why string, err error) {
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
		s.compareStart, s.compareSource, s.compareExecutor, s.compareParameters, // last: it is read anew each time
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
func (s *jobSearch) compareMarker(ctx context.Context, r codearts.Record) (owner, string, error) {
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
func (s *jobSearch) compareStart(_ context.Context, r codearts.Record) (owner, string, error) {
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
	if at, _, _ := s.calledThere(s.target, certain.Build); startedBefore(certain.record, at.Add(-s.target.Reconcile.Window)) {
		return undecided, "it was started before the call, but the record of build " + certain.BuildNumber +
			", which is ours, says the same of that", nil
	}
	return notOurs, "", nil
}

// compareSource wants a build of the tag or the commit. The list has the commit of a build,
// but not its tag.
func (s *jobSearch) compareSource(ctx context.Context, r codearts.Record) (owner, string, error) {
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
func (s *jobSearch) compareParameters(ctx context.Context, r codearts.Record) (owner, string, error) {
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
func (s *jobSearch) compareExecutor(ctx context.Context, r codearts.Record) (owner, string, error) {
	certain, err := s.certain()
	if err != nil || certain.Build == nil || certain.record.Executor == "" {
		return ours, "", err
	}
	// Not from the list, which may lack it, or write it in another way.
	record, err := s.target.begun(ctx, s.build.JobID, r.Number, r.Start)
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

func (s *jobSearch) findCertain(ctx context.Context) (certainBuild, error) {
	b, err := s.store.Answered(ctx, s.build.Target, s.build.Service, s.build.JobID)
	if err != nil || b == nil || s.build.CalledAt.Sub(b.CalledAt).Abs() >= executorFor {
		return certainBuild{}, err
	}
	record, err := s.target.begun(ctx, b.JobID, b.BuildNumber, b.StartedAt)
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
