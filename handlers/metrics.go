package handlers

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// maxRuleSeries is how many rules have a series before they match: the first
// so many of the rules files.
const maxRuleSeries = 1000

// metrics of the delivery path and of the rules. Every label comes from the
// rules or from a closed set, never from a delivery.
type metrics struct {
	deliveries *prometheus.CounterVec   // source, provider, outcome, reason
	duration   *prometheus.HistogramVec // source
	matches    *prometheus.CounterVec   // rule
	keyUsed    *prometheus.CounterVec   // source, key

	rulesLoaded      prometheus.Gauge
	reloadSuccessful prometheus.Gauge
	reloadTime       prometheus.Gauge
}

func newMetrics(reg *prometheus.Registry, version, revision string) (*metrics, error) {
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("handlers: Options.Registry: %w", err)
		}
	}
	auto := promauto.With(reg)
	m := &metrics{
		deliveries: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "buildbridge_deliveries_total",
			Help: "Calls of webhooks by what became of them; source and provider are empty where no source has the name.",
		}, []string{"source", "provider", "outcome", "reason"}),
		duration: auto.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "buildbridge_delivery_duration_seconds",
			Help:    "Time from the header of a call to its answer, the commit included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"source"}),
		matches: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "buildbridge_rule_matches_total",
			Help: "Events of accepted deliveries that a rule matched.",
		}, []string{"rule"}),
		keyUsed: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "buildbridge_signature_key_used_total",
			Help: "Deliveries authenticated by each key of a source, named by its place in the rules.",
		}, []string{"source", "key"}),
		rulesLoaded: auto.NewGauge(prometheus.GaugeOpts{
			Name: "buildbridge_rules_loaded",
			Help: "Number of rules that are served.",
		}),
		reloadSuccessful: auto.NewGauge(prometheus.GaugeOpts{
			Name: "buildbridge_rules_reload_successful",
			Help: "1 if the last load of the rules succeeded, 0 if older rules are served on.",
		}),
		reloadTime: auto.NewGauge(prometheus.GaugeOpts{
			Name: "buildbridge_rules_reload_success_timestamp_seconds",
			Help: "Unix time of the last successful load of the rules.",
		}),
	}
	auto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "buildbridge_build_info",
		Help: "Always 1; the labels say what runs.",
	}, []string{"version", "revision", "goversion"}).WithLabelValues(version, revision, runtime.Version()).Set(1)

	m.deliveries.WithLabelValues("", "", rejected, noSource)
	m.deliveries.WithLabelValues("", "", rejected, method)
	m.duration.WithLabelValues("")
	return m, nil
}

// handler serves the registry.
func (m *metrics) handler(reg *prometheus.Registry, logger *slog.Logger) http.Handler {
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelError),
		// Only there have histograms exemplars.
		EnableOpenMetrics: true,
	})
}

// loaded tells of new rules: series of what is gone are deleted, those of what
// is there exist from now on.
func (m *metrics) loaded(old, now *State, at time.Time) {
	m.rulesLoaded.Set(float64(now.Rules.Len()))
	m.reloadSuccessful.Set(1)
	m.reloadTime.Set(float64(at.UnixMilli()) / 1000)

	for name, was := range old.Sources {
		is := now.Sources[name]
		if is == nil {
			m.duration.DeleteLabelValues(name)
		}
		if is == nil || is.Provider != was.Provider {
			m.deliveries.DeletePartialMatch(prometheus.Labels{"source": name})
		}
		kept := map[string]bool{}
		if is != nil {
			for _, key := range keyPlaces(is.Keys) {
				kept[key] = true
			}
		}
		for _, key := range keyPlaces(was.Keys) {
			if !kept[key] {
				m.keyUsed.DeleteLabelValues(name, key)
			}
		}
	}
	for _, name := range now.sourceNames() {
		source := now.Sources[name]
		m.duration.WithLabelValues(name)
		for outcome, reasons := range source.fates() {
			for _, reason := range reasons {
				m.deliveries.WithLabelValues(name, source.Provider, outcome, reason)
			}
		}
		for _, key := range keyPlaces(source.Keys) {
			m.keyUsed.WithLabelValues(name, key)
		}
	}

	kept := make(map[string]bool, now.Rules.Len())
	for i, rule := range now.Rules.RuleNames() {
		kept[rule] = true
		if i < maxRuleSeries {
			m.matches.WithLabelValues(rule)
		}
	}
	for _, rule := range old.Rules.RuleNames() {
		if !kept[rule] {
			m.matches.DeleteLabelValues(rule)
		}
	}
}

// fates are the outcomes of a source's deliveries with their reasons.
func (s *Source) fates() map[string][]string {
	refused := []string{malformed, method, tooLarge, encoding}
	if len(keyPlaces(s.Keys)) > 0 {
		refused = append(refused, unauthenticated)
	}
	if len(s.AllowFrom) > 0 {
		refused = append(refused, address)
	}
	if s.RateLimit.PerSecond > 0 {
		refused = append(refused, rateLimit)
	}
	return map[string][]string{
		accepted:  {"", deadOnArrival},
		duplicate: {""},
		ignored: {
			string(mapping.ReasonPing), string(mapping.ReasonEvent), string(mapping.ReasonDeleted),
			string(mapping.ReasonNoRule), string(mapping.ReasonNoMatch),
		},
		rejected:    refused,
		unavailable: {notStored, queueFull, busy, internal},
	}
}

// keyPlaces names the keys as codehost.Message.Key does.
func keyPlaces(k codehost.Keys) []string {
	var places []string
	for list, n := range map[string]int{
		"secrets": len(k.Secrets), "signing_tokens": len(k.SigningTokens), "basic": len(k.Basic),
	} {
		for i := range n {
			places = append(places, fmt.Sprintf("%s[%d]", list, i))
		}
	}
	return places
}
