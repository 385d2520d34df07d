package codearts_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
)

func TestJob(t *testing.T) {
	server := codeartstest.NewServer(codeartstest.Options{})
	defer server.Close()
	client := newClient(t, codearts.Options{Endpoint: server.URL})
	for name, test := range map[string]struct {
		job    codeartstest.Job
		info   codearts.JobInfo
		config codearts.JobConfig
	}{
		"of which nothing is known": {
			job:    codeartstest.Job{},
			info:   codearts.JobInfo{Name: "job-" + jobID[:8]},
			config: codearts.JobConfig{Name: "job-" + jobID[:8], BuildTypes: []string{"branch"}},
		},
		"disabled, without a parameter": {
			job:    codeartstest.Job{Name: "cart build", Disabled: true, NoRun: true, Parameters: []codeartstest.JobParameter{}, BuildType: "tag"},
			info:   codearts.JobInfo{Name: "cart build", Disabled: true, MayNotRun: true},
			config: codearts.JobConfig{Name: "cart build", BuildTypes: []string{"tag"}, Parameters: []codearts.JobParameter{}},
		},
		"with parameters": {
			job: codeartstest.Job{Name: "cart", Parameters: []codeartstest.JobParameter{
				{Name: "codeBranch", Default: "master", Required: true}, {Name: "version", Required: true}, {Name: "free"},
			}},
			info: codearts.JobInfo{Name: "cart"},
			config: codearts.JobConfig{Name: "cart", BuildTypes: []string{"branch"}, Parameters: []codearts.JobParameter{
				{Name: "codeBranch"}, {Name: "version", Needed: true}, {Name: "free"},
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.job.JobID = jobID
			if err := server.SetJob(test.job); err != nil {
				t.Fatal(err)
			}
			info, err := client.JobInfo(t.Context(), jobID)
			if err != nil || info != test.info {
				t.Errorf("%+v, %v, want %+v", info, err, test.info)
			}
			config, err := client.JobConfig(t.Context(), jobID)
			if diff := cmp.Diff(test.config, config); err != nil || diff != "" {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
			if disabled, err := client.JobDisabled(t.Context(), jobID); err != nil || (disabled != nil) != test.info.Disabled {
				t.Errorf("disabled: %v, %v", disabled, err)
			}
		})
	}
}

// What the pages do not show is no fault, and is not made up.
func TestJobOfAnotherShape(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		info   codearts.JobInfo
		config codearts.JobConfig
		fails  bool
	}{
		"flags as text": {
			answer: `{"result":{"job_name":"a\nb","disabled":"True","is_execute":"false"}}`,
			info:   codearts.JobInfo{Name: "a b", Disabled: true, MayNotRun: true}, config: codearts.JobConfig{Name: "a b"},
		},
		"flags as numbers": {
			answer: `{"result":{"disabled":1,"is_execute":1}}`, info: codearts.JobInfo{Disabled: true},
		},
		"lists of other things": {
			answer: `{"result":{"parameters":[7,{"params":[7,{"name":"name"}]},{"params":"x"}],"scms":[7,{"build_type":null}]}}`,
			config: codearts.JobConfig{Parameters: []codearts.JobParameter{}},
		},
		"no result": {answer: `{"result":null,"status":"success"}`, fails: true},
		"an error":  {answer: `{"error":{"code":"CB.00060100","message":"busy"},"status":"error"}`, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := codeartstest.NewServer(codeartstest.Options{})
			defer server.Close()
			if err := server.AddFault(codeartstest.Fault{Status: http.StatusOK, Body: test.answer}); err != nil {
				t.Fatal(err)
			}
			client := newClient(t, codearts.Options{Endpoint: server.URL})
			info, err := client.JobInfo(t.Context(), jobID)
			if info != test.info || (err != nil) != test.fails {
				t.Errorf("%+v, %v, want %+v", info, err, test.info)
			}
			config, err := client.JobConfig(t.Context(), jobID)
			if diff := cmp.Diff(test.config, config); diff != "" || (err != nil) != test.fails {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
			if e, ok := errors.AsType[*codearts.Error](err); test.fails && (!ok || e.Fate == codearts.FateUnknown) {
				t.Errorf("error %v", err)
			}
		})
	}
}
