package observe

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	alerts = "../../../../charts/buildbridge/alerts"
	table  = "../../../../docs/observe.md"
)

var (
	server   = flag.String("prometheus", "", "the program prometheus, which TestObserve needs")
	promtool = flag.String("promtool", "", "the program promtool, which it needs too")
	lasting  = flag.Duration("lasting", 25*time.Second, "how long code hosts send")
	pictures = flag.String("pictures", "", "folder for pictures of the dashboards; none are drawn if it is not set")
)

// All queries of the dashboards and alerts run on a real Prometheus that has scraped the real
// program.
func TestObserve(t *testing.T) {
	if *server == "" || *promtool == "" {
		t.Skip("SKIPPED, dashboards and alerts are not tried: make observe does, with a Prometheus")
	}
	w := newWorld(t, 40+int(lasting.Seconds()*2/3)) // more come while the service throttles
	scrape := max(time.Second, (*lasting / 45).Truncate(time.Second))
	p := startPrometheus(t, *server, alerts, w.Admin, scrape)
	s := span{from: time.Now(), scrape: scrape}
	w.day(p, *lasting)
	s.to = time.Now()
	time.Sleep(2 * scrape) // until everything has been scraped
	s.step = max(scrape, (s.to.Sub(s.from) / 100).Truncate(time.Second))

	o := &observed{prometheus: p, span: s, families: w.metrics(t), chosen: map[string]string{}}
	t.Run("promtool", func(t *testing.T) { checkMetrics(t, w) })
	t.Run("documentation", o.documented)
	t.Run("day", o.eventful)
	t.Run("alerts", func(t *testing.T) { o.alerts(t, &prometheus{url: w.Admin}) })
	for name, d := range loadDashboards(t) {
		t.Run(name, func(t *testing.T) { o.dashboard(t, d) })
	}
	if *pictures != "" {
		for name, d := range loadDashboards(t) {
			o.choose(t, d)
			if err := os.WriteFile(filepath.Join(*pictures, name+".svg"), o.draw(t, d), 0o644); err != nil {
				t.Error(err)
			}
		}
	}
}

// page gets /metrics.
func (w *world) page(t *testing.T) []byte {
	t.Helper()
	p := &prometheus{url: w.Admin}
	text, err := p.fetch(t.Context(), "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// family is one metric of /metrics.
type family struct {
	kind   string
	labels []string
}

// metrics are the families of /metrics by their names.
func (w *world) metrics(t *testing.T) map[string]*family {
	t.Helper()
	families := map[string]*family{}
	var last *family
	for line := range strings.Lines(string(w.page(t))) {
		if kind, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(strings.TrimSpace(kind), " ")
			last = &family{kind: kind}
			families[name] = last
		} else if !strings.HasPrefix(line, "#") {
			for _, label := range regexp.MustCompile(`[{,](\w+)="`).FindAllStringSubmatch(line, -1) {
				if name := label[1]; name != "le" && name != "quantile" && !slices.Contains(last.labels, name) {
					last.labels = append(last.labels, name)
				}
			}
		}
	}
	return families
}

// checkMetrics checks /metrics with promtool.
func checkMetrics(t *testing.T, w *world) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), *promtool, "check", "metrics")
	cmd.Stdin = bytes.NewReader(w.page(t))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// observed is what Prometheus has scraped, and the values of the variables.
type observed struct {
	*prometheus
	span     span
	families map[string]*family
	chosen   map[string]string // values of the variables, as they get into an expression
}

// eventful checks that everything happened that the panels can show.
func (o *observed) eventful(t *testing.T) {
	for _, expr := range []string{
		`max_over_time(buildbridge_deliveries_total{outcome="accepted", source="github"}[1h]) > 0`,
		`max_over_time(buildbridge_deliveries_total{outcome="accepted", source="gitea"}[1h]) > 0`,
		`max_over_time(buildbridge_deliveries_total{outcome="duplicate"}[1h]) > 0`,
		`max_over_time(buildbridge_deliveries_total{outcome="ignored", reason="ping"}[1h]) > 0`,
		`max_over_time(buildbridge_deliveries_total{outcome="ignored", reason="event"}[1h]) > 0`,
		`max_over_time(buildbridge_deliveries_total{outcome="ignored", reason="no_rule"}[1h]) > 0`,
		`max_over_time(buildbridge_deliveries_total{outcome="ignored", reason="no_match"}[1h]) > 0`,
		`max_over_time(buildbridge_deliveries_total{outcome="rejected", reason="malformed"}[1h]) > 0`,
		`max_over_time(buildbridge_deliveries_total{outcome="rejected", reason="not_authenticated"}[1h]) > 0`,
		`max_over_time(buildbridge_deliveries_total{outcome="rejected", reason="rate_limit"}[1h]) > 0`,
		`max_over_time(buildbridge_deliveries_total{outcome="rejected", reason="no_source"}[1h]) > 0`,
		`max_over_time(buildbridge_builds_total{outcome="started", target="north"}[1h]) > 0`,
		`max_over_time(buildbridge_builds_total{outcome="started", target="south"}[1h]) > 0`,
		`max_over_time(buildbridge_builds_total{outcome="dead", rule="payments"}[1h]) > 0`,
		`max_over_time(buildbridge_builds_total{outcome="superseded", rule="cart"}[1h]) > 0`,
		`max_over_time(buildbridge_runjob_requests_total{code="429"}[1h]) > 0`,
		`max_over_time(buildbridge_runjob_requests_total{code="403"}[1h]) > 0`,
		`max_over_time(buildbridge_runjob_requests_total{code="timeout"}[1h]) > 0`,
		`max_over_time(buildbridge_signature_key_used_total{source="github", key="secrets[0]"}[1h]) > 0`,
		`max_over_time(buildbridge_signature_key_used_total{source="github", key="secrets[1]"}[1h]) > 0`,
		`count(count by (version) (last_over_time(buildbridge_build_info[1h]))) == 2`,
		`min_over_time(buildbridge_rules_reload_successful[1h]) == 0`,
		`buildbridge_rules_reload_successful == 1`,
		`max_over_time(buildbridge_queue_builds{state="waiting", target="north"}[1h]) > 3`,
		`max_over_time(buildbridge_build_results_total{result="success", rule="checkout"}[1h]) > 0`,
		`max_over_time(buildbridge_build_results_total{result="failure", rule="website"}[1h]) > 0`,
		`max_over_time(buildbridge_build_results_total{result="timeout", rule="shop-release"}[1h]) > 0`,
		`max_over_time(buildbridge_build_results_total{result="lost", rule="shop-release"}[1h]) > 0`,
		`max_over_time(buildbridge_build_results_total{result="aborted", rule="cart"}[1h]) > 0`,
		`max_over_time(buildbridge_builds_running{target="north"}[1h]) > 1`,
		`max_over_time(buildbridge_follow_requests_total{code="200", target="south"}[1h]) > 0`,
		`max_over_time(buildbridge_status_posts_total{code="200", source="gitea"}[1h]) > 0`,
		`max_over_time(buildbridge_status_posts_total{code="200", source="github"}[1h]) > 0`,
		`max_over_time(buildbridge_status_posts_total{code="502"}[1h]) > 0`,
		`max_over_time(buildbridge_status_posts_total{code="404"}[1h]) > 0`,
		`max_over_time(buildbridge_statuses_waiting{source="gitea"}[1h]) > 0`,
	} {
		if got, err := o.query(t.Context(), expr, o.span, true); err != nil || len(got) == 0 {
			t.Errorf("did not happen (%v): %s", err, expr)
		}
	}
}

// alerts checks that the alerts are evaluated without a fault, on metrics that exist, and
// that links lead to their sections of the runbook, or to pages that there are.
func (o *observed) alerts(t *testing.T, pages *prometheus) {
	var answer struct {
		Groups []struct {
			Rules []struct {
				Name, Query, Health, LastError, Type string
				Annotations                          map[string]string
			}
		}
	}
	if err := o.ask(t.Context(), "rules", nil, &answer); err != nil {
		t.Fatal(err)
	}
	var recorded, runbook []string
	for _, g := range answer.Groups {
		for _, r := range g.Rules {
			if r.Type == "recording" {
				recorded = append(recorded, r.Name)
			} else {
				runbook = append(runbook, r.Annotations["runbook_url"])
			}
		}
	}
	for _, g := range answer.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" || r.LastError != "" {
				t.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
			}
			if _, err := o.query(t.Context(), r.Query, o.span, true); err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
			o.exist(t, r.Query, recorded...)
		}
	}
	if len(runbook) == 0 {
		t.Fatalf("%s has no alerts", alerts)
	}
	for _, d := range loadDashboards(t) {
		for _, p := range d.Panels {
			for _, link := range p.Links {
				if page, ok := strings.CutPrefix(link.URL, "${pages:raw}"); ok {
					if _, err := pages.fetch(t.Context(), "/"+page, nil); err != nil {
						t.Errorf("%s: %v", p.Title, err)
					}
				} else if !slices.Contains(runbook, link.URL) {
					t.Errorf("%s: no alert has the section %s of the runbook", p.Title, link.URL)
				}
			}
		}
	}
}

// exist checks that every metric in an expression is in /metrics, or made by Prometheus.
func (o *observed) exist(t *testing.T, expr string, recorded ...string) {
	t.Helper()
	names, err := o.metricsIn(t.Context(), expr)
	if err != nil || len(names) == 0 {
		t.Errorf("no metric in it (%v): %s", err, expr)
	}
	for _, name := range names {
		_, ok := o.families[name]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base, _ := strings.CutSuffix(name, suffix)
			if f := o.families[base]; f != nil && (f.kind == "histogram" || f.kind == "summary") {
				ok = true
			}
		}
		if !ok && name != "up" && !strings.HasPrefix(name, "scrape_") && !strings.HasPrefix(name, "ALERTS") && !slices.Contains(recorded, name) {
			t.Errorf("%s is not in /metrics: %s", name, expr)
		}
	}
}

// choose chooses all values of all variables, as the dashboard does when it is
// opened. Each variable has to have values.
func (o *observed) choose(t *testing.T, d *dashboard) (all map[string][]string) {
	t.Helper()
	clear(o.chosen)
	all = map[string][]string{}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		m := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Definition)
		if m == nil {
			t.Fatalf("variable %s: %s", v.Name, v.Definition)
		}
		o.exist(t, substitute(m[1], o.chosen, o.span))
		values, err := o.values(t.Context(), m[2], substitute(m[1], o.chosen, o.span))
		// Prometheus on a plain machine has no labels for these.
		if label := m[2]; err != nil || len(values) == 0 && label != "cluster" && label != "namespace" {
			t.Fatalf("variable %s: %q, %v", v.Name, values, err)
		}
		if len(values) > 0 {
			all[v.Name] = values
		}
		o.chosen[v.Name] = v.AllValue
		if v.AllValue == "" {
			o.chosen[v.Name] = choose(slices.Clone(values)...)
		}
	}
	return all
}

// dashboard runs the queries of each panel and annotation: for all values, with which each
// must return something, and for one value of each variable at a time.
func (o *observed) dashboard(t *testing.T, d *dashboard) {
	all := o.choose(t, d)
	for _, a := range d.Annotations.List {
		if a.Expr == "" {
			continue // Grafana's own
		}
		expr := substitute(a.Expr, o.chosen, o.span)
		o.exist(t, expr)
		if got, err := o.query(t.Context(), expr, o.span, false); err != nil || len(got) == 0 {
			t.Errorf("annotation %s gives %d series, %v: %s", a.Name, len(got), err, expr)
		}
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			expr := substitute(q.Expr, o.chosen, o.span)
			o.exist(t, expr)
			got, err := o.query(t.Context(), expr, o.span, q.Instant)
			if err != nil || !hasValue(got) {
				t.Errorf("%s gives %d series, %v: %s", p.Title, len(got), err, expr)
			}
			if q.Exemplar {
				if err := o.exemplars(t.Context(), expr, o.span); err != nil {
					t.Errorf("exemplars of %s: %v", p.Title, err)
				}
			}
			for name, values := range all {
				one := maps.Clone(o.chosen)
				one[name] = choose(values[0])
				if _, err := o.query(t.Context(), substitute(q.Expr, one, o.span), o.span, q.Instant); err != nil {
					t.Errorf("%s of %s %s: %v", p.Title, name, values[0], err)
				}
			}
		}
	}
}

// hasValue reports whether there is a value to show.
func hasValue(list []series) bool {
	for _, s := range list {
		for _, p := range s.Points {
			if p.value == p.value { // not NaN
				return true
			}
		}
	}
	return false
}

// documented checks that the table of the documentation has our metrics with their labels,
// and no others.
func (o *observed) documented(t *testing.T) {
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(buildbridge_\\w+)` \\|([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		there[row[1]] = strings.TrimSpace(row[2])
	}
	for name, family := range o.families {
		if !strings.HasPrefix(name, "buildbridge_") {
			continue
		}
		labels := slices.Clone(family.labels)
		documented, ok := there[name]
		delete(there, name)
		got := strings.FieldsFunc(documented, func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(labels)
		slices.Sort(got)
		if !ok || !slices.Equal(labels, got) {
			t.Errorf("%s has the labels %q; in the table, %t: %q", name, labels, ok, got)
		}
	}
	for name := range there {
		t.Errorf("%s is documented, and is not in /metrics", name)
	}
}
