package pages

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

const (
	rulesOnPage = "100"
	rulesBytes  = 80_000 // of HTML of the rules on their page
	maxNames    = 3      // names in a cell
	maxValues   = 20     // values of a field on the page of a rule, and jobs
	maxRuleText = 30_000 // bytes of HTML of the text of a rule on its page
	maxFields   = 30_000 // and of all of its fields
)

// ruleRow is a rule in a table.
type ruleRow struct {
	mapping.Description

	Repositories, Targets string
	Paused                []admin.Pause
	Last                  *admin.Ended
	Dead                  *admin.Build // the newest build, if it is dead
}

// ruleRows are the rows of a page of rules that begins after so many, as many as fit into so many bytes of
// HTML, with the Next of the page.
func ruleRows(p admin.RulePage, after string, most int) (rows []ruleRow, next string) {
	for i := range p.Rules.Rules {
		d := p.Rules.Rules[i].Description
		var targets []string
		for _, j := range d.Jobs {
			if !slices.Contains(targets, j.Target) {
				targets = append(targets, j.Target)
			}
		}
		row := ruleRow{Description: d, Repositories: few(d.Repositories), Targets: few(targets), Paused: p.Pauses[d.Name]}
		if last, ok := p.Last[d.Name]; ok {
			row.Last = &last
		}
		if dead, ok := p.Dead[d.Name]; ok {
			row.Dead = &dead
		}
		if most -= row.size(); most < 0 && i > 0 {
			from, _ := strconv.Atoi(after) // it was checked; 0 for ""
			return rows, strconv.Itoa(from + i)
		}
		rows = append(rows, row)
	}
	return rows, p.Next
}

// size is about how many bytes of HTML a row takes.
func (r *ruleRow) size() int {
	n := 800 + size(line(r.Name)) + 2*len(url.PathEscape(r.Name)) + size(line(r.Description.Description)) +
		size(r.Owner) + len(url.QueryEscape(r.Owner)) + size(r.Repositories) + size(r.Targets)
	for i := range r.Paused {
		n += 200 + size(line(r.Paused[i].Name)) + size(line(r.Paused[i].Reason)) + size(r.Paused[i].Actor)
	}
	return n
}

// few are the first of some names, and how many more there are; "any" for none.
func few(names []string) string {
	if len(names) == 0 {
		return "any"
	}
	shown := make([]string, min(len(names), maxNames))
	for i := range shown {
		shown[i] = line(names[i])
	}
	text := strings.Join(shown, ", ")
	if more := len(names) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// rules is the list of the rules in force.
func (p *pages) rules(c echo.Context) (page, error) {
	query := filters(c)
	query.Set("limit", rulesOnPage)
	list, err := p.API.ListRulesNow(c.Request().Context(), query)
	rows, next := ruleRows(list, query.Get("after"), rulesBytes)
	return listPage("rules", "Rules", struct {
		admin.RulePage

		Rows []ruleRow
		Next string
	}{list, rows, next}, err)
}

// field of a rule, with its values.
type ruleField struct {
	Name   string
	Values []string
	More   int // values that are not shown
}

// newRuleField takes from left as many bytes as it needs in HTML, and shows no more than there are.
func newRuleField(name string, values []string, left *int) ruleField {
	f := ruleField{Name: name}
	for _, value := range values[:min(len(values), maxValues)] {
		value = plain(value)
		if *left -= size(value); *left < 0 {
			break
		}
		f.Values = append(f.Values, value)
	}
	f.More = len(values) - len(f.Values)
	return f
}

// ruleJob is a job of a rule, with what it asks for and is given.
type ruleJob struct {
	mapping.JobDescription

	Fields []ruleField
}

// ruleView is the page of a rule.
type ruleView struct {
	admin.RuleDetail

	Name   string
	Rule   *mapping.Description // nil if it is not in force
	Fields []ruleField          // sources, repositories, when, if, …
	Jobs   []ruleJob
	More   int // jobs that are not shown

	Written *mapping.Written // with a text that was cut
	Cut     bool

	Dead              int // of the last builds
	Bars              bars
	Counts            []ruleCount
	Rate, Median, P95 string // "" if it is not known
	Dashboard         string
	Deliveries        []string // ids, of the builds
}

type ruleCount struct {
	Result store.Result
	Builds int
}

// rule is the page of a rule, also of one that is not in force any more.
func (p *pages) rule(c echo.Context) (page, error) {
	name, err := nameIn(c)
	if err != nil {
		return page{}, err
	}
	detail, err := p.API.ShowRule(c.Request().Context(), name)
	if err != nil {
		return page{}, err
	}
	v := ruleView{
		RuleDetail: detail, Name: name, Bars: newBars(detail.Statistics.Last),
		Dashboard: p.Links.DashboardOf("buildbridge-rules", url.Values{"var-rule": {name}}),
	}
	for i := range detail.Builds {
		if b := &detail.Builds[i]; b.State == store.Dead && !b.Canceled() {
			v.Dead++
		}
	}
	s := detail.Statistics
	for _, r := range store.Results() {
		if n := s.Results[r]; n > 0 {
			v.Counts = append(v.Counts, ruleCount{r, n})
		}
	}
	if s.SuccessRate != nil {
		v.Rate = percent(*s.SuccessRate)
	}
	v.Median, v.P95 = lasted(s.MedianSeconds), lasted(s.P95Seconds)
	for i := range detail.Builds {
		if id := detail.Builds[i].Delivery; !slices.Contains(v.Deliveries, id) {
			v.Deliveries = append(v.Deliveries, id)
		}
	}
	if detail.Rule != nil {
		v.describe(detail.Rule)
	}
	return page{"rule", "Rule " + line(name), v}, nil
}

// nameIn is the name that ends the path of a request, see escaped.
func nameIn(c echo.Context) (string, error) {
	name, err := url.PathUnescape(strings.TrimPrefix(c.Request().URL.EscapedPath(), strings.TrimSuffix(c.Path(), "*")))
	if err != nil || name == "" {
		return "", echo.ErrNotFound
	}
	return name, nil
}

// percent never says that all succeeded, or none, if some did not.
func percent(rate float64) string {
	text := fmt.Sprintf("%.0f %%", rate*100)
	if rate < 1 && text == "100 %" || rate > 0 && text == "0 %" {
		text = fmt.Sprintf("%.2f %%", rate*100)
	}
	if rate < 1 && text == "100.00 %" {
		return "99.99 %"
	}
	return text
}

// describe fills in what the rule is.
func (v *ruleView) describe(r *admin.Rule) {
	d := &r.Description
	v.Rule = d
	left := maxFields
	add := func(to *[]ruleField, name string, values ...string) {
		if len(values) > 0 && values[0] != "" {
			*to = append(*to, newRuleField(name, values, &left))
		}
	}
	add(&v.Fields, "sources", orAny(d.Sources)...)
	add(&v.Fields, "repositories", orAny(d.Repositories)...)
	for _, kind := range []mapping.Kind{mapping.Push, mapping.Tag} {
		fields, ok := d.When[kind]
		if ok && len(fields) == 0 {
			add(&v.Fields, "when "+string(kind), "any")
		}
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			add(&v.Fields, "when "+string(kind)+": "+field, fields[field]...)
		}
	}
	add(&v.Fields, "if", d.If)
	add(&v.Fields, "replace", string(d.Replace))
	if d.MaxRunning > 0 {
		add(&v.Fields, "max_running", fmt.Sprint(d.MaxRunning))
	}
	add(&v.Fields, "settle", d.Settle)
	if d.Once {
		add(&v.Fields, "once", "commit")
	}
	add(&v.Fields, "reports to", d.Reports...)
	v.More = max(0, len(d.Jobs)-maxValues)
	for _, j := range d.Jobs[:len(d.Jobs)-v.More] {
		job := ruleJob{JobDescription: j}
		parameters := make([]string, len(j.Parameters))
		for i, parameter := range j.Parameters {
			parameters[i] = parameter.Name + ": " + parameter.Value
		}
		name := "parameters"
		if j.Action == mapping.ActionPipeline {
			name = "variables"
			add(&job.Fields, "project_id", j.ProjectID)
		}
		add(&job.Fields, name, parameters...)
		add(&job.Fields, "choose_stages", j.Stages...)
		sources := make([]string, len(j.Sources))
		for i, source := range j.Sources {
			sources[i] = source.String()
		}
		add(&job.Fields, "sources", sources...)
		if j.PinCommit {
			add(&job.Fields, "pin_commit", "true")
		}
		add(&job.Fields, "marker", j.Marker)
		add(&job.Fields, "scm", j.Source)
		if j.BuildType {
			add(&job.Fields, "build_type", "auto")
		}
		add(&job.Fields, "paths", j.Paths...)
		add(&job.Fields, "paths_ignore", j.PathsIgnore...)
		add(&job.Fields, "unknown_paths", j.UnknownPaths)
		add(&job.Fields, "if", j.If)
		add(&job.Fields, "statuses", j.Contexts...)
		v.Jobs = append(v.Jobs, job)
	}
	if w := r.Written; w != nil && w.Text != "" {
		shown := *w
		shown.Text, v.Cut = cutLines(w.Text, maxRuleText)
		shown.Entry, _ = cutLines(w.Entry, maxRuleText/4)
		v.Written = &shown
	}
}

func orAny(values []string) []string {
	if len(values) == 0 {
		return []string{"any"}
	}
	return values
}

// cutLines is the beginning of a text of several lines, of most bytes of HTML at most, with nothing in it
// that does not print. A long line is cut too.
func cutLines(text string, most int) (shown string, cut bool) {
	var lines []string
	for whole := range strings.SplitSeq(text, "\n") {
		l := printable.Text(printable.Clip(whole, most/10))
		if most -= size(l) + 1; most < 0 {
			return strings.Join(lines, "\n"), true
		}
		cut = cut || len(whole) > len(l)
		lines = append(lines, l)
	}
	return strings.Join(lines, "\n"), cut
}

// ruleText sends the whole text of a rule, as it is in its file.
func (p *pages) ruleText(c echo.Context) error {
	name, err := nameIn(c)
	if err != nil {
		return err
	}
	detail, err := p.API.ListRules(c.Request().Context(), url.Values{"name": {name}})
	if err != nil {
		return err
	}
	if len(detail.Rules) == 0 || detail.Rules[0].Written == nil {
		return echo.ErrNotFound
	}
	return c.Blob(http.StatusOK, "text/plain; charset=utf-8", []byte(detail.Rules[0].Written.Text+"\n"))
}
