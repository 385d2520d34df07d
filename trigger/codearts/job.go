package codearts

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"buildbridge/trigger/internal/quoted"
)

// JobInfo is what the service says of a job to whoever may see it. The names are those of the
// official SDK v0.1.207, ShowJobInfoResult. Whatever the service does not say is zero.
type JobInfo struct {
	Name     string // one line of at most 255 characters
	Disabled bool   // it cannot be started
	// MayNotRun: the caller has not the permission to start it. False if the service does not
	// say.
	MayNotRun bool
}

// JobInfo reads what the service says of a job. The fate of an error is not FateUnknown.
func (c *Client) JobInfo(ctx context.Context, jobID string) (JobInfo, error) {
	result, err := c.readJob(ctx, "read job", jobID, "info", nil)
	if err != nil {
		return JobInfo{}, err
	}
	disabled, _ := flag(result, "disabled")
	mayRun, said := flag(result, "is_execute")
	return JobInfo{Name: jobName(result), Disabled: disabled, MayNotRun: said && !mayRun}, nil
}

// JobConfig is how a job is set up. The names are those of the official SDK v0.1.207,
// CreateBuildJobRequestBody.
type JobConfig struct {
	Name string // as in JobInfo

	// Parameters are those that the job declares. They are nil if the service does not say,
	// which is not the same as none.
	Parameters []JobParameter
	// BuildTypes are what the job's repositories are set to build: branch, tag or commitId, in
	// whatever case; none if the service does not say.
	BuildTypes []string
}

// JobParameter is one that a job declares.
type JobParameter struct {
	Name string
	// Needed: it has to have a value, and the job has none for it. The pages show no parameter
	// with the field "required" that says so; that of the console's form has it.
	Needed bool
}

// JobConfig reads how a job is set up. The fate of an error is not FateUnknown.
func (c *Client) JobConfig(ctx context.Context, jobID string) (JobConfig, error) {
	result, err := c.readJob(ctx, "read job's configuration", jobID, "config", url.Values{"get_all_params": {"true"}})
	if err != nil {
		return JobConfig{}, err
	}
	config := JobConfig{Name: jobName(result)}
	if list, ok := result["parameters"].([]any); ok {
		config.Parameters = make([]JobParameter, 0, len(list))
		for object := range objectsIn(result, "parameters") {
			if p := parseJobParameter(object); p.Name != "" {
				config.Parameters = append(config.Parameters, p)
			}
		}
	}
	for object := range objectsIn(result, "scms") {
		if kind := text(object, "build_type"); kind != "" {
			config.BuildTypes = append(config.BuildTypes, quoted.Line(kind, 64))
		}
	}
	return config, nil
}

// readJob does a GET of /v1/job/{job_id}/what.
func (c *Client) readJob(ctx context.Context, op, jobID, what string, query url.Values) (map[string]any, error) {
	if err := checkJob(op, jobID); err != nil {
		return nil, err
	}
	a, err := c.read(ctx, op, "/v1/job/"+jobID+"/"+what, query)
	if err != nil {
		return nil, harmless(err)
	}
	result, ok := a.object["result"].(map[string]any)
	if !ok {
		return nil, unreadable(op)
	}
	return result, nil
}

// parseJobParameter reads a parameter: fields by name, such as
// {"params": [{"name": "name", "value": "codeBranch"}, {"name": "defaultValue", "value": "master"}]}.
func parseJobParameter(object map[string]any) JobParameter {
	fields := map[string]string{}
	for field := range objectsIn(object, "params") {
		fields[text(field, "name")] = text(field, "value")
	}
	needed, _ := strconv.ParseBool(fields["required"])
	return JobParameter{Name: fields["name"], Needed: needed && fields["defaultValue"] == ""}
}

// objectsIn gives the JSON objects of a list that is a member of an object.
func objectsIn(object map[string]any, name string) func(func(map[string]any) bool) {
	return func(yield func(map[string]any) bool) {
		list, _ := object[name].([]any)
		for _, item := range list {
			if object, ok := item.(map[string]any); ok && !yield(object) {
				return
			}
		}
	}
}

// flag reads a truth value: true, "true", 1.
func flag(object map[string]any, name string) (value, said bool) {
	switch v := object[name].(type) {
	case bool:
		return v, true
	case string:
		value, err := strconv.ParseBool(strings.ToLower(v))
		return value, err == nil
	case json.Number:
		return v.String() != "0", true
	}
	return false, false
}

func jobName(result map[string]any) string { return quoted.Line(text(result, "job_name"), 255) }
