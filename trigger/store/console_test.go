package store_test

import (
	"testing"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

func TestConsoleURL(t *testing.T) {
	t.Parallel()
	const template = "https://console.example.com/{job_id}/{build_no}"
	pipeline := store.Build{Action: mapping.ActionPipeline, ProjectID: "p1", JobID: "f9d6", BuildNumber: "7f3a"}
	with := func(change func(b *store.Build)) store.Build {
		b := pipeline
		change(&b)
		return b
	}
	for name, test := range map[string]struct {
		build  store.Build
		target mapping.Target
		want   string
	}{
		"a job":                     {store.Build{JobID: "f9d6", BuildNumber: "17"}, mapping.Target{ConsoleURL: template}, "https://console.example.com/f9d6/17"},
		"a job without a template":  {store.Build{JobID: "f9d6", BuildNumber: "17"}, mapping.Target{Region: "cn-north-4"}, ""},
		"a job that is not started": {store.Build{JobID: "f9d6"}, mapping.Target{ConsoleURL: template}, ""},
		"a run": {
			pipeline,
			mapping.Target{Region: "cn-north-4", ConsoleURL: template},
			"https://devcloud.cn-north-4.huaweicloud.com/cicd/project/p1/pipeline/detail/f9d6/7f3a?v=1",
		},
		"a run of a target without a region": {pipeline, mapping.Target{ConsoleURL: template}, ""},
		"a run that is not started":          {with(func(b *store.Build) { b.BuildNumber = "" }), mapping.Target{Region: "cn-north-4"}, ""},
		"a run whose address the service gave": {
			with(func(b *store.Build) { b.Console = "https://devcloud.example.com/run" }),
			mapping.Target{Region: "cn-north-4"},
			"https://devcloud.example.com/run",
		},
		"a run with an address that is none": {with(func(b *store.Build) { b.Console = "javascript:alert(1)" }), mapping.Target{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.build.ConsoleURL(&test.target); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
