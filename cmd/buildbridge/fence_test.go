package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
)

// A team edits its own folder while the bridge runs. What its fence does not allow is not loaded, and the rules before
// stay in use, whether the team's rules or the fence have changed.
func TestFenceHolds(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	if err := os.Mkdir(filepath.Join(w.dir, "team"), 0o700); err != nil {
		t.Fatal(err)
	}
	const job = "0b71b6ebc5ab4a5a9a1f5d0f30a54ec6"
	team := "version: 1\nrules:\n  - name: pay\n    source: github\n    repository: acme/pay\n    when: {push: {}}\n    jobs: [{job_id: " + job + "}]\n"
	fence := "sources: [github]\nrepositories: [acme/pay]\ntargets: [north]\njobs: [" + job + "]\n"
	w.write("team/pay.yaml", team)
	w.write("fence.yaml", fence)
	b := w.serve("--rules", "team=fence.yaml")

	w.write("team/pay.yaml", strings.Replace(team, job, "f9d6c8466d614a9788e9a0acf6c15f46", 1)) // the job of cart
	line := b.logged("rules: fault")
	if line["file"] != "team/pay.yaml" || line["line"] != 7.0 || line["column"] != 21.0 || line["rule"] != "pay" || line["field"] != "jobs[0].job_id" {
		t.Errorf("the fault is %v", line)
	}
	b.logged("rules not reloaded, the old ones stay in use")
	w.prints(b, []string{"rules", "list"}, "2 rules", "these rules stay in force; the first: team/pay.yaml:7:21: ")
	if status := b.push("1", "acme/pay"); status != http.StatusAccepted {
		t.Fatalf("a push for the old rules gives %d", status)
	}
	eventually(t, "the build is started", func() bool { return w.simulator.RunCount() == 1 })

	w.write("team/pay.yaml", team+"    paused: for now\n")
	b.logged("rules reloaded")
	w.write("fence.yaml", strings.Replace(fence, "acme/pay", "acme/pay-*", 1))
	eventually(t, "the fence is read again", func() bool { return strings.Contains(b.output(), "allows repositories [acme/pay-*]") })
	b.term()
}
