package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// RulesInForce are the rules that one process serves, and how they came. It must not change
// after it was given.
type RulesInForce struct {
	Rules    *mapping.Ruleset
	LoadedAt time.Time
	Before   string          // the digest of the rules before the last reload; "" if there was none since the start
	Change   *mapping.Change // what that reload changed; nil if there was none
	Failed   *FailedReload   // nil if the last load succeeded
}

// Rules are the rules in force of one process.
type Rules struct {
	Digest   string    `json:"digest"`    // of all rules, sources and targets
	LoadedAt time.Time `json:"loaded_at"` // by the start, or by the last reload that succeeded

	DigestBefore string          `json:"digest_before,omitempty"` // of the rules before that reload
	Changed      *mapping.Change `json:"changed,omitempty"`       // what that reload changed
	Failed       *FailedReload   `json:"failed,omitempty"`        // the last reload, if it failed: the files are not in force

	Total int    `json:"total"`           // rules there are
	Found int    `json:"found,omitempty"` // of a page: the rules that fit the filters
	Rules []Rule `json:"rules"`           // those that were asked for, in the order of the files
	Next  string `json:"next,omitempty"`  // of a page: for after; "" on the last page
}

// Rule is a rule in force. The answer to the name of one has all of it.
type Rule struct {
	mapping.Description

	Written    *mapping.Written `json:"written,omitempty"`
	Statistics *Statistics      `json:"statistics,omitempty"`
}

// Statistics say how the builds of a rule ended lately.
type Statistics struct {
	Since   time.Time            `json:"since"`          // of the counts: a week ago, or the oldest end that is counted
	Builds  int                  `json:"builds"`         // that ended since then, at most 5000
	More    bool                 `json:"more,omitempty"` // more ended in the week: the newest are counted
	Results map[store.Result]int `json:"results"`        // those that there are
	// SuccessRate is which part succeeded, of those that succeeded, failed or took too long: from 0 to 1.
	SuccessRate *float64 `json:"success_rate,omitempty"`
	// From their starts to their ends; 0 if that is not known. Lost builds do not count.
	MedianSeconds float64 `json:"median_s"`
	P95Seconds    float64 `json:"p95_s"`

	Last []Ended `json:"last"` // the newest ends, whenever they were, at most 50
}

// Ended is the end of a build.
type Ended struct {
	ID          string       `json:"id"`
	Result      store.Result `json:"result"`
	Ref         string       `json:"ref"`
	BuildNumber string       `json:"build_number,omitempty"`
	StartedAt   time.Time    `json:"started_at,omitzero"`
	EndedAt     time.Time    `json:"ended_at"`
	Seconds     float64      `json:"took_s"` // from its start; 0 if that is not known
}

// FailedReload is a reload that failed: the rules before it stay in force.
type FailedReload struct {
	At     time.Time `json:"at"`
	Faults int       `json:"faults"` // how many there are
	First  string    `json:"first"`  // the first of them
}

func newEnded(e store.Ended) Ended {
	return Ended{
		ID: e.ID, Result: e.Result, Ref: e.Ref, BuildNumber: e.BuildNumber,
		StartedAt: e.StartedAt, EndedAt: e.EndedAt, Seconds: e.Took().Seconds(),
	}
}

func (a *API) listRules(c echo.Context) error { return list(c, a.ListRules) }

// ListRules gives the rules in force that a query of GET /api/v1/rules selects.
func (a *API) ListRules(ctx context.Context, query url.Values) (page Rules, err error) {
	var (
		f          mapping.RuleFilter
		most, from int
	)
	if err := (parameters{
		"repository": text(&f.Repository),
		"name":       text(&f.Name),
		"owner":      text(&f.Owner),
		"text":       text(&f.Text),
		"limit":      limit(&most),
		"after":      position(&from),
	}).take(query); err != nil {
		return page, err
	}
	force, err := a.inForce()
	if err != nil {
		return page, err
	}
	page = Rules{
		Digest: force.Rules.Digest(), LoadedAt: force.LoadedAt.UTC(), DigestBefore: force.Before, Changed: force.Change, Failed: force.Failed,
		Total: force.Rules.Len(), Rules: []Rule{},
	}
	found := force.Rules.Find(f)
	shown := found[min(from, len(found)):]
	if most > 0 {
		page.Found = len(found)
		if len(shown) > most {
			shown, page.Next = shown[:most], strconv.Itoa(from+most)
		}
	}
	for _, i := range shown {
		page.Rules = append(page.Rules, Rule{Description: force.Rules.DescribeRule(i)})
	}
	if f.Name != "" && len(page.Rules) == 1 {
		written, _ := force.Rules.Written(f.Name)
		page.Rules[0].Written = &written
		page.Rules[0].Statistics, err = a.statistics(ctx, f.Name)
	}
	return page, err
}

// position is where a page of rules begins: how many of those that fit are before it.
func position(to *int) func(string) error {
	return func(value string) (err error) {
		if *to, err = strconv.Atoi(value); err != nil || *to < 0 {
			return fmt.Errorf("%q is not the next of an earlier page", value)
		}
		return nil
	}
}

// inForce gives the rules in force.
func (a *API) inForce() (*RulesInForce, error) {
	if a.Rules == nil {
		return nil, fail(http.StatusNotFound, "this process does not show its rules")
	}
	return a.Rules(), nil
}

const (
	statisticsOver = 7 * 24 * time.Hour
	lastEnds       = 50
)

// statistics of the builds of a rule, which need not be in force.
func (a *API) statistics(ctx context.Context, rule string) (*Statistics, error) {
	sum, err := a.Store.Summary(ctx, rule, time.Now().Add(-statisticsOver))
	if err != nil {
		return nil, storeError("rule", rule, err)
	}
	last, err := a.Store.Ended(ctx, rule, lastEnds)
	if err != nil {
		return nil, storeError("rule", rule, err)
	}
	s := &Statistics{
		Since: sum.Since.UTC().Truncate(time.Second), Builds: sum.Builds, More: sum.More, Results: sum.Results,
		MedianSeconds: sum.Median.Seconds(), P95Seconds: sum.P95.Seconds(), Last: shown(last, newEnded),
	}
	if rate, ok := sum.Rate(); ok {
		s.SuccessRate = &rate
	}
	return s, nil
}

// RuleDetail is what is known of a rule.
type RuleDetail struct {
	Rule *Rule // nil if no rule in force has the name

	Statistics *Statistics
	Pauses     []Pause // all that hold builds of the rule
	Builds     []Build // the newest, at most 20
}

// ShowRule gives what is known of a rule. One that is not in force any more may have builds.
func (a *API) ShowRule(ctx context.Context, name string) (detail RuleDetail, err error) {
	rules, err := a.ListRules(ctx, url.Values{"name": {name}})
	if err != nil {
		return detail, err
	}
	builds, err := a.ListBuilds(ctx, url.Values{"rule": {name}, "limit": {"20"}})
	if err != nil {
		return detail, err
	}
	detail.Builds = builds.Builds
	switch {
	case len(rules.Rules) > 0:
		detail.Rule, detail.Statistics = &rules.Rules[0], rules.Rules[0].Statistics
		pauses, err := a.allPauses(ctx)
		if err != nil {
			return detail, err
		}
		detail.Pauses = a.Rules().holding(pauses, &detail.Rule.Description)
	case len(detail.Builds) == 0:
		return detail, fail(http.StatusNotFound, "no rule is called %q, and no build of such a rule is kept; the page of rules finds names", name)
	default:
		detail.Statistics, err = a.statistics(ctx, name)
	}
	return detail, err
}

// allPauses are those that people asked for.
func (a *API) allPauses(ctx context.Context) ([]*store.Pause, error) {
	if a.Pauses == nil {
		return nil, nil
	}
	pauses, _, err := a.Pauses.Pauses(ctx)
	if err != nil {
		return nil, storeError("pause", "", err)
	}
	return pauses, nil
}

// holding gives the pauses that hold builds of a rule, and that of its file.
func (r *RulesInForce) holding(pauses []*store.Pause, rule *mapping.Description) (all []Pause) {
	for _, p := range pauses {
		holds := p.Kind == store.PauseRepository && len(r.Rules.Find(mapping.RuleFilter{Name: rule.Name, Repository: p.Name})) > 0 ||
			p.Holds("", rule.Name, "") || slices.ContainsFunc(rule.Jobs, func(j mapping.JobDescription) bool { return p.Holds(j.Target, "", "") })
		if holds {
			all = append(all, newPause(p))
		}
	}
	if rule.Paused != "" {
		all = append(all, Pause{Kind: store.PauseRule, Name: rule.Name, Reason: rule.Paused, InRules: true})
	}
	return all
}

// RulePage is a page of rules in force, with what a table shows of each.
type RulePage struct {
	Rules

	Pauses map[string][]Pause // what holds builds of a rule, by its name
	Last   map[string]Ended   // the newest end of its builds, by its name
	Dead   map[string]Build   // its newest build that is dead, and not canceled, if it is newer than that; of the newest 100 of all
}

// ListRulesNow is ListRules with what holds them and how their builds ended last.
func (a *API) ListRulesNow(ctx context.Context, query url.Values) (page RulePage, err error) {
	if page.Rules, err = a.ListRules(ctx, query); err != nil {
		return page, err
	}
	pauses, err := a.allPauses(ctx)
	if err != nil {
		return page, err
	}
	page.Pauses, page.Last = map[string][]Pause{}, map[string]Ended{}
	names := make([]string, len(page.Rules.Rules))
	force := a.Rules()
	for i := range page.Rules.Rules {
		d := &page.Rules.Rules[i].Description
		names[i] = d.Name
		if all := force.holding(pauses, d); len(all) > 0 {
			page.Pauses[d.Name] = all
		}
	}
	last, err := a.Store.LastEnded(ctx, names)
	if err != nil {
		return page, storeError("rule", "", err)
	}
	for rule, end := range last {
		page.Last[rule] = newEnded(end)
	}
	page.Dead = map[string]Build{}
	dead, _, err := a.Store.Builds(ctx, store.BuildFilter{State: string(store.Dead), Limit: 100})
	if err != nil {
		return page, storeError("rule", "", err)
	}
	for _, b := range dead {
		if _, newer := page.Dead[b.Rule]; !newer && !b.Canceled() && b.ID > page.Last[b.Rule].ID { // ids are in the order of time
			page.Dead[b.Rule] = newBuild(b)
		}
	}
	return page, nil
}
