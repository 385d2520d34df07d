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
)

// Record is one build in the list of a job's builds.
type Record struct {
	Number string // the build number that RunJob answers with
	// Start is when the build was started, to the second or better; zero if the
	// service did not say or said it in a way unknown to us. A wall clock in the hour
	// that comes twice when summer time ends may mean the later StartAgain as well;
	// else that is zero.
	Start, StartAgain time.Time

	Executor         string // who started it
	JobRunningStatus string // Starting, InQueue, Running, Finished
	State            string // FAILURE, SUCCESS, ABORTED, timeout; compare without case
	CommitID         string // may be "" while the build is queued
	CodeBranch       string
	BuildType        string
	TriggerType      string
	DailyBuildNumber string
}

const (
	pageSize  = 100                 // the most the service gives
	maxPages  = 100                 // 10,000 records a call
	maxWindow = 30 * 24 * time.Hour // the service searches 31 days of a wall clock, which may be set in between
	wallClock = "2006-01-02 15:04:05"
)

// Records lists the builds of a job that were started between from and to, both
// rounded outwards to the second, in the order of the service, each once. loc is
// the zone of the service's wall clock; nil means UTC. Windows over 30 days are
// asked for in pieces. Where a wall clock means two times, both are asked for.
//
// The list may lag behind RunJob. More than 10,000 records are an error, never
// a shortened list. The fate of an error is not FateUnknown: nothing is started.
func (c *Client) Records(ctx context.Context, jobID string, from, to time.Time, loc *time.Location) ([]Record, error) {
	const op = "list records"
	if err := checkJob(op, jobID); err != nil {
		return nil, err
	}
	if to.Before(from) {
		return nil, misused(op, "the window ends before it begins", "")
	}
	if loc == nil {
		loc = time.UTC
	}
	from = from.Truncate(time.Second)
	if t := to.Truncate(time.Second); t.Before(to) {
		to = t.Add(time.Second)
	}

	list := recordList{client: c, op: op, jobID: jobID, loc: loc, seen: make(map[string]bool)}
	for {
		end := to
		if end.Sub(from) > maxWindow {
			end = from.Add(maxWindow)
		}
		if err := list.window(ctx, from, end); err != nil {
			return nil, harmless(err)
		}
		if !end.Before(to) {
			return list.records, nil
		}
		from = end
	}
}

// recordList collects the pages of one call of Records.
type recordList struct {
	client  *Client
	op      string
	jobID   string
	loc     *time.Location
	pages   int
	seen    map[string]bool // builds started meanwhile push others onto the next page
	records []Record
}

func (l *recordList) window(ctx context.Context, from, to time.Time) error {
	got := 0
	for page := 0; ; page++ {
		if l.pages++; l.pages > maxPages {
			return misused(l.op, fmt.Sprintf("more than %d records", maxPages*pageSize), "shorten the window")
		}
		a, err := l.client.read(ctx, l.op, "/v1/record/"+l.jobID+"/list", url.Values{
			"start_time": {notAfter(from, l.loc).Format(wallClock)},
			"end_time":   {notBefore(to, l.loc).Format(wallClock)},
			"page_index": {strconv.Itoa(page)},
			"page_size":  {strconv.Itoa(pageSize)},
		})
		if e, ok := errors.AsType[*Error](err); ok && e.Code == codeNoHistory {
			return nil
		}
		if err != nil {
			return err
		}
		result, ok := a.object["result"].(map[string]any)
		if !ok {
			return unreadable(l.op)
		}
		states, ok := result["job_build_states"].([]any)
		if !ok && result["job_build_states"] != nil {
			return unreadable(l.op)
		}
		for _, state := range states {
			object, ok := state.(map[string]any)
			if !ok {
				return unreadable(l.op)
			}
			if r := parseRecord(object, l.loc); r.Number != "" && !l.seen[r.Number] {
				l.seen[r.Number] = true
				l.records = append(l.records, r)
			}
		}
		got += len(states)
		total, _ := strconv.Atoi(text(result, "total_record"))
		if len(states) == 0 || len(states) < pageSize && got >= total {
			return nil
		}
	}
}

func parseRecord(object map[string]any, loc *time.Location) Record {
	r := Record{
		Number:           text(object, "number", "build_no"),
		Executor:         text(object, "executor"),
		JobRunningStatus: text(object, "job_running_status"),
		State:            text(object, "state"),
		CommitID:         text(object, "commit_id"),
		CodeBranch:       text(object, "code_branch"),
		BuildType:        text(object, "build_type"),
		TriggerType:      text(object, "trigger_type"),
		DailyBuildNumber: text(object, "daily_build_number"),
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

// parseTime reads a time of the service: a Unix time in milliseconds or seconds,
// which is what the API reference and the SDK's types have for start_time
// ("Integer", "timestamp", unit not said), or a wall clock in its zone.
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

// meanings are the times at which a wall clock shows what it shows at t: two in the
// hour that comes twice when summer time ends, else the same time twice.
func meanings(t time.Time, loc *time.Location) (first, second time.Time) {
	t = t.In(loc)
	_, offset := t.Zone()
	begin, end := t.ZoneBounds()
	if !end.IsZero() {
		_, next := end.Zone()
		if again := t.Add(seconds(offset - next)); offset > next && !again.Before(end) {
			return t, again
		}
	}
	if !begin.IsZero() {
		_, last := begin.Add(-1).Zone()
		if before := t.Add(-seconds(last - offset)); last > offset && before.Before(begin) {
			return before, t
		}
	}
	return t, t
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// notAfter gives t, or an earlier time if the wall clock of t could be taken for a
// later one. The wall clock of what it gives means nothing after t.
func notAfter(t time.Time, loc *time.Location) time.Time {
	first, second := meanings(t, loc)
	if second.After(t) {
		return first.Add(first.Sub(second))
	}
	return t.In(loc)
}

// notBefore is notAfter for the end of a window.
func notBefore(t time.Time, loc *time.Location) time.Time {
	first, second := meanings(t, loc)
	if first.Before(t) {
		return second.Add(second.Sub(first))
	}
	return t.In(loc)
}

// Record reads one build as the list of the job has it. loc is as in Records.
func (c *Client) Record(ctx context.Context, jobID, buildNumber string, loc *time.Location) (Record, error) {
	const op = "read build"
	if err := checkBuild(op, jobID, buildNumber); err != nil {
		return Record{}, err
	}
	a, err := c.read(ctx, op, "/v1/record/"+jobID+"/"+buildNumber+"/build-info-record", nil)
	if err != nil {
		return Record{}, harmless(err)
	}
	result, ok := a.object["result"].(map[string]any)
	if !ok {
		return Record{}, unreadable(op)
	}
	return parseRecord(result, cmp.Or(loc, time.UTC)), nil
}

// RecordInfo is what the service knows about one build. Times are as the
// service writes them.
type RecordInfo struct {
	BuildNumber string
	Commit      string // may be "" while the build is queued
	Tag         string
	Branch      string
	BuildType   string
	TriggerType string
	Status      string
	StartTime   string
	FinishTime  string
	ErrMsg      string
}

// RecordInfo reads one build.
func (c *Client) RecordInfo(ctx context.Context, jobID, buildNumber string) (RecordInfo, error) {
	const op = "read record"
	if err := checkBuild(op, jobID, buildNumber); err != nil {
		return RecordInfo{}, err
	}
	a, err := c.read(ctx, op, "/v1/record/"+jobID+"/"+buildNumber+"/record-info", nil)
	if err != nil {
		return RecordInfo{}, harmless(err)
	}
	result, ok := a.object["result"].(map[string]any)
	if !ok {
		return RecordInfo{}, unreadable(op)
	}
	return RecordInfo{
		BuildNumber: buildNumber,
		Commit:      text(result, "commit"),
		Tag:         text(result, "tag"),
		Branch:      text(result, "branch"),
		BuildType:   text(result, "build_type"),
		TriggerType: text(result, "trigger_type"),
		Status:      text(result, "status"),
		StartTime:   text(result, "start_time"),
		FinishTime:  text(result, "finish_time"),
		ErrMsg:      oneLine(text(result, "err_msg"), 500),
	}, nil
}

// HistoryParameters reads the parameters that one build was started with.
func (c *Client) HistoryParameters(ctx context.Context, jobID, buildNumber string) ([]Parameter, error) {
	const op = "read parameters"
	if err := checkBuild(op, jobID, buildNumber); err != nil {
		return nil, err
	}
	a, err := c.read(ctx, op, "/v1/job/"+jobID+"/"+buildNumber+"/history-parameters", nil)
	if err != nil {
		return nil, harmless(err)
	}
	result, ok := a.object["result"].([]any)
	if !ok && a.object["result"] != nil {
		return nil, unreadable(op)
	}
	parameters := make([]Parameter, 0, len(result))
	for _, item := range result {
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

// read does a GET whose answer must be a JSON object without an error in it.
func (c *Client) read(ctx context.Context, op, path string, query url.Values) (answer, error) {
	a, r, err := c.do(ctx, call{op: op, method: http.MethodGet, path: path, query: query})
	if err != nil {
		return answer{}, err
	}
	if a.failed() {
		return answer{}, r.error(op, a)
	}
	return a, nil
}

// unreadable is for an answer of a shape that no edition of the reference has.
func unreadable(op string) *Error {
	return &Error{Op: op, Fate: FateRetry, Status: http.StatusOK, what: "an answer that is not understood"}
}

var (
	jobIDs       = regexp.MustCompile(`^[0-9a-zA-Z]{32}$`)
	buildNumbers = regexp.MustCompile(`^[0-9]{1,18}$`)
)

// checkJob keeps anything but a job id out of a path.
func checkJob(op, jobID string) error {
	if !jobIDs.MatchString(jobID) {
		return misused(op, fmt.Sprintf("job id %q is not 32 letters and digits", oneLine(jobID, 64)), "")
	}
	return nil
}

func checkBuild(op, jobID, buildNumber string) error {
	if err := checkJob(op, jobID); err != nil {
		return err
	}
	if !buildNumbers.MatchString(buildNumber) {
		return misused(op, fmt.Sprintf("build number %q is not a number", oneLine(buildNumber, 64)), "")
	}
	return nil
}
