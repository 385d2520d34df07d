package codearts

import (
	"context"
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
	// service did not say or said it in a way unknown to us.
	Start            time.Time
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
	maxWindow = 31 * 24 * time.Hour // the most the service searches
	wallClock = "2006-01-02 15:04:05"
)

// Records lists the builds of a job that were started between from and to, both
// rounded outwards to the second, in the order of the service, each once. loc is
// the zone of the service's wall clock; nil means UTC. Windows over 31 days are
// asked for in pieces.
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
			"start_time": {from.In(l.loc).Format(wallClock)},
			"end_time":   {to.In(l.loc).Format(wallClock)},
			"page_index": {strconv.Itoa(page)},
			"page_size":  {strconv.Itoa(pageSize)},
		})
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
		Start:            parseTime(text(object, "start_time"), loc),
		JobRunningStatus: text(object, "job_running_status"),
		State:            text(object, "state"),
		CommitID:         text(object, "commit_id"),
		CodeBranch:       text(object, "code_branch"),
		BuildType:        text(object, "build_type"),
		TriggerType:      text(object, "trigger_type"),
		DailyBuildNumber: text(object, "daily_build_number"),
	}
	if info, ok := object["commit_info"].(map[string]any); ok && r.CommitID == "" {
		r.CommitID = text(info, "commit_id")
	}
	return r
}

// parseTime reads a time of the service: a Unix time in milliseconds or seconds,
// which is what the API reference and the SDK's types have for start_time
// ("Integer", "timestamp", unit not said), or a wall clock in its zone.
func parseTime(s string, loc *time.Location) time.Time {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch {
		case n <= 0:
			return time.Time{}
		case n < 1e11: // the year 5138 in seconds, 1973 in milliseconds
			return time.Unix(n, 0)
		}
		return time.UnixMilli(n)
	}
	if t, err := time.ParseInLocation(wallClock, s, loc); err == nil {
		return t
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t
	}
	return time.Time{}
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
		value, _ := object["value"].(string)
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
