package codearts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"buildbridge/trigger/internal/quoted"
)

// Record is one build in the list of a job's builds.
type Record struct {
	Number string // the build number, as in the answer of RunJob
	// Start is when the build was started, to the second or better; zero if the service does
	// not say, or in an unknown form. A wall clock in the hour that comes twice when summer
	// time ends may also mean StartAgain, which is later, and zero otherwise.
	Start, StartAgain time.Time

	Executor         string // who started it
	JobRunningStatus string // Starting, InQueue, Running, Finished, in whatever case; see Outcome, Queued
	State            string // SUCCESS, FAILURE, ABORTED, timeout, in whatever case; see Outcome
	CommitID         string // may be "" while the build is queued
}

const (
	pageSize  = 100                 // the most the service gives
	maxPages  = 100                 // 10,000 records a call
	maxWindow = 30 * 24 * time.Hour // the service takes 31 days by a wall clock, which may change within them
	wallClock = "2006-01-02 15:04:05"
)

// Records lists the builds of a job that were started between from and to, each once, in the
// order of the service. from and to are rounded outwards to the second. loc is the zone of the
// service's wall clock; nil means UTC. A window of more than 30 days takes several requests.
// If a wall clock means two times, the window has both.
//
// The list may lag behind RunJob. More than 10,000 records are an error. The fate of an error
// is not FateUnknown: nothing is started.
func (c *Client) Records(ctx context.Context, jobID string, from, to time.Time, loc *time.Location) ([]Record, error) {
	const op = "list records"
	var records []Record
	seen := map[string]bool{} // a build that is started meanwhile pushes another one onto the next page
	complete, err := c.eachRecord(ctx, op, jobID, from, to, loc, maxPages, func(r Record) bool {
		if !seen[r.Number] {
			seen[r.Number] = true
			records = append(records, r)
		}
		return true
	})
	if err == nil && !complete {
		err = misused(op, fmt.Sprintf("more than %d records", maxPages*pageSize), "shorten the window")
	}
	if err != nil {
		return nil, err
	}
	return records, nil
}

// followPages is how many pages Following reads.
const followPages = 10

// Following reads what has become of builds of a job: the records with these numbers, by
// number, of builds that were started between from and to; loc is as in Records. It reads no
// page of the list after all were found, so that it takes one request if all are among the
// newest hundred of that window, and at most ten.
//
// A build may be missing: the list may lag behind RunJob, may lack a build that is queued, and
// goes by a wall clock. That is no error; [Client.Record] tells more. So it is if the job has no
// builds. The fate of an error is not FateUnknown.
func (c *Client) Following(ctx context.Context, jobID string, from, to time.Time, loc *time.Location, numbers []string,
) (map[string]Record, error) {
	wanted := make(map[string]bool, len(numbers))
	for _, number := range numbers {
		wanted[number] = true
	}
	found := make(map[string]Record, len(wanted))
	if len(wanted) == 0 {
		return found, nil
	}
	_, err := c.eachRecord(ctx, "list records", jobID, from, to, loc, followPages, func(r Record) bool {
		if wanted[r.Number] {
			delete(wanted, r.Number)
			found[r.Number] = r
		}
		return len(wanted) > 0
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// eachRecord calls each with the records of a window that have a number, until it returns
// false. A record may come twice. complete is false if the window has more pages than most.
func (c *Client) eachRecord(ctx context.Context, op, jobID string, from, to time.Time, loc *time.Location, most int,
	each func(Record) bool,
) (complete bool, err error) {
	if err := checkJob(op, jobID); err != nil {
		return false, err
	}
	if to.Before(from) {
		return false, misused(op, "the window ends before it begins", "")
	}
	loc = cmp.Or(loc, time.UTC)
	from = from.Truncate(time.Second)
	if t := to.Truncate(time.Second); t.Before(to) {
		to = t.Add(time.Second)
	}

	page, got := 0, 0 // of the window that begins at from
	for range most {
		end := to
		if end.Sub(from) > maxWindow {
			end = from.Add(maxWindow)
		}
		next, total, err := c.recordPage(ctx, op, jobID, from, end, page, loc)
		if err != nil {
			return false, harmless(err)
		}
		for _, r := range next {
			if r.Number != "" && !each(r) {
				return true, nil
			}
		}
		page, got = page+1, got+len(next)
		switch {
		case len(next) >= pageSize, len(next) > 0 && got < total:
		case !end.Before(to):
			return true, nil
		default:
			from, page, got = end, 0, 0
		}
	}
	return false, nil
}

// recordPage reads a page of the list. total is how many records all pages have.
func (c *Client) recordPage(ctx context.Context, op, jobID string, from, to time.Time, page int, loc *time.Location,
) (records []Record, total int, err error) {
	a, err := c.read(ctx, op, "/v1/record/"+jobID+"/list", url.Values{
		"start_time": {notAfter(from, loc).Format(wallClock)},
		"end_time":   {notBefore(to, loc).Format(wallClock)},
		"page_index": {strconv.Itoa(page)},
		"page_size":  {strconv.Itoa(pageSize)},
	})
	if e, ok := errors.AsType[*Error](err); ok && e.Code == codeNoHistory {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	result, ok := a.object["result"].(map[string]any)
	if !ok {
		return nil, 0, unreadable(op)
	}
	states, ok := result["job_build_states"].([]any)
	if !ok && result["job_build_states"] != nil {
		return nil, 0, unreadable(op)
	}
	for _, state := range states {
		object, ok := state.(map[string]any)
		if !ok {
			return nil, 0, unreadable(op)
		}
		records = append(records, parseRecord(object, loc))
	}
	total, _ = strconv.Atoi(text(result, "total_record"))
	return records, total, nil
}

func parseRecord(object map[string]any, loc *time.Location) Record {
	r := Record{
		Number:           text(object, "number", "build_no"),
		Executor:         text(object, "executor"),
		JobRunningStatus: quoted.Line(text(object, "job_running_status"), 64),
		State:            quoted.Line(text(object, "state"), 64),
		CommitID:         text(object, "commit_id"),
	}
	var again time.Time
	if r.Start, again = parseTime(text(object, "start_time"), loc); again.After(r.Start) {
		r.StartAgain = again
	}
	if info, ok := object["commit_info"].(map[string]any); ok && r.CommitID == "" {
		r.CommitID = text(info, "commit_id")
	}
	return r
}

// parseTime reads a time of the service: a Unix time in milliseconds or seconds, as the API
// reference and the SDK have it for start_time ("Integer", "timestamp", without a unit), or a
// wall clock in its zone. A wall clock may mean two times.
func parseTime(s string, loc *time.Location) (first, second time.Time) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch {
		case n <= 0:
		case n < 1e11: // the year 5138 in seconds, 1973 in milliseconds
			first = time.Unix(n, 0)
		default:
			first = time.UnixMilli(n)
		}
	} else if t, err := time.ParseInLocation(wallClock, s, loc); err == nil {
		return meanings(t, loc)
	} else if t, err := time.Parse(time.RFC3339, s); err == nil {
		first = t
	}
	return first, first
}

// meanings are the times at which a wall clock shows the same as at t: two in the hour that
// comes twice when summer time ends, else t twice.
func meanings(t time.Time, loc *time.Location) (first, second time.Time) {
	t = t.In(loc)
	_, offset := t.Zone()
	begin, end := t.ZoneBounds()
	if !end.IsZero() {
		_, next := end.Zone()
		if again := t.Add(time.Duration(offset-next) * time.Second); offset > next && !again.Before(end) {
			return t, again
		}
	}
	if !begin.IsZero() {
		_, last := begin.Add(-1).Zone()
		if before := t.Add(-time.Duration(last-offset) * time.Second); last > offset && before.Before(begin) {
			return before, t
		}
	}
	return t, t
}

// notAfter gives t, or an earlier time if the wall clock of t also means a later one: no
// meaning of the result is after t.
func notAfter(t time.Time, loc *time.Location) time.Time {
	first, second := meanings(t, loc)
	if second.After(t) {
		return first.Add(first.Sub(second))
	}
	return t.In(loc)
}

// notBefore gives t, or a later time: no meaning of the result is before t.
func notBefore(t time.Time, loc *time.Location) time.Time {
	first, second := meanings(t, loc)
	if first.Before(t) {
		return second.Add(second.Sub(first))
	}
	return t.In(loc)
}

// Record reads one build, with what the list of the job has. loc is as in Records. The record may
// lag behind RunJob: see [Error.NoSuchBuild].
func (c *Client) Record(ctx context.Context, jobID, buildNumber string, loc *time.Location) (Record, error) {
	result, err := readBuild[map[string]any](ctx, c, "read build", "record", jobID, buildNumber, "build-info-record")
	if err != nil {
		return Record{}, err
	}
	return parseRecord(result, cmp.Or(loc, time.UTC)), nil
}

// HistoryParameters reads the parameters that one build was started with.
func (c *Client) HistoryParameters(ctx context.Context, jobID, buildNumber string) ([]Parameter, error) {
	const op = "read parameters"
	result, err := readBuild[[]any](ctx, c, op, "job", jobID, buildNumber, "history-parameters")
	if err != nil {
		return nil, err
	}
	return parseParameters(op, result)
}

// parseParameters reads a list of names and values.
func parseParameters(op string, list []any) ([]Parameter, error) {
	parameters := make([]Parameter, 0, len(list))
	for _, item := range list {
		object, ok := item.(map[string]any)
		if !ok {
			return nil, unreadable(op)
		}
		value, ok := object["value"].(string)
		if !ok {
			value = text(object, "value")
		}
		parameters = append(parameters, Parameter{Name: text(object, "name"), Value: value})
	}
	return parameters, nil
}

// readBuild reads what the service has of one build under "result". A list may be null, an
// object may not.
func readBuild[T map[string]any | []any](ctx context.Context, c *Client, op, kind, jobID, buildNumber, what string) (result T, err error) {
	a, err := c.readOne(ctx, op, "/v1/"+kind, jobID, buildNumber, what)
	if err != nil {
		return nil, err
	}
	result, ok := a.object["result"].(T)
	if _, list := any(result).([]any); !ok && (!list || a.object["result"] != nil) {
		return nil, unreadable(op)
	}
	return result, nil
}

// readOne does a GET of /root/{job_id}/{build_no}/what.
func (c *Client) readOne(ctx context.Context, op, root, jobID, buildNumber, what string) (content, error) {
	if err := checkBuild(op, jobID, buildNumber); err != nil {
		return content{}, err
	}
	a, err := c.read(ctx, op, root+"/"+jobID+"/"+buildNumber+"/"+what, nil)
	if e, ok := errors.AsType[*Error](err); ok && e.NoSuchBuild() {
		e.what, e.todo = "no such build", ""
	}
	return a, harmless(err)
}

// read does a GET. An answer that is not a JSON object, or reports an error, is an error.
func (c *Client) read(ctx context.Context, op, path string, query url.Values) (content, error) {
	r, err := c.do(ctx, call{op: op, method: http.MethodGet, path: path, query: query})
	if err != nil {
		return content{}, err
	}
	if r.failed() {
		return content{}, r.error(op)
	}
	return r.content, nil
}

// unreadable makes the error of an answer whose shape is in no edition of the reference.
func unreadable(op string) *Error {
	return &Error{Op: op, Fate: FateRetry, Status: http.StatusOK, what: "an answer that is not understood"}
}

var (
	jobIDs       = regexp.MustCompile(`^[0-9a-zA-Z]{32}$`)
	buildNumbers = regexp.MustCompile(`^[1-9][0-9]{0,17}$`)
)

// checkJob returns an error for anything but a job id, which becomes part of a path.
func checkJob(op, jobID string) error {
	if !jobIDs.MatchString(jobID) {
		return misused(op, fmt.Sprintf("job id %q is not 32 letters and digits", quoted.Line(jobID, 64)), "")
	}
	return nil
}

// checkBuild returns an error for anything but a job id and the number of a build.
func checkBuild(op, jobID, buildNumber string) error {
	if err := checkJob(op, jobID); err != nil {
		return err
	}
	if !buildNumbers.MatchString(buildNumber) {
		return misused(op, fmt.Sprintf("build number %q is not a number", quoted.Line(buildNumber, 64)), "")
	}
	return nil
}
