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

// metrics of this package. Labels come from the rules, from the states, and
// from HTTP statuses.
type metrics struct {
	builds            *prometheus.CounterVec   // rule, target, outcome
	requests          *prometheus.CounterVec   // target, code
	failures          *prometheus.CounterVec   // target, reason
	duration          *prometheus.HistogramVec // target
	latency           *prometheus.HistogramVec // target
	queueBuilds       *prometheus.GaugeVec     // target, state
	queueOldest       *prometheus.GaugeVec     // target
	databaseBytes     *prometheus.GaugeVec     // no label: absent until it is known
	databaseFreeBytes *prometheus.GaugeVec     // no label: absent where it cannot be known

	mu    sync.Mutex
	known map[string]bool // targets of the rules, or with builds
	leads bool            // keeps the gauges of the queue; nobody else has them
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		known: map[string]bool{},
		builds: f.NewCounterVec(prometheus.CounterOpts{
			Name: "buildbridge_builds_total",
			Help: "Builds by what became of them: started, dead, superseded or dry_run.",
		}, []string{"rule", "target", "outcome"}),
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "buildbridge_runjob_requests_total",
			Help: "RunJob calls by HTTP status, or timeout (sent, no answer) or not_sent.",
		}, []string{"target", "code"}),
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "buildbridge_runjob_failures_total",
			Help: "RunJob calls that started no build as far as is known, by what is wrong: credentials, permission, rejected, throttled, unavailable.",
		}, []string{"target", "reason"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "buildbridge_runjob_duration_seconds",
			Help:    "How long RunJob calls took.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"target"}),
		latency: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "buildbridge_build_start_latency_seconds",
			Help:    "From the delivery to the service's acceptance of RunJob.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200},
		}, []string{"target"}),
		queueBuilds: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "buildbridge_queue_builds",
			Help: "Builds that are not resolved, by state.",
		}, []string{"target", "state"}),
		queueOldest: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "buildbridge_queue_oldest_waiting_seconds",
			Help: "Age of the oldest build that waits; 0 if none does.",
		}, []string{"target"}),
		databaseBytes: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "buildbridge_database_bytes",
			Help: "Size of the database.",
		}, nil),
		databaseFreeBytes: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "buildbridge_database_free_bytes",
			Help: "Bytes that are free on the disk of a SQLite database.",
		}, nil),
	}
}

// maxKnownRules bounds the rules whose series exist before anything happened.
const maxKnownRules = 1000

// unresolved are the states that the queue is counted by.
func unresolved() []store.State { return []store.State{store.Waiting, store.Calling, store.Unknown} }

// know makes the series of targets and rules exist at 0.
func (m *metrics) know(targets []string, jobs []mapping.Job) {
	for _, t := range targets {
		m.duration.WithLabelValues(t)
		m.latency.WithLabelValues(t)
		for _, code := range []string{"200", "timeout", "not_sent"} {
			m.requests.WithLabelValues(t, code)
		}
		for _, reason := range codearts.Reasons() {
			m.failures.WithLabelValues(t, reason)
		}
	}
	m.knowQueues(targets)
	rules := map[string]bool{}
	for _, j := range jobs {
		if rules[j.Rule] = true; len(rules) > maxKnownRules {
			return
		}
		for _, s := range store.States() {
			if s.Final() {
				m.builds.WithLabelValues(j.Rule, j.Target, string(s))
			}
		}
	}
}

// lead sets the gauges of the queue. A target that has nothing left stays at 0.
func (m *metrics) lead(stats []store.QueueStat, now time.Time) {
	type series struct {
		target string
		state  store.State
	}
	counted := map[series]store.QueueStat{}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leads = true
	for _, q := range stats {
		m.known[q.Target] = true
		counted[series{q.Target, q.State}] = q
	}
	for t := range m.known {
		for _, s := range unresolved() {
			m.queueBuilds.WithLabelValues(t, string(s)).Set(float64(counted[series{t, s}].Builds))
		}
		age := 0.0
		if q, ok := counted[series{t, store.Waiting}]; ok {
			age = max(0, now.Sub(q.Oldest).Seconds())
		}
		m.queueOldest.WithLabelValues(t).Set(age)
	}
}

// uncounted takes the gauges of the queue away: no number is better than a wrong one.
func (m *metrics) uncounted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leads = false
	m.queueBuilds.Reset()
	m.queueOldest.Reset()
}

// follow takes the gauges away: another process leads, and keeps them.
func (m *metrics) follow() {
	m.uncounted()
	m.databaseBytes.Reset()
	m.databaseFreeBytes.Reset()
}

// database sets the gauges of the database; what is negative is not known.
func (m *metrics) database(used, free int64) {
	m.databaseBytes.WithLabelValues().Set(float64(used))
	if free >= 0 {
		m.databaseFreeBytes.WithLabelValues().Set(float64(free))
	}
}

// knowQueues takes the targets of the rules for those whose gauges exist; those
// of targets that are gone from them go, until they have builds again.
func (m *metrics) knowQueues(targets []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for target := range m.known {
		if !slices.Contains(targets, target) {
			delete(m.known, target)
			m.queueBuilds.DeletePartialMatch(prometheus.Labels{"target": target})
			m.queueOldest.DeleteLabelValues(target)
		}
	}
	for _, target := range targets {
		m.known[target] = true
		if !m.leads {
			continue
		}
		m.queueOldest.WithLabelValues(target)
		for _, s := range unresolved() {
			m.queueBuilds.WithLabelValues(target, string(s))
		}
	}
}
