package handlers

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
	"buildbridge/mapping/observe"
)

// metrics of deliveries and of the rules. Every label comes from the rules or from a
// closed set, never from a delivery.
type metrics struct {
	deliveries *prometheus.CounterVec   // source, provider, outcome, reason
	duration   *prometheus.HistogramVec // source
	matches    *prometheus.CounterVec   // rule
	keyUsed    *prometheus.CounterVec   // source, key

	rulesLoaded      prometheus.Gauge
	reloadSuccessful prometheus.Gauge
	reloadTime       prometheus.Gauge
	rulesInfo        *prometheus.GaugeVec // digest
	ruleInfo         *prometheus.GaugeVec // rule, owner
	rulesChanged     prometheus.Gauge
}

func newMetrics(reg *prometheus.Registry, version, revision string) (*metrics, error) {
	process := collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
	if err := errors.Join(reg.Register(collectors.NewGoCollector()), reg.Register(process)); err != nil {
		return nil, fmt.Errorf("handlers: Options.Registry: %w", err)
	}
	auto := promauto.With(reg)
	m := &metrics{
		deliveries: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "buildbridge_deliveries_total",
			Help: "Calls of webhooks by outcome and reason; source and provider are empty if no source has the name in the path.",
		}, []string{"source", "provider", "outcome", "reason"}),
		duration: auto.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "buildbridge_delivery_duration_seconds",
			Help:    "Time from the header of a call to its answer, which includes the commit.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"source"}),
		matches: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "buildbridge_rule_matches_total",
			Help: "Events of accepted deliveries that a rule matched.",
		}, []string{"rule"}),
		keyUsed: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "buildbridge_signature_key_used_total",
			Help: "Deliveries authenticated by each key of a source; the key is its place in the rules.",
		}, []string{"source", "key"}),
		rulesLoaded: auto.NewGauge(prometheus.GaugeOpts{
			Name: "buildbridge_rules_loaded",
			Help: "Number of rules in use.",
		}),
		reloadSuccessful: auto.NewGauge(prometheus.GaugeOpts{
			Name: "buildbridge_rules_reload_successful",
			Help: "1 if the last load of the rules succeeded, 0 if it failed and older rules are in use.",
		}),
		reloadTime: auto.NewGauge(prometheus.GaugeOpts{
			Name: "buildbridge_rules_reload_success_timestamp_seconds",
			Help: "Unix time of the last successful load of the rules.",
		}),
		rulesInfo: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "buildbridge_rules_info",
			Help: "Always 1; the label is the digest of the rules in use, which is another one when they mean something else.",
		}, []string{"digest"}),
		ruleInfo: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "buildbridge_rule_info",
			Help: "Always 1; the labels are a rule in use and its owner, which is empty for a rule without one.",
		}, []string{"rule", "owner"}),
		rulesChanged: auto.NewGauge(prometheus.GaugeOpts{
			Name: "buildbridge_rules_changed_timestamp_seconds",
			Help: "Unix time of the last reload that brought rules of another digest; 0 if there was none since the start.",
		}),
	}
	auto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "buildbridge_build_info",
		Help: "Always 1; the labels are the versions of the program and of Go.",
	}, []string{"version", "revision", "goversion"}).WithLabelValues(version, revision, runtime.Version()).Set(1)

	m.deliveries.WithLabelValues("", "", rejected, noSource)
	m.deliveries.WithLabelValues("", "", rejected, method)
	m.duration.WithLabelValues("")
	return m, nil
}

// loaded reports a successful load of the rules. It deletes the series of sources, keys
// and rules that are gone, and begins those of new ones at 0.
func (m *metrics) loaded(old, now *State, at time.Time) {
	m.rulesLoaded.Set(float64(now.Rules.Len()))
	m.reloadSuccessful.Set(1)
	m.reloadTime.Set(float64(at.UnixMilli()) / 1000)
	if digest := now.Rules.Digest(); old.Sources == nil || digest != old.Rules.Digest() {
		m.rulesInfo.Reset()
		m.rulesInfo.WithLabelValues(digest).Set(1)
		if old.Sources != nil { // it is a reload, not the start
			m.rulesChanged.Set(float64(at.UnixMilli()) / 1000)
		}
	}

	for name, before := range old.Sources {
		source := now.Sources[name]
		var kept []string
		if source == nil {
			m.duration.DeleteLabelValues(name)
		} else {
			kept = keyPlaces(source.Keys)
		}
		if source == nil || source.Provider != before.Provider {
			m.deliveries.DeletePartialMatch(prometheus.Labels{"source": name})
		}
		for _, key := range keyPlaces(before.Keys) {
			if !slices.Contains(kept, key) {
				m.keyUsed.DeleteLabelValues(name, key)
			}
		}
	}
	for name, source := range now.Sources {
		m.duration.WithLabelValues(name)
		for outcome, reasons := range source.outcomes() {
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
		if i < observe.MaxRules {
			m.matches.WithLabelValues(rule)
		}
	}
	for _, rule := range old.Rules.RuleNames() {
		if !kept[rule] {
			m.matches.DeleteLabelValues(rule)
		}
	}
	m.owners(old, now)
}

// owners reports the rules in use with their owners: the first of the files, and all that have an owner, since alerts
// find it here. A series that stays is not touched, so that none is missing for a scrape.
func (m *metrics) owners(old, now *State) {
	type info struct{ rule, owner string }
	infos := map[info]bool{}
	for rule, owner := range now.Rules.Owners() {
		if owner != "" || len(infos) < observe.MaxRules {
			infos[info{rule, owner}] = true
			m.ruleInfo.WithLabelValues(rule, owner).Set(1)
		}
	}
	for rule, owner := range old.Rules.Owners() {
		if !infos[info{rule, owner}] {
			m.ruleInfo.DeleteLabelValues(rule, owner)
		}
	}
}

// outcomes are the outcomes that a delivery of the source can have, with their reasons.
func (s *Source) outcomes() map[string][]string {
	rejections := []string{malformed, method, tooLarge, encoding}
	if len(keyPlaces(s.Keys)) > 0 {
		rejections = append(rejections, unauthenticated)
	}
	if len(s.AllowFrom) > 0 {
		rejections = append(rejections, address)
	}
	if s.RateLimit.PerSecond > 0 {
		rejections = append(rejections, rateLimit)
	}
	return map[string][]string{
		accepted:  {"", deadOnArrival}, // and builtByCatchUp and builtOnce, which few sources ever have
		duplicate: {""},
		ignored: {
			string(mapping.ReasonPing), string(mapping.ReasonEvent), string(mapping.ReasonDeleted),
			string(mapping.ReasonNoRule), string(mapping.ReasonNoMatch),
		},
		rejected:    rejections,
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
