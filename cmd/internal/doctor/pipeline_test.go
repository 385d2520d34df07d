package doctor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
)

func TestPipeline(t *testing.T) {
	const (
		pipeline = "b17dc0de000000000000000000000001"
		project  = "c0dea875000000000000000000000002"
		head     = `target "north": pipeline ` + pipeline
	)
	declared := []codeartstest.PipelineVariable{{Name: "GIT_SHA", Runtime: true}, {Name: "BRIDGE", Runtime: true}}
	for name, test := range map[string]struct {
		pipeline codeartstest.Pipeline
		fault    codeartstest.Fault
		ahead    time.Duration // the service's clock
		job      string        // more fields of the job
		want     string        // a part of what is found
		fails    bool
	}{
		"well": {
			pipeline: codeartstest.Pipeline{Name: "cart", Variables: declared},
			want:     head + " (cart) of cart: ok: the pipeline exists, and the credentials may read it, at http",
		},
		"its clock":    {want: `target "north": ok: the clocks of the service of pipelines and of this machine agree`},
		"clock behind": {ahead: 7 * time.Minute, want: `FAILED: the clock of this machine is 7m0s behind that of the service of pipelines`, fails: true},
		"banned":       {pipeline: codeartstest.Pipeline{Banned: true}, want: "of cart: FAILED: the pipeline is disabled, and runs nothing: enable it", fails: true},
		"no member":    {pipeline: codeartstest.Pipeline{NoMember: true}, want: "add the user to the project", fails: true},
		"another project": {
			pipeline: codeartstest.Pipeline{ProjectID: strings.Repeat("d", 32)}, want: "of cart: FAILED: read pipeline: ", fails: true,
		},
		"the IAM project": {
			fault: codeartstest.Fault{Path: codeartstest.PathPipelineInfo, Status: 401, Code: "APIGW.0301", Message: "Get token error,status:400"},
			want:  "check project_id: it is that of the CodeArts project", fails: true,
		},
		"no right to see it": {
			fault: codeartstest.Fault{Path: codeartstest.PathPipelineInfo, Status: 403},
			want:  "of cart: not seen: its runs can be listed; how the pipeline is set up cannot be seen: the service answers 403; give",
		},
		"not declared": {
			pipeline: codeartstest.Pipeline{Variables: declared[:1]},
			want:     `of cart: warning: rule "cart" sends BRIDGE, which the pipeline does not declare: add it`,
		},
		"not set at run time": {
			pipeline: codeartstest.Pipeline{Variables: []codeartstest.PipelineVariable{declared[0], {Name: "BRIDGE"}}},
			want:     `of cart: warning: rule "cart" sends BRIDGE, which the pipeline does not take for a run: switch on "Set at run time"`,
		},
		"it ignores runs": {
			pipeline: codeartstest.Pipeline{Concurrency: codeartstest.PipelineConcurrency{Limit: 1, ExceedAction: codeartstest.ExceedAbort}},
			want:     `of cart: warning: the pipeline queues no run over its limit: the call is refused and made again later, or the run is ignored`,
		},
		"several sources": {
			pipeline: codeartstest.Pipeline{Sources: []codeartstest.PipelineSource{{Alias: "app"}, {Alias: "conf"}}},
			want:     `of cart: warning: the pipeline has 2 code sources, and rule "cart" does not say which is built: write sources`,
		},
		"another alias": {
			pipeline: codeartstest.Pipeline{Sources: []codeartstest.PipelineSource{{Alias: "app"}}}, job: ", sources: [{alias: ap}]",
			want: `of cart: warning: rule "cart" names the source ap, and the pipeline has none with this alias`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := codeartstest.NewServer(codeartstest.Options{Keys: key(t), Now: func() time.Time { return time.Now().Add(test.ahead) }})
			defer server.Close()
			test.pipeline.PipelineID = pipeline
			if test.pipeline.ProjectID == "" {
				test.pipeline.ProjectID = project
			}
			if err := server.SetPipeline(test.pipeline); err != nil {
				t.Fatal(err)
			}
			if test.fault.Status != 0 {
				if err := server.AddFault(test.fault); err != nil {
					t.Fatal(err)
				}
			}
			text := strings.Replace(rulesOf(server.URL, 0, time.Minute), "endpoint:", fmt.Sprintf("pipeline_endpoint: '%s', endpoint:", server.URL), 1) +
				"  - {name: cart, repository: acme/shop, when: {push: {}}, jobs: [{pipeline_id: " + pipeline + ", project_id: " + project +
				", variables: {GIT_SHA: x}, marker: BRIDGE" + test.job + "}]}\n"
			got := run(t, &Doctor{Rules: load(t, text), Targets: []string{"north"}})
			failed := false
			for _, f := range got {
				failed = failed || !f.OK
			}
			if !strings.Contains(got.String(), test.want) || failed != test.fails {
				t.Errorf("failed: %v, want %v and %s; found:\n%s", failed, test.fails, test.want, got)
			}
			if name == "well" && strings.Contains(got.String(), "warning") {
				t.Errorf("found:\n%s", got)
			}
		})
	}
}
