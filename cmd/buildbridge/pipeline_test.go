package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

const pipelineRules = `version: 1
sources: {github: {provider: github, secrets: [{env: E2E_SECRET}]}}
targets:
  north:
    endpoint: %[1]s
    pipeline_endpoint: %[1]s
    credentials: {access_key: {env: E2E_AK}, secret_key: {env: E2E_SK}}
    reconcile: {patience: 200ms}
rules:
  - name: cart
    repository: acme/shop
    when: {push: {}}
    jobs: [{pipeline_id: %[2]s, project_id: %[3]s, variables: {GIT_SHA: "${event.commit}"}}]
`

// A push runs a pipeline: once if its answer is lost, later if the pipeline has as many runs as it
// may have, and until a person lets it go on.
func TestPipeline(t *testing.T) {
	t.Parallel()
	const id = "3ea9fd1cf2ee4cd7b6a05e5e1d8f0c11"
	l := &loop{world: &world{t: t, dir: t.TempDir()}}
	l.service = begin(t, l.dir, nil, "simulator", "--listen", "127.0.0.1:0", "--access-key", "AK", "--secret-key", "SK", "--build-time", "1s").
		address("simulator listening on ")
	l.write("rules.yaml", fmt.Sprintf(pipelineRules, l.service, id, codeartstest.ProjectID))
	says := func(path, body string) {
		t.Helper()
		l.post(l.service+path, http.Header{"Content-Type": {"application/json"}}, []byte(body), http.StatusCreated)
	}
	l.bridge = l.serve()

	ran := l.shows(l.push(1, "main"), store.Success)
	if ran.Action != "pipeline" || ran.JobID != id || len(ran.BuildNumber) != 32 || !strings.Contains(string(ran.Body), "bb-"+ran.ID) {
		t.Errorf("got %+v", ran)
	}

	says("/_faults", `{"path":"pipeline-run","drop":"after","times":1}`)
	lost := l.shows(l.push(2, "main"), store.Success)
	if !lost.Adopted || lost.BuildNumber == ran.BuildNumber {
		t.Errorf("the run whose answer is lost: got %+v", lost)
	}

	// One runs, and the next one is queued behind it and stopped there.
	says("/_pipelines", `{"pipeline_id":"`+id+`","concurrency":{"limit":1}}`)
	says("/_outcomes", `{"after":"4s","paused":"1s","times":1}`)
	held := l.push(3, "held")
	l.shows(held, store.Running)
	queued := l.push(4, "queued")
	if b := l.shows(queued, store.Running); b.QueueID == "" {
		t.Errorf("got %+v", b)
	}
	l.prints(l.bridge, []string{"builds", "stop", queued, "--reason", "wrong branch"}, "is being stopped")
	l.shows(queued, store.Aborted)

	eventually(t, "it waits for a person", func() bool {
		b := list[admin.BuildDetail](l.world, l.bridge, "builds", "show", held)
		return b.Result == store.Running && b.WaitsForPerson
	})
	l.post(l.service+"/_pipelines/"+id+"/resume", nil, nil, http.StatusOK)
	l.shows(held, store.Success)

	var runs []codeartstest.Run
	if _, body := get(t, l.service+"/_runs"); json.Unmarshal([]byte(body), &runs) != nil || len(runs) != 4 {
		t.Fatalf("four pushes: got %s", body)
	}
	for i, run := range runs {
		if run.PipelineID != id || !strings.Contains(string(run.Body), `"value":"`+commitOf(i+1)+`"`) {
			t.Errorf("run %d is %+v, %s", i, run, run.Body)
		}
	}
	l.term()
}
