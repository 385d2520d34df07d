package kill

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/hostapi/hostapitest"
)

// hostToken is what the simulated code host wants.
const hostToken = "host-s3cret"

// refusedJob is one that the service starts no build of.
const refusedJob = "0000000000000000000000000000000c"

// resultRules are rules whose builds have statuses. Those of the rule "newest" are stopped by
// newer ones, those of the rule "refused" are dead. The hosts take any number of statuses.
func resultRules(action mapping.Action, endpoint, host string) string {
	var sources strings.Builder
	for provider := range words {
		fmt.Fprintf(&sources, "%[1]s: {provider: %[1]s, secrets: [{env: KILL_SECRET}], api: {url: %[2]s, token: {env: KILL_TOKEN}}, report: true}, ",
			provider, host)
	}
	refused := `  - name: refused
    repository: acme/refused-*
    when: {push: {}}
    jobs: [{job_id: ` + refusedJob + `, parameters: {rule: refused, ref: "${event.ref}"}}]
`
	return strings.NewReplacer(
		"github: {provider: github, secrets: [{env: KILL_SECRET}]}", sources.String(),
		"concurrency: newest", "concurrency: {replace: running}",
	).Replace(rulesOf(action, rules(endpoint)+refused, endpoint))
}

// providerOf is the host of a repository: one where a status is one call, one with pipelines, and
// one with check runs that never change once they have ended.
func providerOf(repository string) string {
	switch repository {
	case "acme/shop-0", "acme/newest", "acme/refused-0":
		return hostapitest.GitLab
	case "acme/shop-1", "acme/marked", "acme/refused-1":
		return hostapitest.Gitee
	}
	return hostapitest.Gitea
}

// words are those of the hosts for what became of a build.
var words = map[string]map[string]string{
	hostapitest.Gitea:  {"success": "success", "failure": "failure", "timeout": "failure", "aborted": "error", "dead": "error"},
	hostapitest.GitLab: {"success": "success", "failure": "failed", "timeout": "failed", "aborted": "canceled", "dead": "failed"},
	hostapitest.Gitee:  {"success": "success", "failure": "failure", "timeout": "failure", "aborted": "cancelled", "dead": "failure"},
}

// runResults are the results by the statuses in which runs of pipelines end.
var runResults = map[string]string{"COMPLETED": "success", "FAILED": "failure", "CANCELED": "aborted", "IGNORED": "aborted"}

// Processes are killed at random moments while builds run and statuses are sent, and the service
// and the code host fail often. In the end every build has its true result, every
// commit shows how its newest build ended, nothing is pending, and only what was to be stopped
// was stopped.
func TestKillResults(t *testing.T) { // before the parallel tests: on two cores, their calls would not be answered in time
	eachFleet(t, testKillResults)
}

func testKillResults(t *testing.T, action mapping.Action, processes int) {
	t.Helper()
	host := hostapitest.NewServer(hostapitest.Options{Token: hostToken})
	t.Cleanup(host.Close)
	w := &world{t: t, action: action, history: newHistory(), pace: 80 * time.Millisecond, codeHost: host}
	o := lagging()
	o.BuildTime = 2 * time.Second
	w.simulate(o)
	w.endings()
	w.fault(codeartstest.Fault{Path: codeartstest.PathRun, JobID: refusedJob, Status: 422, Code: "DEVCB.00031006", Message: "no such job"})
	w.fault(lostAnswers(0.1, 0.05)...)
	w.fault(poorReads(action)...)
	for _, f := range poorHost() {
		if err := host.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	at := database(t, processes)
	w.fleet = newFleet(t, at, resultRules(action, w.simulator.URL, host.URL))
	w.fleet.env = append(w.fleet.env, "KILL_TOKEN="+hostToken)
	w.host = newHost(t, w.fleet.public)
	w.host.provider = providerOf
	w.start(at, processes)
	kill := func(rounds int) {
		for range rounds {
			time.Sleep(rand.N(1500 * time.Millisecond)) // a random moment
			place := rand.N(processes)
			w.fleet.kill(place)
			w.fleet.start(place)
			w.host.send(t.Context(), w.history.push("acme/newest", "main", "newest")) // it stops the one before
			w.host.send(t.Context(), w.history.push(fmt.Sprintf("acme/refused-%d", rand.N(3)), "main", "refused"))
		}
	}
	w.load(func() { kill(*rounds) })
	kill(*rounds / 2) // builds end, and statuses are sent
	w.stopOne()
	all := w.settle()
	w.checkResults()
	w.report(all, fmt.Sprintf("results of %ss after %d kills, %d statuses", action, *rounds+*rounds/2, len(host.Statuses())))
}

// stopOne pushes until a newer build has stopped an older one, which runs or is queued. While processes
// are killed there may be none: a build that a search found is spared, and a call to stop may fail
// until it is too late.
func (w *world) stopOne() {
	w.t.Helper()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	stopped := func(b codeartstest.BuildState) bool { return b.Stopped }
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && !slices.ContainsFunc(w.simulator.Builds(), stopped); <-ticker.C {
		w.host.send(w.t.Context(), w.history.push("acme/newest", "main", "newest"))
	}
}

// endings says how builds end: in each way, sooner or later. Those of the rule "newest" run so
// long that a newer push finds them.
func (w *world) endings() {
	w.t.Helper()
	results := []string{
		codeartstest.ResultSuccess, codeartstest.ResultSuccess, codeartstest.ResultFailure, codeartstest.ResultAborted, codeartstest.ResultTimeout,
	}
	if !w.action.IsZero() {
		results = append(results, "IGNORED") // the other words mean those of runs too
		// A newer run waits in the queue until the one before has ended or is stopped.
		if err := w.simulator.SetPipeline(codeartstest.Pipeline{PipelineID: newestJob, Concurrency: codeartstest.PipelineConcurrency{Limit: 1}}); err != nil {
			w.t.Fatal(err)
		}
	}
	outcomes := []codeartstest.Outcome{{JobID: newestJob, After: 8 * time.Second}}
	for range 400 {
		o := codeartstest.Outcome{
			Result: results[rand.N(len(results))], Queued: rand.N(time.Second), After: time.Millisecond + rand.N(3*time.Second), Times: 1,
		}
		if o.Result == codeartstest.ResultFailure {
			o.Step, o.Message = "Unit tests", "exit status 1"
		}
		outcomes = append(outcomes, o)
	}
	for _, o := range outcomes {
		if err := w.simulator.AddOutcome(o); err != nil {
			w.t.Fatal(err)
		}
	}
}

// poorReads fail an eighth of the calls that follow builds, and a fifth of those that stop them. With
// more, searches, which take several calls, would fail so often in a row that a build waits for minutes.
func poorReads(action mapping.Action) (faults []codeartstest.Fault) {
	const part = 0.02
	stops, paths := []string{codeartstest.PathStop}, []string{
		codeartstest.PathList, codeartstest.PathBuildInfo, codeartstest.PathBuildResult, codeartstest.PathRecordInfo, codeartstest.PathSteps,
	}
	if !action.IsZero() {
		stops, paths = []string{codeartstest.PathPipelineStop, codeartstest.PathPipelineCancel}, []string{
			codeartstest.PathPipelineList, codeartstest.PathPipelineDetail, codeartstest.PathPipelineQueue, codeartstest.PathPipelineInfo,
			codeartstest.PathPipelineFailures,
		}
	}
	for _, path := range slices.Concat(paths, stops) {
		faults = append(faults,
			codeartstest.Fault{Path: path, Status: 500, Code: "CB.00060100", Probability: 2 * part},
			codeartstest.Fault{Path: path, Drop: codeartstest.DropBefore, Probability: 2 * part},
			codeartstest.Fault{Path: path, Status: 200, Body: "<html>", Probability: part},
			codeartstest.Fault{Path: path, Status: 200, Body: `{"error":{"code":"CB.1","message":"no"},"status":"error"}`, Probability: part},
		)
	}
	for _, path := range stops {
		faults = append(faults, codeartstest.Fault{Path: path, Drop: codeartstest.DropAfter, Probability: 0.1})
	}
	return faults
}

// poorHost fails a fifth of the calls of a code host. With more, some status would fail so often in a
// row that it waits for minutes.
func poorHost() []hostapitest.Fault {
	return []hostapitest.Fault{
		{Status: 500, Message: "internal error", Probability: 0.06},
		{Status: 429, RetryAfter: 1, Probability: 0.02},
		{Status: 502, Page: "<html><title>Bad Gateway</title>", Probability: 0.03},
		{Drop: hostapitest.DropBefore, Probability: 0.05},
		{Drop: hostapitest.DropAfter, Probability: 0.05},
		{Delay: 100 * time.Millisecond, Probability: 0.1},
	}
}

// ended is a build with what became of it.
type ended struct {
	seq                             int64
	id, rule, job, number           string
	repository, ref, commit, status string // status is its context
	state, result, stop             string
	supersededBy                    string
	byHand                          bool
}

func (w *world) ended(ctx context.Context) (all []*ended, err error) {
	rows, err := w.db.QueryContext(ctx, `SELECT seq, id, rule, job_id, build_no, repository, ref,
		CASE WHEN commit_id <> '' THEN commit_id ELSE tag_commit END, context, state, result, stop, superseded_by, by_hand FROM builds ORDER BY seq`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var b ended
		if err := rows.Scan(&b.seq, &b.id, &b.rule, &b.job, &b.number, &b.repository, &b.ref, &b.commit, &b.status,
			&b.state, &b.result, &b.stop, &b.supersededBy, &b.byHand); err != nil {
			return nil, err
		}
		all = append(all, &b)
	}
	return all, rows.Err()
}

// follow waits until every started build has ended and every status was sent, as long as there
// is progress.
func (w *world) follow() (all []*ended) {
	w.t.Helper()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for progress := w.progress(); ; <-ticker.C {
		all, err := w.ended(w.t.Context())
		left, statuses := 0, 0
		for _, b := range all {
			if b.state == "started" && b.result == "running" {
				left++
			}
		}
		if err == nil {
			err = w.db.QueryRowContext(w.t.Context(), `SELECT count(*) FROM statuses WHERE due_at > 0`).Scan(&statuses)
		}
		if err == nil && left+statuses == 0 {
			return all
		}
		n := left + statuses
		if err != nil {
			n = math.MaxInt
		}
		if progress.end(n) {
			w.t.Fatalf("since %s %d builds have not ended, and %d statuses are not sent (%v)\n%s", patience, left, statuses, err, w.unsent())
		}
	}
}

// unsent are the statuses that are not sent, and the builds that have not ended, one a line.
func (w *world) unsent() string {
	w.t.Helper()
	return fmt.Sprintf("now %d\n", time.Now().UnixMicro()) +
		w.lines(`SELECT 'status of ' || repository || ' ' || commit_id || ': ' || sent || ', due ' || due_at || ' since ' || since || ', attempts ' || attempts ||
			' (' || reason || '), worker ' || worker || ', build ' || build || ', told of ' || sent_build FROM statuses WHERE due_at > 0`) +
		w.lines(`SELECT 'build ' || seq || ' of ' || rule || ', number ' || build_no || ': ' || message FROM builds WHERE state = 'started' AND result = 'running'`)
}

// checkResults compares what the bridge knows of ends with what the service did, and what the
// code host shows with both.
func (w *world) checkResults() {
	w.t.Helper()
	all := w.follow()
	service, byID := map[string]codeartstest.BuildState{}, map[string]*ended{}
	for _, b := range w.simulator.Builds() {
		service[b.JobID+b.PipelineID+" "+b.BuildNo] = b
		if b.ByHand && b.Stopped {
			w.t.Errorf("build %s of %s was stopped, and a person has started it", b.BuildNo, b.JobID+b.PipelineID)
		}
	}
	for _, b := range all {
		byID[b.id] = b
	}
	type place struct{ repository, commit, context string }
	newest, stopped := map[place]*ended{}, 0
	for _, b := range all {
		newest[place{b.repository, b.commit, b.status}] = b
		if b.state != "started" {
			continue
		}
		really := service[b.job+" "+b.number]
		if b.result != cmp.Or(runResults[really.State], strings.ToLower(really.State)) {
			w.t.Errorf("build %d has the result %q, and the service says %q", b.seq, b.result, really.State)
		}
		by := byID[b.supersededBy]
		rightly := b.rule == "newest" && by != nil && by.seq > b.seq && by.state == "started" && by.ref == b.ref && !b.byHand
		if (really.Stopped || b.stop != "") && !rightly {
			w.t.Errorf("build %d of %s is stopped by %+v: %q", b.seq, b.rule, by, b.stop)
		}
		if really.Stopped {
			stopped++
		}
	}
	if stopped == 0 {
		w.t.Error("nothing was stopped")
	}

	shown := map[place]string{}
	for _, s := range w.codeHost.Shown() {
		at := place{s.Repository, s.Commit, s.Context}
		shown[at] = s.State
		if slices.Contains([]string{"pending", "running", "queued", "in_progress"}, s.State) {
			w.t.Errorf("%+v is %s, for ever: %+v", at, s.State, s)
		}
	}
	dead := 0
	for at, b := range newest {
		end := b.result
		if b.state == "dead" {
			end = b.state
			dead++
		}
		if got, want := shown[at], words[providerOf(at.repository)][end]; b.state != "superseded" && got != want {
			w.t.Errorf("%+v shows %q, and its newest build %d ended with %s", at, got, b.seq, end)
		}
		delete(shown, at)
	}
	if dead == 0 {
		w.t.Error("nothing is dead")
	}
	for at, state := range shown {
		w.t.Errorf("%+v shows %s, and no build has that status", at, state)
	}
}
