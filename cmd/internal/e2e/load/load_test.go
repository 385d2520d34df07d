package load

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"buildbridge/cmd/internal/e2e/program"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/hostapi/hostapitest"
)

// key is the key that the simulator accepts.
var key = codeartstest.Key{AccessKey: "AK", SecretKey: "SK"}

const jobID = "f9d6c8466d614a9788e9a0acf6c15f46"

// gate is a service that answers no call while it is closed.
type gate struct {
	*httptest.Server
	open    func()         // lets all through
	began   chan time.Time // when a call arrived, for who wants to know
	answers atomic.Int64
}

func newGate(t *testing.T) *gate {
	t.Helper()
	simulator := codeartstest.New(codeartstest.Options{Keys: []codeartstest.Key{key}})
	door := make(chan struct{})
	g := &gate{open: sync.OnceFunc(func() { close(door) }), began: make(chan time.Time, 1)}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case g.began <- time.Now():
		default:
		}
		<-door
		simulator.ServeHTTP(w, r)
		g.answers.Add(1)
	}))
	t.Cleanup(func() {
		g.open() // for the calls that wait
		g.Close()
	})
	return g
}

// newService is a service that answers at once.
func newService(t *testing.T) *gate {
	t.Helper()
	g := newGate(t)
	g.open()
	return g
}

// rules build a push to each branch but those below wip/, of the repository that
// deliveries name, among rules of other repositories.
func rules(endpoint, limit string, others int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `version: 1
sources: {github: {provider: github, secrets: [{env: LOAD_SECRET}]}}
targets:
  north:
    endpoint: %s
    credentials: {access_key: {env: LOAD_AK}, secret_key: {env: LOAD_SK}}
    timeout: 10m
%s
rules:
  - name: cart
    repository: acme/shop
    when: {push: {branches: ['**', '!wip/**'], paths: ['services/cart/**'], paths_ignore: ['**/*.md']}}
    if: '!event.title.contains("[skip ci]")'
    jobs: [{job_id: %s, parameters: {codeBranch: "${event.branch}", title: 'push by ${event.pusher}'}}]
`, endpoint, limit, jobID)
	b.WriteString(otherRules(0, others))
	return b.String()
}

// newHost is a code host that takes statuses, and gives its address.
func newHost(t *testing.T) string {
	t.Helper()
	host := hostapitest.NewServer(hostapitest.Options{Token: secret})
	t.Cleanup(host.Close)
	return host.URL
}

// reported are rules whose builds are said on the commits.
func reported(rules, host string) string {
	return strings.Replace(rules, "secrets: [{env: LOAD_SECRET}]", "secrets: [{env: LOAD_SECRET}], report: true, api: {url: '"+host+"', token: {env: LOAD_SECRET}}", 1)
}

// otherRules are rules that do not match, over at most 20,000 repositories.
func otherRules(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "  - {name: other-%d, repository: acme/other-%d, when: {push: {}}, jobs: [{job_id: %s}]}\n", i, i%20_000, jobID)
	}
	return b.String()
}

// bridge is the program with its own database.
type bridge struct {
	*program.Process
	measured
	dir string
}

// serve starts the program on a folder of rules files; database is "" for a SQLite file.
func serve(t *testing.T, database, rules string, more ...string) *bridge {
	t.Helper()
	b := &bridge{dir: t.TempDir()}
	if database == "" { // away from the rules, as the chart and the systemd unit have it
		database = filepath.Join(t.TempDir(), "buildbridge.db")
	}
	if err := os.Mkdir(filepath.Join(b.dir, "rules"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i, text := range append([]string{rules}, more...) {
		if err := os.WriteFile(filepath.Join(b.dir, "rules", fmt.Sprintf("%03d.yaml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"LOAD_SECRET=" + secret, "LOAD_AK=" + key.AccessKey, "LOAD_SK=" + key.SecretKey}
	b.Process = program.Serve(t, b.dir, filepath.Join(b.dir, "log"), env, binary, "serve",
		"--rules", "rules", "--database", database, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--max-waiting", "10000000")
	b.measured = measured{address: strings.TrimPrefix(b.Public, "http://"), pid: b.PID()}
	return b
}

// databases are the databases of most measurements.
func databases(t *testing.T, do func(t *testing.T, name, database string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { do(t, "SQLite", "") })
	t.Run("Postgres", func(t *testing.T) { do(t, "Postgres", server.Database(t)) })
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Minute); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within ten minutes: %s", what)
		}
	}
}

// side is one side of a comparison.
type side struct {
	name      string
	at        *measured
	what      *template
	status    int
	perSecond series
	cpu       series // microseconds a delivery
	p99       series // milliseconds
}

func (s *side) measure(t *testing.T) {
	t.Helper()
	used := s.at.cpu(t)
	r := send(t, s.at.address, s.what, *conns, s.status, during(*lasting))
	if len(r.waits) == 0 {
		t.Fatalf("%s: no delivery was answered", s.name)
	}
	s.perSecond = append(s.perSecond, r.perSecond())
	s.cpu = append(s.cpu, float64((s.at.cpu(t)-used).Microseconds())/float64(len(r.waits)))
	s.p99 = append(s.p99, float64(r.within(0.99).Microseconds())/1000)
}

// Acceptance next to the bare handler, as fast as possible. The service does not answer, so
// that the builds wait and only the acknowledgement is measured.
func TestAccept(t *testing.T) {
	shut := newGate(t)
	matching, unmatched := newTemplate(push(t, "", bodySize)), newTemplate(push(t, "wip/", bodySize))
	text := rules(shut.URL, "", 100)
	durable := &serve(t, "", text).measured
	reporting := &serve(t, "", reported(text, newHost(t))).measured
	sides := []*side{
		{name: "bare handler", at: bare(t), what: matching, status: http.StatusAccepted},
		{name: "accepted, SQLite", at: durable, what: matching, status: http.StatusAccepted},
		{name: "ignored, SQLite", at: durable, what: unmatched, status: http.StatusOK},
		{name: "accepted, SQLite, with statuses", at: reporting, what: matching, status: http.StatusAccepted},
		{name: "accepted, Postgres", at: &serve(t, server.Database(t), text).measured, what: matching, status: http.StatusAccepted},
	}
	for _, s := range sides { // connections, statements and caches are there from now on
		send(t, s.at.address, s.what, *conns, s.status, during(*lasting/10))
	}
	for range *rounds {
		for _, s := range sides {
			s.measure(t)
		}
	}
	for _, s := range sides {
		figures.note(s.name, fmt.Sprintf("%s deliveries/s, %s µs CPU each, p99 %.1f ms", s.perSecond, s.cpu, s.p99.median()))
	}
	ratio := func(s *side, aim float64) {
		r := s.perSecond.median() / sides[0].perSecond.median()
		figures.add(s.name+": throughput of the bare handler's", fmt.Sprintf("%.2f", r), fmt.Sprintf("at least %.2f", aim), r >= aim)
	}
	ratio(sides[1], 0.75)
	ratio(sides[2], 0.85)
	ratio(sides[4], 0.6)
	same := sides[3].perSecond.median() / sides[1].perSecond.median()
	figures.add("accepted, SQLite: throughput with statuses of that without", fmt.Sprintf("%.2f", same), "at least 0.98", same >= 0.98)
	cost := sides[1].cpu.median() / sides[0].cpu.median()
	figures.add("accepted, SQLite: CPU a delivery of the bare handler's", fmt.Sprintf("%.2f", cost), "at most 1.40", cost <= 1.4)
}

// A steady thousand a second, as when many push at once.
func TestOffered(t *testing.T) {
	shut := newGate(t)
	what := newTemplate(push(t, "", bodySize))
	b := serve(t, "", rules(shut.URL, "", 100))
	perSecond := 1000
	if !*full {
		perSecond = 50
	}
	offer(t, b.address, what, *conns, perSecond, *lasting/5)
	r := offer(t, b.address, what, *conns, perSecond, 3**lasting)
	now, most := b.resident(t)
	figures.add(fmt.Sprintf("p99 at %d deliveries/s offered, SQLite", perSecond), fmt.Sprintf("%s (p50 %s)", ms(r.within(0.99)), ms(r.within(0.5))), "below 25 ms", r.within(0.99) < 25*time.Millisecond)
	figures.add("memory at that", fmt.Sprintf("%.0f MiB, %.0f at most", now, most), "below 60 MB", most < 60e6/(1<<20))
}

// From the first byte of a delivery to RunJob on the wire, one at a time.
func TestLatency(t *testing.T) {
	databases(t, func(t *testing.T, name, database string) {
		open := newService(t)
		b := serve(t, database, rules(open.URL, "", 100))
		c, err := dial(t.Context(), b.address, newTemplate(push(t, "", bodySize)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.conn.Close()
		n := 300
		if !*full {
			n = 5
		}
		r := &result{}
		for i := range n + 5 {
			time.Sleep(50 * time.Millisecond)
			sent := time.Now()
			if status, err := c.send(); err != nil || status != http.StatusAccepted {
				t.Fatal(status, err)
			}
			wait := (<-open.began).Sub(sent)
			if i >= 5 { // the first ones open connections
				r.waits = append(r.waits, wait)
			}
		}
		slices.Sort(r.waits)
		p50, p99 := r.within(0.5), r.within(0.99)
		figures.add("delivery to RunJob, idle, "+name, fmt.Sprintf("p50 %s, p99 %s", ms(p50), ms(p99)), "p50 below 30 ms, p99 below 100 ms", p50 < 30*time.Millisecond && p99 < 100*time.Millisecond)
	})
}

// How fast a queue empties when the service is back.
func TestDrain(t *testing.T) {
	databases(t, func(t *testing.T, name, database string) {
		n, aim := 30_000, 1500.0
		if name == "Postgres" {
			aim = 2500
		}
		if !*full {
			n = 200
		}
		shut := newGate(t)
		b := serve(t, database, rules(shut.URL, "", 100))
		send(t, b.address, newTemplate(push(t, "", bodySize)), *conns, http.StatusAccepted, times(n))
		shut.open()
		answered := func(part float64) func() bool {
			return func() bool { return shut.answers.Load() >= int64(part*float64(n)) }
		}
		eventually(t, "some builds are started", answered(0.1))
		begin, from, used := time.Now(), shut.answers.Load(), b.cpu(t)
		eventually(t, "all builds are started", answered(1))
		done := float64(shut.answers.Load() - from)
		perSecond := done / time.Since(begin).Seconds()
		figures.add("drain, "+name, fmt.Sprintf("%.0f builds/s, %.0f µs CPU each", perSecond, float64((b.cpu(t)-used).Microseconds())/done), fmt.Sprintf("at least %.0f builds/s", aim), perSecond >= aim)
	})
}

// A rate limit holds for one process, and for three that share it.
func TestRate(t *testing.T) {
	databases(t, func(t *testing.T, name, database string) {
		const limit = 50
		replicas, d := 1, time.Minute
		if name == "Postgres" {
			replicas = 3
		}
		if !*full {
			d = time.Second
		}
		open := newService(t)
		text := rules(open.URL, fmt.Sprintf("    rate_limit: {per_second: %d, burst: 1}", limit), 0)
		what := newTemplate(push(t, "", bodySize))
		for range replicas {
			b := serve(t, database, text)
			send(t, b.address, what, 8, http.StatusAccepted, times(int(d.Seconds()+10)*limit/replicas))
		}
		eventually(t, "builds are started", func() bool { return open.answers.Load() > 2*limit })
		from := open.answers.Load()
		time.Sleep(d)
		perSecond := float64(open.answers.Load()-from) / d.Seconds()
		off := perSecond/limit - 1
		figures.add(fmt.Sprintf("rate limit of %d/s over %s, %s, %d processes", limit, d, name, replicas), fmt.Sprintf("%.2f/s (%+.1f %%)", perSecond, 100*off), "within 2 %", off <= 0.02 && off >= -0.02)
	})
}

// Acceptance and pick-up beside a queue as long as it may get.
func TestWaiting(t *testing.T) {
	databases(t, func(t *testing.T, name, database string) {
		shut := newGate(t)
		open := newService(t)
		text := rules(shut.URL, "", 100)
		// Pick-up is measured at a target whose queue is empty.
		text = strings.Replace(text, "rules:\n", fmt.Sprintf(`  south: {endpoint: %s, credentials: {access_key: {env: LOAD_AK}, secret_key: {env: LOAD_SK}}}
rules:
  - {name: quick, repository: acme/shop, when: {push: {branches: ['wip/**']}}, jobs: [{job_id: %s, target: south}]}
`, open.URL, jobID), 1)
		text = strings.Replace(text, "jobs: [{job_id: "+jobID+", parameters", "jobs: [{target: north, job_id: "+jobID+", parameters", 1)
		text = strings.ReplaceAll(text, "jobs: [{job_id: "+jobID+"}]", "jobs: [{target: north, job_id: "+jobID+"}]")
		b := serve(t, database, text)
		accepted, quick := newTemplate(push(t, "", bodySize)), newTemplate(push(t, "wip/", bodySize))
		measure := func() (perSecond float64, pickUp time.Duration) {
			send(t, b.address, accepted, *conns, http.StatusAccepted, during(*lasting/5))
			var rates series
			for range *rounds {
				rates = append(rates, send(t, b.address, accepted, *conns, http.StatusAccepted, during(*lasting/2)).perSecond())
			}
			c, err := dial(t.Context(), b.address, quick)
			if err != nil {
				t.Fatal(err)
			}
			defer c.conn.Close()
			r := &result{}
			for range 5 + int(lasting.Seconds())*10 {
				time.Sleep(20 * time.Millisecond)
				sent := time.Now()
				if status, err := c.send(); err != nil || status != http.StatusAccepted {
					t.Fatal(status, err)
				}
				r.waits = append(r.waits, (<-open.began).Sub(sent))
			}
			slices.Sort(r.waits)
			return rates.median(), r.within(0.5)
		}
		emptyRate, emptyPick := measure()
		send(t, b.address, accepted, *conns, http.StatusAccepted, times(*waiting))
		fullRate, fullPick := measure()
		now, most := b.resident(t)
		rate, pick := fullRate/emptyRate, float64(fullPick)/float64(emptyPick)
		queue := fmt.Sprintf("with %d builds waiting, %s: ", *waiting, name)
		figures.add(queue+"acceptance", fmt.Sprintf("%.0f/s, %.0f/s with none (%.2f)", fullRate, emptyRate, rate), "at least 0.80", rate >= 0.8)
		figures.add(queue+"delivery to RunJob", fmt.Sprintf("p50 %s, %s with none (%.2f)", ms(fullPick), ms(emptyPick), pick), "at most 1.20", pick <= 1.2)
		figures.note(queue+"memory, after a load at full speed", fmt.Sprintf("%.0f MiB, %.0f at most", now, most))
		if name == "SQLite" {
			offer(t, b.address, accepted, *conns, 100, *lasting)
		}
	})
}

// Large bodies by many connections.
func TestLargeBodies(t *testing.T) {
	n, size, connections := 1000, 5_000_000, 16
	if !*full { // other tests run beside it: 16 large bodies at once would come too slowly
		n, size, connections = 10, 1_500_000, 2
	}
	shut := newGate(t)
	b := serve(t, "", rules(shut.URL, "", 0))
	r := send(t, b.address, newTemplate(push(t, "", size)), connections, http.StatusAccepted, times(n))
	_, most := b.resident(t)
	figures.add(fmt.Sprintf("memory with %d deliveries of %.1f MB at %d connections", n, float64(size)/1e6, connections), fmt.Sprintf("%.0f MiB at most (%.0f/s)", most, r.perSecond()), "below 600 MB", most < 600e6/(1<<20))
}

// A hundred thousand rules: how long they take to load, and what a reload under
// load does to deliveries.
func TestManyRules(t *testing.T) {
	n := 100_000
	if !*full {
		n = 1000
	}
	shut := newGate(t)
	text := rules(shut.URL, "", 0)
	var more []string
	for i := 0; i < n; i += 5000 {
		more = append(more, "version: 1\nrules:\n"+otherRules(i, min(i+5000, n)))
	}
	begin := time.Now()
	b := serve(t, "", text, more...)
	took := time.Since(begin)
	now, most := b.resident(t)
	figures.add(fmt.Sprintf("start with %d rules over 20,000 repositories", n), fmt.Sprintf("%.1f s, %.0f MiB at most", took.Seconds(), most), "below 5 s and 1 GB", took < 5*time.Second && most < 1e9/(1<<20))
	figures.note("memory with them", fmt.Sprintf("%.0f MiB", now))

	what := newTemplate(push(t, "", bodySize))
	offer(t, b.address, what, *conns, 100, *lasting/5)
	calm := offer(t, b.address, what, *conns, 100, *lasting)
	done := make(chan *result)
	go func() { done <- offer(t, b.address, what, *conns, 100, *lasting) }()
	reloads := 0
	for end := time.Now().Add(*lasting * 8 / 10); time.Now().Before(end); reloads++ {
		changed := text + fmt.Sprintf("  - {name: more-%d, repository: acme/more, when: {push: {}}, jobs: [{job_id: %s}]}\n", reloads, jobID)
		if err := os.WriteFile(filepath.Join(b.dir, "rules.next"), []byte(changed), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.Rename(filepath.Join(b.dir, "rules.next"), filepath.Join(b.dir, "rules", "000.yaml")); err != nil {
			t.Error(err)
		}
		time.Sleep(*lasting / 4)
	}
	busy := <-done
	figures.note(fmt.Sprintf("100 deliveries/s while that many are loaded %d times", reloads),
		fmt.Sprintf("p50 %s, p99 %s, longest %s; %s, %s, %s without", ms(busy.within(0.5)), ms(busy.within(0.99)), ms(busy.within(1)), ms(calm.within(0.5)), ms(calm.within(0.99)), ms(calm.within(1))))
}
