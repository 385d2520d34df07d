package explain_test

import (
	"encoding/json"
	"strings"
	"testing"

	"buildbridge/cmd/internal/explain"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// A pipeline has its own calls, and text and JSON name it and its project.
func TestPipeline(t *testing.T) {
	t.Parallel()
	const pipeline, project = "b17dc0de000000000000000000000001", "c0dea875000000000000000000000002"
	text := strings.Replace(builds(), "endpoint:", `pipeline_endpoint: "http://127.0.0.1:1", endpoint:`, 1)
	text = strings.Replace(text, "jobs: [", "jobs: [{pipeline_id: "+pipeline+", project_id: "+project+`, variables: {SHA: "${event.commit}"}, if: "true"}, `, 1)
	rules, _, err := mapping.Parse(codehost.Providers(), mapping.File{Name: "rules.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	source, _ := rules.Source("github")
	explained := explain.MadeEvent(rules, source, mapping.Event{Kind: mapping.Push, Repository: "acme/shop", Branch: "main", Ref: "refs/heads/main"})
	event := explained.Events[0]
	if len(event.RunJob) != 1 || len(event.RunPipeline) != 1 {
		t.Fatalf("%d jobs and %d pipelines, want one of each", len(event.RunJob), len(event.RunPipeline))
	}
	got, err := json.Marshal(event.RunPipeline[0])
	if err != nil {
		t.Fatal(err)
	}
	for said, want := range map[string]string{
		string(got):      `{"rule":"every","target":"sim","project_id":"` + project + `","pipeline_id":"` + pipeline + `","body":{`,
		explained.Text(): "  RunPipeline of pipeline " + pipeline + " in project " + project + ` for rule "every" on target "sim":` + "\n",
	} {
		if !strings.Contains(said, want) || !strings.Contains(said, explain.MadeUpCommit) {
			t.Errorf("got %s\nwant %s", said, want)
		}
	}
}
