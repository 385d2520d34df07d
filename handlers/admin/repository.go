package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"buildbridge/mapping"
)

// RepositoryDetail is what is known of a repository.
type RepositoryDetail struct {
	Name    string   // as its host spells it, or the rules, or who asked
	Sources []string // those for whose events some rule names it, or names every repository

	Rules      RulePage // that name it, or every repository, in the order of the files
	Deliveries []Delivery
	Builds     []Build // both the newest, at most 20
	Missed     []Missed
	Pauses     []Pause // those of the repository, and of everything
}

// fewOfRepository is how many deliveries, builds and missed pushes are given.
const fewOfRepository = "20"

// ShowRepository gives what is known of a repository, whose case does not count. after is the Next of
// an earlier page of its rules, or "".
func (a *API) ShowRepository(ctx context.Context, name, after string) (detail RepositoryDetail, err error) {
	force, err := a.inForce()
	if err != nil {
		return detail, err
	}
	query := url.Values{"repository": {name}, "limit": {"100"}}
	if after != "" {
		query.Set("after", after)
	}
	if detail.Rules, err = a.ListRulesNow(ctx, query); err != nil {
		return detail, err
	}
	spellings, err := a.spellings(ctx, force.Rules, name)
	if err != nil {
		return detail, err
	}
	detail.Name = spellings[len(spellings)-1]
	for _, spelling := range spellings {
		query := url.Values{"repository": {spelling}, "limit": {fewOfRepository}}
		builds, err := a.ListBuilds(ctx, query)
		if err != nil {
			return detail, err
		}
		deliveries, err := a.ListDeliveries(ctx, query)
		if err != nil {
			return detail, err
		}
		if len(deliveries.Deliveries) > 0 {
			detail.Name = spelling
		}
		detail.Builds = append(detail.Builds, builds.Builds...)
		detail.Deliveries = append(detail.Deliveries, deliveries.Deliveries...)
	}
	newest := func(x, y time.Time) int { return y.Compare(x) }
	slices.SortStableFunc(detail.Builds, func(x, y Build) int { return newest(x.ReceivedAt, y.ReceivedAt) })
	slices.SortStableFunc(detail.Deliveries, func(x, y Delivery) int { return newest(x.ReceivedAt, y.ReceivedAt) })
	detail.Builds = detail.Builds[:min(len(detail.Builds), 20)]
	detail.Deliveries = detail.Deliveries[:min(len(detail.Deliveries), 20)]
	missed, err := a.ListMissed(ctx, url.Values{"repository": {strings.ToLower(name)}, "limit": {fewOfRepository}})
	if err != nil {
		return detail, err
	}
	detail.Missed = missed.Missed
	if len(detail.Builds)+len(detail.Deliveries)+len(detail.Missed) == 0 && len(spellings) == 1 && !namesSome(detail.Rules.Rules.Rules) {
		return detail, fail(http.StatusNotFound,
			"no rule names the repository %q, and nothing that came from it is kept; a part of its name finds it by the search", name)
	}
	for _, source := range force.Rules.Sources() {
		if force.Rules.NamesRepository(source.Name, name) {
			detail.Sources = append(detail.Sources, source.Name)
		}
	}
	pauses, err := a.allPauses(ctx)
	for _, p := range pauses {
		if p.Holds("", "", name) {
			detail.Pauses = append(detail.Pauses, newPause(p))
		}
	}
	return detail, err
}

// namesSome says whether one of the rules names repositories.
func namesSome(rules []Rule) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return len(r.Repositories) > 0 })
}

// spellings are those of the name of a repository: first the one that was given, then those of the rules
// and of catch-up. Rows have it as its host spells it.
func (a *API) spellings(ctx context.Context, rules *mapping.Ruleset, given string) ([]string, error) {
	followed, err := a.Store.RepositoriesLike(ctx, given, fewSpellings)
	if err != nil {
		return nil, storeError("repository", given, err)
	}
	all := []string{given}
	for _, name := range append(rules.NamedRepositories(""), followed...) {
		if strings.EqualFold(name, given) && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all[:min(len(all), fewSpellings)], nil
}

const fewSpellings = 5
