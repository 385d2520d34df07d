package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// series gives the values of a metric by its labels, as name=value joined by commas in the
// order of the names.
func (b *bridge) series(t *testing.T, metric string) map[string]float64 {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		if family.GetName() != metric {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			got[strings.Join(labels, ",")] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

// moved gives the series that are new or gone, or whose value changed.
func moved(before, after map[string]float64) map[string]float64 {
	diff := map[string]float64{}
	for labels, value := range after {
		if was, ok := before[labels]; !ok || value != was {
			diff[labels] = value - was
		}
	}
	for labels := range before {
		if _, ok := after[labels]; !ok {
			diff[labels] = -1
		}
	}
	return diff
}

func TestMetricsAreWellNamed(t *testing.T) {
	problems, err := testutil.GatherAndLint(newBridge(t, nil).registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

func TestKnownSeriesExistFromTheStart(t *testing.T) {
	b := newBridge(t, nil)
	deliveries := b.series(t, "buildbridge_deliveries_total")
	for _, labels := range []string{
		"outcome=rejected,provider=,reason=no_source,source=",
		"outcome=accepted,provider=github,reason=,source=github",
		"outcome=duplicate,provider=github,reason=,source=github",
		"outcome=ignored,provider=github,reason=no_match,source=github",
		"outcome=ignored,provider=github,reason=ping,source=github",
		"outcome=rejected,provider=github,reason=not_authenticated,source=github",
		"outcome=rejected,provider=github,reason=address,source=inside",
		"outcome=rejected,provider=github,reason=rate_limit,source=slow",
		"outcome=unavailable,provider=bitbucket,reason=not_stored,source=cloud",
	} {
		if value, ok := deliveries[labels]; !ok || value != 0 {
			t.Errorf("deliveries_total{%s} = %v, there: %t", labels, value, ok)
		}
	}
	if _, ok := deliveries["outcome=rejected,provider=github,reason=address,source=github"]; ok {
		t.Error("a source without a list of addresses has a series for them")
	}
	for metric, want := range map[string]map[string]float64{
		"buildbridge_delivery_duration_seconds": {"source=": 0, "source=github": 0, "source=inside": 0, "source=slow": 0, "source=cloud": 0},
		"buildbridge_rule_matches_total":        {"rule=cart": 0, "rule=releases": 0},
		"buildbridge_signature_key_used_total": {
			"key=secrets[0],source=github": 0, "key=secrets[1],source=github": 0,
			"key=secrets[0],source=inside": 0, "key=secrets[0],source=slow": 0, "key=secrets[0],source=cloud": 0,
		},
		"buildbridge_rules_loaded": {"": 2},
		"buildbridge_build_info":   {"goversion=" + runtime.Version() + ",revision=abc,version=v1.2.3": 1},
	} {
		if diff := cmp.Diff(want, b.series(t, metric)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", metric, diff)
		}
	}
}

func TestDeliveriesAreCounted(t *testing.T) {
	main := push("acme/shop", "refs/heads/main", commit)
	get := request("github", "")
	get.Method = http.MethodGet
	tests := map[string]struct {
		request    *http.Request
		deliveries string
		matches    map[string]float64
		keys       map[string]float64
	}{
		"accepted, its rule once for two jobs": {
			request:    request("github", main),
			deliveries: "outcome=accepted,provider=github,reason=,source=github",
			matches:    map[string]float64{"rule=cart": 1},
			keys:       map[string]float64{"key=secrets[0],source=github": 1},
		},
		"accepted, a rule once for each event": {
			request:    cloud("tag v1", "tag v2", "branch main"),
			deliveries: "outcome=accepted,provider=bitbucket,reason=,source=cloud",
			matches:    map[string]float64{"rule=releases": 2, "rule=cart": 1},
			keys:       map[string]float64{"key=secrets[0],source=cloud": 1},
		},
		"ignored, by the old secret": {
			request:    request("github", `{}`, "X-GitHub-Event", "ping", "X-Hub-Signature-256", sign(oldSecret, `{}`)),
			deliveries: "outcome=ignored,provider=github,reason=ping,source=github",
			keys:       map[string]float64{"key=secrets[1],source=github": 1},
		},
		"not authenticated": {
			request:    request("github", main, "X-Hub-Signature-256", ""),
			deliveries: "outcome=rejected,provider=github,reason=not_authenticated,source=github",
		},
		"for a source that does not exist, whatever its name": {
			request:    request("made-up", main),
			deliveries: "outcome=rejected,provider=,reason=no_source,source=",
		},
		"with another method": {
			request:    get,
			deliveries: "outcome=rejected,provider=github,reason=method,source=github",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, nil)
			const deliveries, matches, keys, duration = "buildbridge_deliveries_total", "buildbridge_rule_matches_total",
				"buildbridge_signature_key_used_total", "buildbridge_delivery_duration_seconds"
			before := map[string]map[string]float64{}
			for _, metric := range []string{deliveries, matches, keys, duration} {
				before[metric] = b.series(t, metric)
			}
			b.post(test.request)
			_, source, _ := strings.Cut(test.deliveries, ",source=")
			for metric, want := range map[string]map[string]float64{
				deliveries: {test.deliveries: 1}, matches: test.matches, keys: test.keys, duration: {"source=" + source: 1},
			} {
				if want == nil {
					want = map[string]float64{}
				}
				if diff := cmp.Diff(want, moved(before[metric], b.series(t, metric))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", metric, diff)
				}
			}
		})
	}
}

func TestReloadReplacesSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, nil)
		before := b.series(t, "buildbridge_rules_info")
		b.Swap(stateOf(t, "# Read again.\n"+rules))
		if got := b.series(t, "buildbridge_rules_info"); len(got) != 1 || !cmp.Equal(before, got) ||
			b.series(t, "buildbridge_rules_changed_timestamp_seconds")[""] != 0 {
			t.Errorf("rules_info is %v after a comment, before %v: the rules mean the same", got, before)
		}
		b.post(request("github", push("acme/shop", "refs/heads/main", commit)))
		b.post(request("slow", push("acme/shop", "refs/heads/main", commit)))

		b.ReloadFailed()
		if got := b.series(t, "buildbridge_rules_reload_successful")[""]; got != 0 {
			t.Errorf("reload_successful %v after a fault", got)
		}
		time.Sleep(time.Hour)
		changed := strings.NewReplacer(
			"  slow: {provider: github,", "  quick: {provider: github,",
			"[{env: NEW}, {env: OLD}]", "[{env: NEW}]",
			"name: releases", "name: tags\n    owner: web",
		).Replace(rules)
		b.Swap(stateOf(t, changed))

		for metric, want := range map[string]map[string]float64{
			"buildbridge_rules_reload_successful":                {"": 1},
			"buildbridge_rules_reload_success_timestamp_seconds": {"": float64(time.Now().Unix())},
			"buildbridge_rules_changed_timestamp_seconds":        {"": float64(time.Now().Unix())},
			"buildbridge_rules_info":                             {"digest=" + stateOf(t, changed).Rules.Digest(): 1},
			"buildbridge_delivery_duration_seconds":              {"source=": 0, "source=github": 1, "source=inside": 0, "source=quick": 0, "source=cloud": 0},
			"buildbridge_rule_matches_total":                     {"rule=cart": 2, "rule=tags": 0},
			"buildbridge_rule_info":                              {"owner=,rule=cart": 1, "owner=web,rule=tags": 1},
			"buildbridge_signature_key_used_total": {
				"key=secrets[0],source=github": 1,
				"key=secrets[0],source=inside": 0, "key=secrets[0],source=quick": 0, "key=secrets[0],source=cloud": 0,
			},
		} {
			if diff := cmp.Diff(want, b.series(t, metric)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", metric, diff)
			}
		}
		for labels := range b.series(t, "buildbridge_deliveries_total") {
			if strings.Contains(labels, "source=slow") {
				t.Errorf("deliveries_total{%s} is of a source that is gone", labels)
			}
		}
		if got := b.series(t, "buildbridge_deliveries_total")["outcome=accepted,provider=github,reason=,source=github"]; got != 1 {
			t.Errorf("a source that stayed counts %v", got)
		}
	})
}

func TestMetricsAreServed(t *testing.T) {
	b := newBridge(t, nil)
	w := httptest.NewRecorder()
	b.Admin().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{"buildbridge_rules_loaded 2", "go_goroutines", "process_start_time_seconds"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
}
