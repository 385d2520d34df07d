package codearts_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/codearts"
)

func TestPipelineInfo(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		want   codearts.PipelineInfo
		fails  bool
	}{
		"all of it": {
			answer: `{"id":"` + pipeline.ID + `","name":"Build\nand test","banned":true,
				"sources":[{"type":"code","params":{"alias":"shop"}},{"type":"code","params":{}},{"type":"artifact","params":{"alias":"x"}}],
				"variables":[{"name":"GIT_SHA","is_runtime":true,"is_secret":false},{"name":"KEY","is_secret":true},{}]}`,
			want: codearts.PipelineInfo{
				Name: "Build and test", Banned: true, Sources: 2, Aliases: []string{"shop"},
				Variables: []codearts.PipelineVariable{{Name: "GIT_SHA", Runtime: true}, {Name: "KEY", Secret: true}},
			},
		},
		"it ignores runs": {
			answer: `{"name":"x","concurrency_control":{"enable":true,"concurrency_number":1,"exceed_action":"abort"}}`,
			want:   codearts.PipelineInfo{Name: "x", Ignores: true},
		},
		"it would, without a limit": {
			answer: `{"name":"x","concurrency_control":{"enable":false,"exceed_action":"ABORT"}}`, want: codearts.PipelineInfo{Name: "x"},
		},
		"it queues runs": {
			answer: `{"name":"x","concurrency_control":{"enable":true,"exceed_action":"QUEUE"}}`, want: codearts.PipelineInfo{Name: "x"},
		},
		"no variables":           {answer: `{"name":"x","variables":[]}`, want: codearts.PipelineInfo{Name: "x", Variables: []codearts.PipelineVariable{}}},
		"little of it":           {answer: `{"name":"x","variables":null,"sources":7}`, want: codearts.PipelineInfo{Name: "x"}},
		"nothing":                {answer: `{}`, fails: true},
		"an error in a 200":      {answer: `{"error_code":"DEVPIPE.00011412","error_msg":"x"}`, fails: true},
		"a pipeline of nobody's": {answer: `{"error":{"code":"DEVPIPE.00011401"}}`, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.RequestURI != pipelinePath {
					t.Errorf("%s %s", r.Method, r.RequestURI)
				}
				_, _ = io.WriteString(w, test.answer)
			})})
			info, err := client.PipelineInfo(t.Context(), pipeline)
			if diff := cmp.Diff(test.want, info); diff != "" || (err != nil) != test.fails {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
		})
	}
}
