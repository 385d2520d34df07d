package observe

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const dashboards = "../../../../charts/buildbridge/dashboards"

var update = flag.Bool("update", false, "rewrite the dashboards in the form that git keeps, after an export from Grafana")

// dashboard is the part of Grafana's classic JSON that is used.
type dashboard struct {
	UID, Title, Description string
	SchemaVersion           int
	Tags                    []string
	Links                   []struct {
		Type, Title, URL string
		Tags             []string
		IncludeVars      bool
	}
	Annotations struct{ List []annotation }
	Templating  struct{ List []variable }
	Panels      []panel
}

type annotation struct {
	Name, Type, Expr, IconColor string
	UseValueForTime             bool
}

type variable struct {
	Name, Label, Type, Definition, AllValue, Description string
	IncludeAll, Multi                                    bool
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ H, W, X, Y int }
	Datasource               struct{ UID string }
	Links                    []struct{ URL string }
	FieldConfig              struct {
		Defaults  field
		Overrides []struct {
			Matcher    struct{ ID, Options string }
			Properties []struct {
				ID    string
				Value json.RawMessage
			}
		}
	}
	Options struct {
		Legend        struct{ Calcs []string }
		ColorMode     string
		TextMode      string
		ReduceOptions struct{ Calcs []string }
		SortBy        []struct {
			Desc        bool
			DisplayName string
		}
		Tooltip struct{ Mode, Sort string }
	}
	Targets         []target
	Transformations []struct {
		ID      string
		Options struct {
			IndexByName  map[string]int
			RenameByName map[string]string
		}
	}
}

// field says how to show values.
type field struct {
	Unit, NoValue string
	Color         struct{ Mode string }
	Decimals      *int
	Max           *float64
	Mappings      []mapped
	Thresholds    struct{ Steps []step }
	Custom        struct {
		FillOpacity     int
		LineWidth       int
		Stacking        struct{ Mode string }
		ThresholdsStyle struct{ Mode string }
		// Type is "log" for a logarithmic axis.
		ScaleDistribution struct{ Type string }
	}
}

type step struct {
	Color string
	Value *float64
}

// mapped returns values a text and a color: by the value, or to what is no number.
type mapped struct {
	Type    string
	Options map[string]json.RawMessage
}

type target struct {
	Expr, LegendFormat, Format, RefID string
	Instant, Exemplar                 bool
	Datasource                        struct{ UID string }
}

// isRow reports whether it is only a heading.
func (p *panel) isRow() bool { return p.Type == "row" }

func loadDashboards(t *testing.T) map[string]*dashboard {
	t.Helper()
	all := map[string]*dashboard{}
	for _, name := range []string{"overview", "rules", "runtime"} {
		text, err := os.ReadFile(filepath.Join(dashboards, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		d := &dashboard{}
		if err := json.Unmarshal(text, d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = d
	}
	return all
}

// substitute replaces variables as Grafana does for Prometheus.
func substitute(expr string, chosen map[string]string, s span) string {
	rate := max(s.step+s.scrape, 4*s.scrape)
	seconds := func(d time.Duration) string { return fmt.Sprintf("%ds", int(d.Seconds())) }
	replace := []string{"$__rate_interval", seconds(rate), "$__range", seconds(s.to.Sub(s.from)), "$__interval", seconds(s.step)}
	for name, value := range chosen {
		replace = append(replace, "$"+name, value)
	}
	return strings.NewReplacer(replace...).Replace(expr)
}

// choose is what Grafana puts in the place of a variable of which several values
// are chosen: a regular expression, in a string of PromQL.
func choose(values ...string) string {
	for i, v := range values {
		values[i] = strings.ReplaceAll(regexp.QuoteMeta(v), `\`, `\\`)
	}
	if len(values) == 1 {
		return values[0]
	}
	return "(" + strings.Join(values, "|") + ")"
}

// What git keeps is sorted and indented, as Grafana exports it, so that a
// change that was made there is a small difference.
func TestDashboardsAreKeptReadable(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(dashboards, "*.json"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%q, %v: want three dashboards", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		var tree any
		if err := decoder.Decode(&tree); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var want bytes.Buffer
		encoder := json.NewEncoder(&want)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(tree); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if diff := cmp.Diff(want.String(), string(text)); diff != "" {
			t.Errorf("%s: run go test ./cmd/internal/e2e/observe -update (-want +got):\n%s", file, diff)
		}
	}
}

func TestDashboards(t *testing.T) {
	titles := map[string]string{} // no two panels say the same
	for name, d := range loadDashboards(t) {
		t.Run(name, func(t *testing.T) {
			if d.UID != "buildbridge-"+name || d.Title == "" || d.Description == "" || d.SchemaVersion != 39 {
				t.Errorf("uid %q, title %q, description %q, schemaVersion %d", d.UID, d.Title, d.Description, d.SchemaVersion)
			}
			if !slices.Contains(d.Tags, "buildbridge") {
				t.Error("it lacks the tag by which the dashboards link to each other")
			}
			var others, runbook, pages bool
			for _, link := range d.Links {
				others = others || link.Type == "dashboards" && slices.Equal(link.Tags, []string{"buildbridge"}) && link.IncludeVars
				runbook = runbook || strings.HasSuffix(link.URL, "/docs/runbook.md")
				pages = pages || link.URL == "${pages:raw}"
			}
			if !others || !runbook || !pages {
				t.Error("a link to the other dashboards, to the runbook or to the pages is missing")
			}
			checkVariables(t, d)
			taken := map[[2]int]string{}
			ids := map[int]bool{}
			for i := range d.Panels {
				p := &d.Panels[i]
				if ids[p.ID] {
					t.Errorf("%s: id %d is not its own", p.Title, p.ID)
				}
				ids[p.ID] = true
				over := map[string]bool{}
				for x := range p.GridPos.W {
					for y := range p.GridPos.H {
						at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
						if at[0] >= 24 {
							over["the edge"] = true
						} else if taken[at] != "" {
							over[taken[at]] = true
						}
						taken[at] = p.Title
					}
				}
				if len(over) > 0 {
					t.Errorf("%s is over %q", p.Title, slices.Sorted(maps.Keys(over)))
				}
				if !p.isRow() {
					checkPanel(t, p)
				}
				if titles[p.Title] != "" {
					t.Errorf("%q is in %s too", p.Title, titles[p.Title])
				}
				titles[p.Title] = name
			}
		})
	}
}

func checkPanel(t *testing.T, p *panel) {
	t.Helper()
	if p.Title == "" || !strings.HasSuffix(p.Description, ".") || p.FieldConfig.Defaults.Unit == "" {
		t.Errorf("panel %d, %q: a title, a description in sentences and a unit are wanted", p.ID, p.Title)
	}
	if len(p.Targets) == 0 {
		t.Errorf("%s asks nothing", p.Title)
	}
	for _, q := range p.Targets {
		if p.Datasource.UID != "${datasource}" || q.Datasource.UID != "${datasource}" {
			t.Errorf("%s: its data source is not the variable", p.Title)
		}
		// Alerts are of no instance, and one that says that nothing is there is of no job.
		if !strings.Contains(q.Expr, `cluster=~"$cluster", namespace=~"$namespace", job=~"$job", instance=~"$instance"`) &&
			!strings.Contains(q.Expr, `cluster=~"$cluster|", namespace=~"$namespace|", job=~"$job|"`) {
			t.Errorf("%s: not of the jobs and instances chosen: %s", p.Title, q.Expr)
		}
		// Installations in two namespaces do not hide each other.
		for _, by := range regexp.MustCompile(`\b(?:by|on) \([^)]*\bjob\b[^)]*\)`).FindAllString(q.Expr, -1) {
			if !strings.Contains(by, "cluster, namespace, job") {
				t.Errorf("%s: %s lacks cluster and namespace: %s", p.Title, by, q.Expr)
			}
		}
		if regexp.MustCompile(`(queue_builds|queue_held_builds|builds_running|statuses_waiting|database_bytes|database_free_bytes|rules_loaded|paused)\{`).MatchString(q.Expr) && !regexp.MustCompile(`by \((cluster, namespace, job\b|instance\))`).MatchString(q.Expr) {
			t.Errorf("%s: not by namespace and job: %s", p.Title, q.Expr)
		}
		for _, window := range regexp.MustCompile(`\[([^]]*)\]`).FindAllStringSubmatch(q.Expr, -1) {
			want := "$__rate_interval"
			if q.Instant {
				want = "$__range"
			}
			if strings.Contains(strings.ToLower(p.Title), "error budget") {
				want = window[1] // the objective has windows of its own
			}
			if window[1] != want {
				t.Errorf("%s: over [%s], want [%s]", p.Title, window[1], want)
			}
		}
	}
	if _, color, ok := mappedTo(p.FieldConfig.Defaults.Mappings, math.NaN()); p.Type == "stat" && strings.Contains(p.Targets[0].Expr, ") / ") && (!ok || color != "text") {
		t.Errorf("%s: quiet hours, in which there is nothing to divide by, have no text of their own", p.Title)
	}
	for _, o := range p.Transformations {
		if label := "rule"; p.Type == "table" && o.Options.RenameByName[label] != "" && !p.leadsToRule(o.Options.RenameByName[label]) {
			t.Errorf("%s: its column of rules does not lead to the dashboard and to the page of a rule", p.Title)
		}
	}
	if p.Type == "timeseries" {
		if mode := p.FieldConfig.Defaults.Color.Mode; mode != "palette-classic-by-name" {
			t.Errorf("%s: colors by %s: a name has one color in all panels by its name", p.Title, mode)
		}
		// Some milliseconds and some minutes are seen beside each other.
		quantile := strings.HasPrefix(p.Targets[0].Expr, "histogram_quantile")
		if log := p.FieldConfig.Defaults.Custom.ScaleDistribution.Type == "log"; log != quantile {
			t.Errorf("%s: logarithmic: %v, want %v", p.Title, log, quantile)
		}
		if o := p.Options; len(o.Legend.Calcs) == 0 || o.Tooltip.Mode != "multi" || o.Tooltip.Sort != "desc" {
			t.Errorf("%s: its legend has no figures, or its tooltip does not sort", p.Title)
		}
		for _, q := range p.Targets {
			if q.LegendFormat == "" {
				t.Errorf("%s: %s has no legend", p.Title, q.Expr)
			}
		}
	}
}

// leadsToRule reports whether the cells of a column lead to the dashboard of rules, with that
// rule, and to its page.
func (p *panel) leadsToRule(column string) bool {
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if o.Matcher.Options == column && property.ID == "links" {
				return bytes.Contains(property.Value, []byte("/d/buildbridge-rules?")) && bytes.Contains(property.Value, []byte("&var-rule=${__value.text}")) &&
					bytes.Contains(property.Value, []byte(`"${pages:raw}rules/${__value.text}"`))
			}
		}
	}
	return false
}

// checkVariables checks that each variable is used, and that each used one is defined.
func checkVariables(t *testing.T, d *dashboard) {
	t.Helper()
	var used []string
	use := func(text string) {
		for _, m := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(m[1], "__") && !slices.Contains(used, m[1]) {
				used = append(used, m[1])
			}
		}
	}
	for _, link := range d.Links {
		use(link.URL)
	}
	for _, p := range d.Panels {
		use(p.Datasource.UID)
		for _, q := range p.Targets {
			use(q.Expr)
		}
	}
	var there []string
	for _, v := range d.Templating.List {
		there = append(there, v.Name)
		if v.Description == "" || v.Type == "query" && (!v.IncludeAll || !v.Multi) {
			t.Errorf("variable %s: it is to be described, and to take several values or all", v.Name)
		}
	}
	slices.Sort(used)
	slices.Sort(there)
	if diff := cmp.Diff(used, there); diff != "" {
		t.Errorf("variables (-used +there):\n%s", diff)
	}
}
