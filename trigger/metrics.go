package trigger

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// metrics of this package. The values of labels come from the rules, from the states, and
// from HTTP statuses.
type metrics struct {
	builds            *prometheus.CounterVec   // rule, target, outcome
	requests          *prometheus.CounterVec   // target, code
	failures          *prometheus.CounterVec   // target, reason
	duration          *prometheus.HistogramVec // target
	latency           *prometheus.HistogramVec // target
	queueBuilds       *prometheus.GaugeVec     // target, state
	queueOldest       *prometheus.GaugeVec     // target
	databaseBytes     *prometheus.GaugeVec     // no label: a vector, so that it can be absent
	databaseFreeBytes *prometheus.GaugeVec     // no label: as above

	mu      sync.Mutex
	targets map[string]bool // those of the rules, and those that have builds
	leads   bool            // whether this process sets the gauges of the queue
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		targets: map[string]bool{},
		builds: f.NewCounterVec(prometheus.CounterOpts{
			Name: "buildbridge_builds_total",
			Help: "Builds by their final state: started, dead, superseded or dry_run.",
		}, []string{"rule", "target", "outcome"}),
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "buildbridge_runjob_requests_total",
			Help: "RunJob calls by HTTP status, or timeout (sent, and no answer came) or not_sent.",
		}, []string{"target", "code"}),
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "buildbridge_runjob_failures_total",
			Help: "RunJob calls without a build number in the answer, by reason: credentials, permission, rejected, throttled, unavailable.",
		}, []string{"target", "reason"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "buildbridge_runjob_duration_seconds",
			Help:    "Duration of RunJob calls.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"target"}),
		latency: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "buildbridge_build_start_latency_seconds",
			Help:    "Time from the delivery to the service's answer with a build number.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200},
		}, []string{"target"}),
		queueBuilds: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "buildbridge_queue_builds",
			Help: "Unresolved builds, by state.",
		}, []string{"target", "state"}),
		queueOldest: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "buildbridge_queue_oldest_waiting_seconds",
			Help: "Age of the oldest waiting build; 0 if no build waits.",
		}, []string{"target"}),
		databaseBytes: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "buildbridge_database_bytes",
			Help: "Size of the database.",
		}, nil),
		databaseFreeBytes: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "buildbridge_database_free_bytes",
			Help: "Free bytes on the disk of a SQLite database.",
		}, nil),
	}
}

// maxRules bounds the rules whose series exist before they have builds.
const maxRules = 1000

// unresolved are the states that the queue is counted by.
var unresolved = []store.State{store.Waiting, store.Calling, store.Unknown}

// addSeries creates the series of targets and rules, with the value 0.
func (m *metrics) addSeries(targets []string, jobs []mapping.Job) {
	for _, t := range targets {
		m.duration.WithLabelValues(t)
		m.latency.WithLabelValues(t)
		for _, code := range []string{"200", "timeout", "not_sent"} {
			m.requests.WithLabelValues(t, code)
		}
		for _, reason := range codearts.Reasons {
			m.failures.WithLabelValues(t, reason)
		}
	}
	m.setTargets(targets)
	rules := map[string]bool{}
	for _, j := range jobs {
		if rules[j.Rule] = true; len(rules) > maxRules {
			return
		}
		for _, s := range store.States() {
			if s.Final() {
				m.builds.WithLabelValues(j.Rule, j.Target, string(s))
			}
		}
	}
}

// setQueue sets the gauges of the queue, as the leader does. A target without builds has 0.
func (m *metrics) setQueue(stats []store.QueueStat, now time.Time) {
	type series struct {
		target string
		state  store.State
	}
	counted := map[series]store.QueueStat{}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leads = true
	for _, q := range stats {
		m.targets[q.Target] = true
		counted[series{q.Target, q.State}] = q
	}
	for t := range m.targets {
		for _, s := range unresolved {
			m.queueBuilds.WithLabelValues(t, string(s)).Set(float64(counted[series{t, s}].Builds))
		}
		age := 0.0
		if q, ok := counted[series{t, store.Waiting}]; ok {
			age = max(0, now.Sub(q.Oldest).Seconds())
		}
		m.queueOldest.WithLabelValues(t).Set(age)
	}
}

// removeQueue removes the gauges of the queue: no number is better than a wrong one.
func (m *metrics) removeQueue() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leads = false
	m.queueBuilds.Reset()
	m.queueOldest.Reset()
}

// removeLeader removes all gauges that the leader sets, which is another process.
func (m *metrics) removeLeader() {
	m.removeQueue()
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
		}
	}
	for _, target := range targets {
		m.targets[target] = true
		if !m.leads {
			continue
		}
		m.queueOldest.WithLabelValues(target)
		for _, s := range unresolved {
			m.queueBuilds.WithLabelValues(target, string(s))
		}
	}
}
