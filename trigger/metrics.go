package trigger

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"buildbridge/mapping"
	"buildbridge/mapping/observe"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// metrics of this package. The values of labels come from the rules, from the states, and
// from HTTP statuses.
type metrics struct {
	builds, requests, failures       *prometheus.CounterVec
	results, followRequests          *prometheus.CounterVec
	duration, latency, buildDuration *prometheus.HistogramVec
	running                          *prometheus.GaugeVec
	queueBuilds, queueOldest         *prometheus.GaugeVec
	queueHeld                        *prometheus.GaugeVec
	paused, pausedSince, pausedUntil *prometheus.GaugeVec
	databaseBytes, databaseFreeBytes *prometheus.GaugeVec
	statusPosts                      *prometheus.CounterVec
	statusesWaiting                  *prometheus.GaugeVec
	looks, missed                    *prometheus.CounterVec
	missedRefs, catchUpRepositories  *prometheus.GaugeVec

	mu                sync.Mutex
	targets           map[string]bool // those of the rules, and those that have builds
	sources, reported []string        // those whose hosts take statuses, and those that have or had some
	caughtUp          []string        // those that catch up
	leads             bool            // whether this process sets the gauges of the queue
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets ...float64) *prometheus.HistogramVec {
		return f.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"target"})
	}
	return &metrics{
		targets: map[string]bool{},
		builds: counter("buildbridge_builds_total",
			"Builds by their final state: started, dead, superseded or dry_run; canceled are the dead ones that a person ended.",
			"rule", "target", "outcome"),
		requests: counter("buildbridge_runjob_requests_total",
			"Calls of RunJob and RunPipeline by HTTP status, or timeout (sent, and no answer came) or not_sent.", "target", "code"),
		failures: counter("buildbridge_runjob_failures_total",
			"Calls of RunJob and RunPipeline without a build number or run id in the answer, by reason: "+
				"credentials, permission, rejected, throttled, unavailable.",
			"target", "reason"),
		duration: histogram("buildbridge_runjob_duration_seconds", "Duration of calls of RunJob and RunPipeline.",
			.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60),
		latency: histogram("buildbridge_build_start_latency_seconds",
			"Time from the delivery to the service's answer with a build number or run id.",
			.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200),
		results: counter("buildbridge_build_results_total",
			"Builds that have ended, by their result: success, failure, aborted, timeout, or lost (it could not be found out).",
			"rule", "target", "result"),
		followRequests: counter("buildbridge_follow_requests_total",
			"Requests about builds that run, by HTTP status, or error (inside a 200), timeout (sent, and no answer came) or not_sent.",
			"target", "code"),
		buildDuration: histogram("buildbridge_build_duration_seconds",
			"Time from the start of a build to its end, with its time in the service's queue.",
			1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400),
		running:     gauge("buildbridge_builds_running", "Builds that were started and whose end is not known.", "target"),
		queueBuilds: gauge("buildbridge_queue_builds", "Unresolved builds, by state.", "target", "state"),
		queueOldest: gauge("buildbridge_queue_oldest_waiting_seconds",
			"Age of the oldest waiting build, without those that wait because of a pause or of max_running; 0 if no build waits.", "target"),
		queueHeld: gauge("buildbridge_queue_held_builds",
			"Waiting builds that wait because people said so: pause, or max_running with those behind them.", "target", "hold"),
		paused: gauge("buildbridge_paused",
			"What is paused: 1 for everything, a target or a rule; for repositories, without a name, how many.", "kind", "name"),
		pausedSince: gauge("buildbridge_paused_since_timestamp_seconds",
			"When a pause began that has no end; of repositories the oldest.", "kind", "name"),
		pausedUntil: gauge("buildbridge_paused_until_timestamp_seconds",
			"When a pause ends by itself; of repositories the newest.", "kind", "name"),
		statusPosts: counter("buildbridge_status_posts_total",
			"Statuses that were sent to code hosts: 200 if the host took it, else the HTTP status, "+
				"page (a 2xx that is not an answer of its API), timeout (sent, and no answer came) or not_sent.",
			"source", "code"),
		statusesWaiting: gauge("buildbridge_statuses_waiting", "Statuses on commits that the code host was not told yet.", "source"),
		looks: counter("buildbridge_catch_up_looks_total",
			"Looks at the refs of a repository: ok, failed (it is tried again) or refused (the host does not show the repository).",
			"source", "outcome"),
		missed: counter("buildbridge_missed_refs_total", "Pushes whose delivery never came, as catch-up found out.", "source"),
		missedRefs: gauge("buildbridge_missed_refs",
			"Pushes whose delivery never came, which were not built and whose branch or tag is still there.", "source"),
		catchUpRepositories: gauge("buildbridge_catch_up_repositories",
			"Repositories that catch-up looks at, by the last look at their refs: ok or failing.", "source", "state"),
		// Vectors without a label, so that they can be absent.
		databaseBytes:     gauge("buildbridge_database_bytes", "Size of the database."),
		databaseFreeBytes: gauge("buildbridge_database_free_bytes", "Free bytes on the disk of a SQLite database."),
	}
}

// unresolved are the states that the queue is counted by.
var unresolved = []store.State{store.Waiting, store.Calling, store.Unknown}

// holds are the labels of the holds that are counted apart.
var holds = map[store.Hold]string{store.HoldPause: "pause", store.HoldRunning: "max_running"}

// addSeries creates the series of targets and rules, with the value 0.
func (m *metrics) addSeries(targets []string, jobs []mapping.Job) {
	for _, t := range targets {
		m.duration.WithLabelValues(t)
		m.latency.WithLabelValues(t)
		m.buildDuration.WithLabelValues(t)
		for _, code := range []string{"200", "timeout", "not_sent"} {
			m.followRequests.WithLabelValues(t, code)
			m.requests.WithLabelValues(t, code)
		}
		for _, reason := range codearts.Reasons {
			m.failures.WithLabelValues(t, reason)
		}
	}
	m.setTargets(targets)
	rules := map[string]bool{}
	for _, j := range jobs {
		if rules[j.Rule] = true; len(rules) > observe.MaxRules {
			return
		}
		for _, s := range store.States() {
			if s.Final() {
				m.builds.WithLabelValues(j.Rule, j.Target, string(s))
			}
		}
		m.builds.WithLabelValues(j.Rule, j.Target, canceled)
		for _, r := range store.Results() {
			if r.Final() {
				m.results.WithLabelValues(j.Rule, j.Target, string(r))
			}
		}
	}
}

// setQueue sets the gauges of the queue, as the leader does. A target without builds has 0.
func (m *metrics) setQueue(stats []store.QueueStat, now time.Time) {
	type series struct {
		target string
		state  store.State
		hold   store.Hold
	}
	counted := map[series]store.QueueStat{}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leads = true
	for _, q := range stats {
		m.targets[q.Target] = true
		counted[series{q.Target, q.State, q.Hold}] = q
	}
	for t := range m.targets {
		for _, s := range unresolved {
			n := counted[series{t, s, store.NoHold}].Builds
			for hold := range holds {
				n += counted[series{t, s, hold}].Builds
			}
			m.queueBuilds.WithLabelValues(t, string(s)).Set(float64(n))
		}
		for hold, label := range holds {
			m.queueHeld.WithLabelValues(t, label).Set(float64(counted[series{t, store.Waiting, hold}].Builds))
		}
		age := 0.0
		if q, ok := counted[series{t, store.Waiting, store.NoHold}]; ok {
			age = max(0, now.Sub(q.Oldest).Seconds())
		}
		m.queueOldest.WithLabelValues(t).Set(age)
	}
}

// setPaused sets the gauges of pauses, as the leader does. inRules are the rules that are paused in
// their files. Repositories have no name in a label.
func (m *metrics) setPaused(pauses []*store.Pause, inRules map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range []*prometheus.GaugeVec{m.paused, m.pausedSince, m.pausedUntil} {
		g.Reset()
	}
	for rule := range inRules {
		m.paused.WithLabelValues(string(store.PauseRule), rule).Set(1)
	}
	oldest := map[string]bool{}
	for _, p := range pauses {
		name := p.Name
		if p.Kind == store.PauseRepository {
			name = ""
			m.paused.WithLabelValues(string(p.Kind), name).Inc()
		} else {
			m.paused.WithLabelValues(string(p.Kind), name).Set(1)
		}
		if !p.Until.IsZero() {
			m.pausedUntil.WithLabelValues(string(p.Kind), name).Set(float64(p.Until.Unix()))
		} else if key := string(p.Kind) + " " + name; !oldest[key] {
			oldest[key] = true
			m.pausedSince.WithLabelValues(string(p.Kind), name).Set(float64(p.Since.Unix()))
		}
	}
}

// setRunning sets the gauge of builds that run, as the leader does.
func (m *metrics) setRunning(running map[string]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t := range running {
		m.targets[t] = true
	}
	for t := range m.targets {
		m.running.WithLabelValues(t).Set(float64(running[t]))
	}
}

// removeQueue removes the gauges of the queue, so that nobody reads old numbers.
func (m *metrics) removeQueue() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leads = false
	m.queueBuilds.Reset()
	m.queueOldest.Reset()
	m.queueHeld.Reset()
}

// removeLeader removes all gauges that the leader sets, which is another process.
func (m *metrics) removeLeader() {
	m.removeQueue()
	for _, g := range []*prometheus.GaugeVec{m.paused, m.pausedSince, m.pausedUntil} {
		g.Reset()
	}
	m.running.Reset()
	m.statusesWaiting.Reset()
	m.missedRefs.Reset()
	m.catchUpRepositories.Reset()
	m.databaseBytes.Reset()
	m.databaseFreeBytes.Reset()
}

// setDatabase sets the gauges of the database. A negative number is not known.
func (m *metrics) setDatabase(used, free int64) {
	m.databaseBytes.WithLabelValues().Set(float64(used))
	if free >= 0 {
		m.databaseFreeBytes.WithLabelValues().Set(float64(free))
	}
}

// setTargets sets the targets of the rules. The gauges of other targets are removed, until
// they have builds again.
func (m *metrics) setTargets(targets []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for target := range m.targets {
		if !slices.Contains(targets, target) {
			delete(m.targets, target)
			m.queueBuilds.DeletePartialMatch(prometheus.Labels{"target": target})
			m.queueOldest.DeleteLabelValues(target)
			m.queueHeld.DeletePartialMatch(prometheus.Labels{"target": target})
			m.running.DeleteLabelValues(target)
		}
	}
	for _, target := range targets {
		m.targets[target] = true
		if !m.leads {
			continue
		}
		m.queueOldest.WithLabelValues(target)
		for _, label := range holds {
			m.queueHeld.WithLabelValues(target, label)
		}
		m.running.WithLabelValues(target)
		for _, s := range unresolved {
			m.queueBuilds.WithLabelValues(target, string(s))
		}
	}
}

// addSources creates the series of the sources whose hosts take statuses.
func (m *metrics) addSources(sources []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources = sources
	for _, source := range sources {
		for _, code := range []string{"200", "timeout", "not_sent"} {
			m.statusPosts.WithLabelValues(source, code)
		}
		if m.leads {
			m.statusesWaiting.WithLabelValues(source)
		}
	}
}

// setStatuses sets the gauge of the statuses that wait, as the leader does.
func (m *metrics) setStatuses(stats []store.StatusStat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	behind := map[string]int64{}
	for _, source := range slices.Concat(m.reported, m.sources) {
		behind[source] = 0 // also where nothing waits any more
	}
	for _, q := range stats {
		behind[q.Source] = q.Behind
	}
	m.reported = slices.Collect(maps.Keys(behind))
	for source, n := range behind {
		m.statusesWaiting.WithLabelValues(source).Set(float64(n))
	}
}

// addCatchUp creates the series of the sources that catch up.
func (m *metrics) addCatchUp(sources []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, source := range m.caughtUp {
		if !slices.Contains(sources, source) {
			m.missedRefs.DeleteLabelValues(source)
			m.catchUpRepositories.DeletePartialMatch(prometheus.Labels{"source": source})
		}
	}
	m.caughtUp = sources
	for _, source := range sources {
		m.missed.WithLabelValues(source)
		for _, outcome := range []string{lookRead, lookFailed, lookRefused} {
			m.looks.WithLabelValues(source, outcome)
		}
		if m.leads {
			m.missedRefs.WithLabelValues(source)
		}
	}
}

// setMissed sets the gauge of the pushes that were missed, as the leader does.
func (m *metrics) setMissed(missed map[string]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, source := range m.caughtUp {
		m.missedRefs.WithLabelValues(source).Set(float64(missed[source]))
	}
}

// setReadable sets the gauge of the repositories that are looked at, as the leader does.
func (m *metrics) setReadable(readable map[string]store.Readable) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, source := range m.caughtUp {
		m.catchUpRepositories.WithLabelValues(source, "ok").Set(float64(readable[source].OK))
		m.catchUpRepositories.WithLabelValues(source, "failing").Set(float64(readable[source].Failing))
	}
}
