package kill

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver
	_ "modernc.org/sqlite"             // the driver

	"buildbridge/mapping"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/hostapi/hostapitest"
)

// key is the key that the simulator accepts.
var key = codeartstest.Key{AccessKey: "AK", SecretKey: "SK"}

// The jobs that are built, or pipelines that are run.
const (
	markedJob = "0000000000000000000000000000000a"
	newestJob = "0000000000000000000000000000000b"
	marker    = "BRIDGE"
	shops     = 4 // repositories acme/shop-0, …
)

func shop(i int) (repository, rule, twin, job string) {
	return fmt.Sprintf("acme/shop-%d", i), fmt.Sprintf("cart-%d", i), fmt.Sprintf("twin-%d", i), fmt.Sprintf("%031df", i)
}

// rules has for each shop two rules that start one job for one push, one of them
// for tags too; a job with a marker, and a rule for the newest push only. The
// rule and the ref are in every body, so that the simulator can tell what it was
// asked for.
func rules(endpoint string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `version: 1
sources: {github: {provider: github, secrets: [{env: KILL_SECRET}]}}
targets:
  north:
    endpoint: %s
    credentials: {access_key: {env: KILL_AK}, secret_key: {env: KILL_SK}}
    timeout: 4s
    reconcile: {patience: 3s}
rules:
`, endpoint)
	rule := func(name, repository, when, job, more string) {
		fmt.Fprintf(&b, `  - name: %s
    repository: %s
    when: %s
    jobs: [{job_id: %s, parameters: {rule: %s, ref: "${event.ref}"}%s
`, name, repository, when, job, name, more)
	}
	for i := range shops {
		repository, cart, twin, job := shop(i)
		rule(cart, repository, "{push: {}, tag: {tags: ['v*']}}", job, "}]")
		rule(twin, repository, "{push: {branches: ['twin-*']}}", job, "}]")
	}
	rule("marked", "acme/marked", "{push: {}, tag: {}}", markedJob, ", marker: "+marker+"}]")
	rule("newest", "acme/newest", "{push: {}}", newestJob, "}]\n    concurrency: newest")
	return b.String()
}

// jobs are jobs in rules, as far as their parameters.
var jobs = regexp.MustCompile(`job_id: (\w+), parameters: {`)

// rulesOf gives rules, which start jobs, as rules of an action: for pipelines with the ids of these
// jobs. The call of a pipeline does not say what commit is meant: a variable tells the simulator.
func rulesOf(action mapping.Action, rules, endpoint string) string {
	if action.IsZero() {
		return rules
	}
	text := jobs.ReplaceAllString(rules,
		"pipeline_id: $1, project_id: "+codeartstest.ProjectID+`, variables: {commit: "$${event.commit}", `)
	return strings.Replace(text, "    endpoint: ", "    pipeline_endpoint: "+endpoint+"\n    endpoint: ", 1)
}

// world is a fleet with a host and a simulator.
type world struct {
	t         *testing.T
	action    mapping.Action // of all builds; "" is that of jobs
	simulator *codeartstest.Server
	history   *history
	fleet     *fleet
	host      *host
	codeHost  *hostapitest.Server // that takes statuses; nil if there is none
	db        *sql.DB             // what the fleet keeps, to read

	pace  time.Duration  // of load
	later sync.WaitGroup // persons
}

// newWorld makes a world of jobs with processes on Postgres, or with one on SQLite if
// the database is "".
func newWorld(t *testing.T, database string, processes int, o codeartstest.Options, arg ...string) *world {
	t.Helper()
	return newWorldOf(t, mapping.ActionJob, database, processes, o, arg...)
}

// newWorldOf makes a world of jobs or of pipelines.
func newWorldOf(t *testing.T, action mapping.Action, database string, processes int, o codeartstest.Options, arg ...string) *world {
	t.Helper()
	w := &world{t: t, action: action, history: newHistory(), pace: 15 * time.Millisecond}
	w.simulate(o)
	if !action.IsZero() {
		w.limit()
	}
	w.fleet = newFleet(t, database, rulesOf(action, rules(w.simulator.URL), w.simulator.URL), arg...)
	w.host = newHost(t, w.fleet.public)
	w.start(database, processes)
	return w
}

// start starts the processes of the fleet, and opens their database to read it; "" is that of a SQLite file.
func (w *world) start(database string, processes int) {
	w.t.Helper()
	for i := range processes {
		w.fleet.start(i)
	}
	if database == "" {
		w.open("sqlite", w.fleet.path())
	} else {
		w.open("pgx", database)
	}
}

func (w *world) simulate(o codeartstest.Options) {
	o.Keys, o.TagCommit = []codeartstest.Key{key}, w.history.commitOf
	o.Defaults = []mapping.Parameter{{Name: "rule"}, {Name: "ref"}, {Name: marker}}
	w.simulator = codeartstest.NewServer(o)
	w.t.Cleanup(w.simulator.Close)
}

func (w *world) open(driver, database string) {
	w.t.Helper()
	if driver == "sqlite" {
		database = "file:" + database + "?" + url.Values{"_pragma": {"busy_timeout(10000)", "query_only(ON)"}}.Encode()
	}
	var err error
	if w.db, err = sql.Open(driver, database); err != nil {
		w.t.Fatal(err)
	}
	w.db.SetMaxIdleConns(0) // a connection of the test must not keep the file open
	w.t.Cleanup(func() {
		if err := w.db.Close(); err != nil {
			w.t.Error(err)
		}
	})
}

// limit has the pipelines of the shops run one run at a time, so that runs are queued.
func (w *world) limit() {
	w.t.Helper()
	for i := range shops {
		_, _, _, id := shop(i)
		limited := codeartstest.Pipeline{PipelineID: id, Concurrency: codeartstest.PipelineConcurrency{Limit: 1}}
		if err := w.simulator.SetPipeline(limited); err != nil {
			w.t.Fatal(err)
		}
		if err := w.simulator.AddOutcome(codeartstest.Outcome{JobID: id, After: 120 * time.Millisecond}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// pipelineCalls are the calls of pipelines in place of those of jobs.
var pipelineCalls = map[string]string{
	codeartstest.PathRun:        codeartstest.PathPipelineRun,
	codeartstest.PathList:       codeartstest.PathPipelineList,
	codeartstest.PathRecordInfo: codeartstest.PathPipelineDetail,
	codeartstest.PathParameters: codeartstest.PathPipelineQueue,
}

// fault adds faults of calls of jobs, or of those of pipelines in their place.
func (w *world) fault(faults ...codeartstest.Fault) {
	w.t.Helper()
	for _, f := range faults {
		if path, ok := pipelineCalls[f.Path]; ok && !w.action.IsZero() {
			f.Path = path
		}
		if err := w.simulator.AddFault(f); err != nil {
			w.t.Fatal(err)
		}
	}
}

// lostAnswers drops these parts of the answers after the build was started, and
// of the calls before.
func lostAnswers(after, before float64) (faults []codeartstest.Fault) {
	for drop, part := range map[string]float64{codeartstest.DropAfter: after, codeartstest.DropBefore: before} {
		if part > 0 { // 0 would be always
			faults = append(faults, codeartstest.Fault{Path: codeartstest.PathRun, Drop: drop, Probability: part})
		}
	}
	return faults
}

// weather are the other faults of a service, besides lost answers.
func weather() []codeartstest.Fault {
	return []codeartstest.Fault{
		{Path: codeartstest.PathRun, Status: 500, Code: "CB.00060100", Done: true, Probability: 0.03},
		{Path: codeartstest.PathRun, Status: 500, Code: "CB.00060100", Probability: 0.02},
		{Path: codeartstest.PathRun, Status: 502, Body: "<html><title>Bad Gateway</title>", ContentType: "text/html", Done: true, Probability: 0.02},
		{Path: codeartstest.PathRun, Status: 200, Body: "{", Done: true, Probability: 0.02},
		{Path: codeartstest.PathRun, Status: 429, RetryAfter: 1, Probability: 0.003},
		{Path: codeartstest.PathRun, Delay: 5 * time.Second, Drop: codeartstest.DropAfter, Probability: 0.01}, // longer than the timeout
		{Path: codeartstest.PathRun, Delay: 100 * time.Millisecond, Probability: 0.2},
		{Path: codeartstest.PathList, Status: 500, Code: "CB.00060100", Probability: 0.05},
		{Path: codeartstest.PathList, Drop: codeartstest.DropBefore, Probability: 0.05},
		{Path: codeartstest.PathList, Status: 200, Body: "<html>", Probability: 0.03},
		{Path: codeartstest.PathRecordInfo, Drop: codeartstest.DropBefore, Probability: 0.05},
		{Path: codeartstest.PathRecordInfo, Status: 500, Probability: 0.03},
		{Path: codeartstest.PathParameters, Drop: codeartstest.DropBefore, Probability: 0.05},
	}
}

// anything is a delivery of any kind. For a third of them, a person starts a build of the
// same commit or tag and job, before it or a little later. Of pipelines only once a call was
// answered: until then the bridge cannot tell the run of a person from that of a call that never
// arrived, and may hold the build for good.
func (w *world) anything() *delivery {
	d := w.change()
	if len(d.rules) > 0 && rand.N(3) == 0 && (w.action.IsZero() || w.known(jobOf(d.rules[0]))) {
		w.meddle(d)
	}
	return d
}

// meddle starts a build of what is delivered by hand: without parameters, or with those of
// the bridge as another user, or for another ref.
func (w *world) meddle(d *delivery) {
	build := codeartstest.Build{JobID: jobOf(d.rules[0]), Commit: d.change.Commit}
	if d.change.Tag != "" {
		build.Commit, build.Tag = "", d.change.Tag
	} else if !w.action.IsZero() {
		build.Branch = d.change.Branch
	}
	switch rule := (mapping.Parameter{Name: "rule", Value: d.rules[0]}); rand.N(3) {
	case 0:
		build.Parameters = []mapping.Parameter{rule, {Name: "ref", Value: "refs/heads/somewhere"}}
	case 1:
		if w.known(build.JobID) {
			build.Parameters = []mapping.Parameter{rule, {Name: "ref", Value: d.ref()}}
		}
	}
	if rand.N(2) == 0 {
		w.person(build)
		return
	}
	w.later.Go(func() {
		time.Sleep(rand.N(500 * time.Millisecond)) // about when it is called
		w.person(build)
	})
}

// answered sends pushes of the i-th shop until the call of one was answered, and tells how many.
func (w *world) answered(i int) (sent int64) {
	w.t.Helper()
	repository, rule, _, _ := shop(i)
	for {
		d := w.history.push(repository, "main", rule)
		w.host.send(w.t.Context(), d)
		if sent++; sent > 20 {
			w.t.Fatal("of 20 calls none was answered")
		}
		if slices.ContainsFunc(w.drain(), func(r *row) bool { return r.host == d.id && r.state == "started" && !r.adopted }) {
			return sent
		}
	}
}

// known reports whether the call of some build of a job or pipeline was surely answered by now: by it
// the bridge knows in whose name it starts builds, and that runs show their marker.
func (w *world) known(job string) bool {
	started := 0
	for _, run := range w.simulator.Runs() {
		if run.PipelineID == job || strings.Contains(string(run.Body), job) {
			started++
		}
	}
	if w.action.IsZero() {
		return started > 20
	}
	return started > 10 // a person's run is no danger: it never shows a marker
}

func jobOf(rule string) string {
	switch rule {
	case "marked":
		return markedJob
	case "newest":
		return newestJob
	}
	n, err := strconv.Atoi(rule[strings.LastIndex(rule, "-")+1:])
	if err != nil {
		panic(err) // a rule of rules
	}
	_, _, _, job := shop(n)
	return job
}

func (w *world) change() *delivery {
	repository, cart, twin, _ := shop(rand.N(shops))
	switch n := rand.N(100); {
	case n < 35 || w.history.lastOf(repository) == "":
		return w.history.push(repository, fmt.Sprintf("b%d", rand.N(8)), cart)
	case n < 60:
		return w.history.push(repository, fmt.Sprintf("twin-%d", rand.N(6)), cart, twin)
	case n < 70:
		return w.history.branch(repository, cart)
	case n < 83:
		return w.history.tag(repository, cart)
	case n < 88 || w.history.lastOf("acme/marked") == "":
		return w.history.push("acme/marked", fmt.Sprintf("b%d", rand.N(3)), "marked")
	case n < 92:
		return w.history.tag("acme/marked", "marked")
	case n < 98:
		return w.history.push("acme/newest", "main", "newest")
	}
	return w.history.push("acme/nobody", "main")
}

func (h *history) lastOf(repository string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last[repository]
}

// person starts a build by hand.
func (w *world) person(b codeartstest.Build) {
	if !w.action.IsZero() {
		b.JobID, b.PipelineID = "", b.JobID
	}
	if _, err := w.simulator.StartBuild(b); err != nil {
		w.t.Error(err)
	}
}

// load sends deliveries of any kind from many goroutines while during runs, and returns when
// all are acknowledged.
func (w *world) load(during func()) {
	w.t.Helper()
	out, done := make(chan *delivery), make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		defer close(out)
		ticker := time.NewTicker(w.pace)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				out <- w.anything()
			case <-done:
				return
			}
		}
	})
	sending.Go(func() { w.host.sendAll(w.t.Context(), 12, func() *delivery { return <-out }) })
	during()
	close(done)
	sending.Wait()
}

// row is a build in the database.
type row struct {
	seq                                         int64
	id, host, rule, job, ref, tag, commit       string // host is the host's id of the delivery, or ref and commit
	state, reason, supersededBy, number, caller string
	adopted                                     bool
	attempts                                    int
	body                                        string
	known                                       int64  // highest number of the job before its last call
	log                                         string // JSON: its attempts
}

func (r *row) resolved() bool {
	return r.state != "waiting" && r.state != "calling" && r.state != "unknown"
}

// rows reads all builds in the order they were committed.
func (w *world) rows(ctx context.Context) (all []*row, err error) {
	rows, err := w.db.QueryContext(ctx, `SELECT b.seq, b.id, CASE WHEN d.host_id <> '' THEN d.host_id ELSE d.ref || ' ' || d.commit_id END, b.rule, b.job_id, b.ref, b.tag, b.commit_id,
		b.state, b.reason, b.superseded_by, b.build_no, b.caller, b.adopted, b.attempts, b.body, b.known_no, b.log
		FROM builds b JOIN deliveries d ON d.id = b.delivery ORDER BY b.seq`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.seq, &r.id, &r.host, &r.rule, &r.job, &r.ref, &r.tag, &r.commit,
			&r.state, &r.reason, &r.supersededBy, &r.number, &r.caller, &r.adopted, &r.attempts, &r.body, &r.known, &r.log); err != nil {
			return nil, err
		}
		all = append(all, &r)
	}
	return all, rows.Err()
}

// lines are the rows of a query for one text, for a failure.
func (w *world) lines(query string) string {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), query)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = rows.Close() }()
	var all strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err.Error()
		}
		fmt.Fprintln(&all, line)
	}
	if err := rows.Err(); err != nil {
		return err.Error()
	}
	return all.String()
}

// progress watches how much is left to wait for.
type progress struct {
	w     *world
	least int
	since time.Time // when least was seen first, or faults were ended
	calm  bool
}

func (w *world) progress() *progress { return &progress{w: w, least: math.MaxInt, since: time.Now()} }

// end reports whether nothing happened for too long: now that so much is left, and since faults that
// come by chance were ended.
func (p *progress) end(left int) bool {
	if left < p.least {
		p.least, p.since = left, time.Now()
	}
	if !p.calm && time.Since(p.since) > misfortune {
		p.w.t.Logf("since %s %d are left: no more faults by chance", misfortune, left)
		p.w.calm()
		p.calm, p.since = true, time.Now()
	}
	return time.Since(p.since) > patience
}

// calm ends the faults of the service that come by chance or a number of times, and all of the code host.
// Now and then there are so many in a row that something waits for minutes.
func (w *world) calm() {
	w.t.Helper()
	always := slices.DeleteFunc(w.simulator.Faults(), func(f codeartstest.Fault) bool { return f.Probability > 0 || f.Times > 0 })
	w.simulator.ClearFaults()
	w.fault(always...)
	if w.codeHost != nil {
		w.codeHost.ClearFaults()
	}
}

// drain waits until every build is resolved, as long as there is progress, and returns the
// builds.
func (w *world) drain() []*row {
	w.t.Helper()
	w.later.Wait()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for progress := w.progress(); ; <-ticker.C {
		all, err := w.rows(w.t.Context())
		var left []string
		for _, r := range all {
			if !r.resolved() {
				left = append(left, fmt.Sprintf("%d %s %s %s: %s (%s)", r.seq, r.rule, r.ref, r.commit, r.state, r.reason))
			}
		}
		if err == nil && len(left) == 0 {
			return all
		}
		n := len(left)
		if err != nil {
			n = math.MaxInt
		}
		if progress.end(n) {
			w.t.Fatalf("since %s %d builds are not resolved (%v):\n%s", patience, len(left), err, strings.Join(left[:min(20, len(left))], "\n"))
		}
	}
}

// started is what the simulator was asked for: by rule and ref, which are in the
// body, and the commit or the tag. Numbers of runs of pipelines are their ids.
func (w *world) started() (keys []string, byNumber map[string]string) {
	byNumber = map[string]string{}
	for _, run := range w.simulator.Runs() {
		var body struct {
			JobID      string              `json:"job_id"`
			Parameters []mapping.Parameter `json:"parameter"`
			Variables  []mapping.Parameter `json:"variables"` // of a pipeline
			SCM        struct {
				Tag    string `json:"build_tag"`
				Commit string `json:"build_commit_id"`
			} `json:"scm"`
		}
		if err := json.Unmarshal(run.Body, &body); err != nil {
			w.t.Error(err)
		}
		parameters := map[string]string{}
		for _, p := range append(body.Parameters, body.Variables...) {
			parameters[p.Name] = p.Value
		}
		what := body.SCM.Tag + body.SCM.Commit
		if run.PipelineID != "" {
			what = parameters["commit"]
			if tag, ok := strings.CutPrefix(parameters["ref"], "refs/tags/"); ok {
				what = tag
			}
		}
		keys = append(keys, buildKey(parameters["rule"], parameters["ref"], what))
		byNumber[run.PipelineID+body.JobID+" "+run.BuildNo] = string(run.Body)
	}
	return keys, byNumber
}

func buildKey(rule, ref, what string) string { return rule + " " + ref + " " + what }

// difference compares what the host was answered with what the service did, without the
// database. It is "" if they agree.
func (w *world) difference() string {
	keys, _ := w.started()
	want, got := map[string]int{}, map[string]int{}
	for _, k := range keys {
		got[k]++
	}
	for _, d := range w.host.sent {
		for _, rule := range d.rules {
			what := d.change.Commit
			if d.change.Tag != "" {
				what = d.change.Tag
			}
			k := buildKey(rule, d.ref(), what)
			if rule == "newest" && got[k] == 0 || rule == "refused" {
				continue // it may have been superseded, or it is dead
			}
			want[k]++
		}
	}
	return cmp.Diff(want, got)
}

// settle drains, and checks that every acknowledged delivery has its builds, that each was
// started once and in order, and that nothing else was started. It returns the builds.
func (w *world) settle() []*row {
	w.t.Helper()
	all := w.drain()
	if diff := w.difference(); diff != "" {
		w.t.Errorf("builds by rule, ref and commit or tag, -acknowledged +started:\n%s", diff)
	}
	keys, byNumber := w.started()
	w.checkRows(all, byNumber)
	w.checkOrder(all, keys)
	return all
}

// checkRows compares the database with both.
func (w *world) checkRows(all []*row, byNumber map[string]string) {
	w.t.Helper()
	rulesOf, claimed, byID := map[string][]string{}, map[string]string{}, map[string]*row{}
	for _, r := range all {
		rulesOf[r.host] = append(rulesOf[r.host], r.rule)
		byID[r.id] = r
		number := r.job + " " + r.number
		switch {
		case r.state == "superseded" && r.rule == "newest", r.state == "dead" && r.rule == "refused":
			continue
		case r.state != "started":
			w.t.Errorf("build %d of %s at %s is %s: %s", r.seq, r.rule, r.ref, r.state, r.reason)
			continue
		case byNumber[number] != r.body:
			w.t.Errorf("build %d has number %s, which the service started for\n%s\nand not for\n%s", r.seq, number, byNumber[number], r.body)
		case claimed[number] != "":
			w.t.Errorf("builds %s and %s both have number %s", claimed[number], r.id, number)
		}
		claimed[number] = r.id
	}
	if len(claimed) != len(byNumber) {
		w.t.Errorf("%d builds were started and %d have a number", len(byNumber), len(claimed))
	}
	for number, body := range byNumber {
		if i := slices.IndexFunc(all, func(r *row) bool { return r.body == body }); claimed[number] == "" && i >= 0 {
			w.t.Errorf("nobody has number %s; build %d of the same body has %s, knew %d, and went so: %s", number, all[i].seq, all[i].number, all[i].known, all[i].log)
		}
	}
	for _, d := range w.host.sent {
		got := rulesOf[d.id]
		if len(got) == 0 {
			got = rulesOf[d.ref()+" "+d.change.Commit]
		}
		if diff := cmp.Diff(d.rules, got); diff != "" && len(d.rules) > 0 {
			w.t.Errorf("rules that built delivery %s: -want +got\n%s", d.id, diff)
		}
	}
	var last *row
	for _, r := range all {
		if r.rule != "newest" {
			continue
		}
		last = r
		if r.state != "superseded" {
			continue
		}
		if next := byID[r.supersededBy]; next == nil || next.seq <= r.seq || next.ref != r.ref || next.rule != r.rule {
			w.t.Errorf("build %d is superseded by %q, %+v", r.seq, r.supersededBy, next)
		}
	}
	if last != nil && last.state != "started" {
		w.t.Errorf("the newest push, %d, is %s", last.seq, last.state)
	}
}

// checkOrder checks that builds with the same ordering key were started in the order in which
// they were committed. keys are in the order of the simulator.
func (w *world) checkOrder(all []*row, keys []string) {
	w.t.Helper()
	place := map[string]int{}
	for i, k := range keys {
		place[k] = i
	}
	before := map[string]*row{} // of the same line
	for _, r := range all {
		if r.state != "started" {
			continue
		}
		line := r.rule + " " + r.ref
		at := func(r *row) int { return place[buildKey(r.rule, r.ref, r.tag+cond(r.tag == "", r.commit))] }
		if b := before[line]; b != nil && at(b) > at(r) {
			w.t.Errorf("line %s: build %d was started before %d", line, r.seq, b.seq)
		}
		before[line] = r
	}
}

func cond(is bool, s string) string {
	if is {
		return s
	}
	return ""
}

// queued counts the builds whose call was answered with a place in the queue of a pipeline.
func (w *world) queued() (n int) {
	w.t.Helper()
	if err := w.db.QueryRowContext(w.t.Context(), `SELECT count(*) FROM builds WHERE queue_id <> ''`).Scan(&n); err != nil {
		w.t.Error(err)
	}
	return n
}

// report is a summary in one line.
func (w *world) report(all []*row, kills string) {
	w.t.Helper()
	superseded, calls := 0, 0
	callers := []string{}
	for _, r := range all {
		calls += r.attempts
		if r.state == "superseded" {
			superseded++
		}
		if r.caller != "" {
			callers = append(callers, r.caller)
		}
	}
	slices.Sort(callers)
	h := w.host
	total.deliveries.Add(int64(len(h.sent)))
	total.requests.Add(h.requests.Load())
	total.duplicates.Add(h.duplicates.Load())
	total.builds.Add(int64(w.simulator.RunCount()))
	total.adopted.Add(int64(adopted(all)))
	w.t.Logf("%s: %d deliveries in %d requests (%d unanswered, %d unavailable), %d accepted, %d duplicates; %d builds, %d started in %d calls by %d processes, %d adopted, %d superseded",
		kills, len(h.sent), h.requests.Load(), h.unanswered.Load(), h.unavailable.Load(), h.accepted.Load(), h.duplicates.Load(),
		len(all), w.simulator.RunCount(), calls, len(slices.Compact(callers)), adopted(all), superseded)
}

// adopted counts the builds that were found by a search.
func adopted(all []*row) (n int) {
	for _, r := range all {
		if r.adopted {
			n++
		}
	}
	return n
}
