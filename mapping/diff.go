package mapping

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// BuildChange is a build of an event that one set of rules makes and another does not, or makes
// in another way.
type BuildChange struct {
	Before *Build // nil if the build comes
	After  *Build // nil if it goes

	// Differs is what differs if there are both: at least one thing.
	Differs []Difference
}

// Difference is a field of a build with two values. A value is nil where there is none.
type Difference struct {
	// Field is rule, action, job_id, project_id, target, target.region, target.endpoint,
	// target.pipeline_endpoint, target.credentials, parameters.NAME, variables.NAME, dead,
	// build_type, scm, sources, choose_stages, marker, concurrency, once, context or paused.
	Field  string  `json:"field"`
	Before *string `json:"before"`
	After  *string `json:"after"`
}

// decided is a build, with what the set says of its rule and of its target.
type decided struct {
	*Build
	paused string  // why the rule is paused
	place  *Target // nil if the target is not known
}

func (rs *Ruleset) decided(builds []Build) []decided {
	list := make([]decided, len(builds))
	for i := range builds {
		list[i] = decided{&builds[i], rs.Paused(builds[i].Rule), rs.places[builds[i].Target]}
	}
	return list
}

// diffBuilds pairs the builds that two sets of rules make of an event. same is how many are equal:
// the order of builds and of parameters does not count, nor does the reason of a build that is dead
// in both, nor what a target has beside the place and the credentials.
//
// Builds are of each other if they are equal; then if rule, job and target are; then rule and
// job; then all but the rule and its context: the rule is renamed; then the rule.
func diffBuilds(before, after []decided) (same int, changes []BuildChange) {
	for len(before) > same && len(after) > same && len(differences(before[same], after[same])) == 0 {
		same++ // as nearly all are
	}
	p := pairing{slices.Clone(before[same:]), slices.Clone(after[same:])}
	for _, key := range []func(decided) string{
		func(d decided) string { return d.meaning(true) },
		func(d decided) string { return texts(d.Rule, d.JobID, d.Target) },
		func(d decided) string { return texts(d.Rule, d.JobID) },
		func(d decided) string { return d.meaning(false) },
		func(d decided) string { return d.Rule },
	} {
		p.pair(key, func(b, a decided) {
			if differs := differences(b, a); len(differs) > 0 {
				changes = append(changes, BuildChange{b.Build, a.Build, differs})
			} else {
				same++
			}
		})
	}
	for _, b := range p.before {
		changes = append(changes, BuildChange{Before: b.Build})
	}
	for _, a := range p.after {
		changes = append(changes, BuildChange{After: a.Build})
	}
	return same, changes
}

// pairing has the builds that are not paired yet.
type pairing struct{ before, after []decided }

// pair pairs builds with the same key, in their order.
func (p *pairing) pair(key func(decided) string, do func(before, after decided)) {
	if len(p.before) == 0 || len(p.after) == 0 {
		return
	}
	waiting, taken := map[string][]decided{}, map[*Build]bool{}
	for _, b := range p.before {
		waiting[key(b)] = append(waiting[key(b)], b)
	}
	p.after = slices.DeleteFunc(p.after, func(a decided) bool {
		k := key(a)
		if len(waiting[k]) == 0 {
			return false
		}
		b := waiting[k][0]
		waiting[k], taken[b.Build] = waiting[k][1:], true
		do(b, a)
		return true
	})
	p.before = slices.DeleteFunc(p.before, func(b decided) bool { return taken[b.Build] })
}

// meaning is equal for builds that do not differ: apart from their rules and contexts, if named
// is false.
func (d decided) meaning(named bool) string {
	b := *d.Build
	if b.Dead != "" {
		b.Dead = "dead"
	}
	if !named {
		b.Rule, b.Context = "", ""
	}
	b.Pusher, b.Title = "", ""
	b.Parameters = byName(b.Parameters)
	text, err := json.Marshal([]any{b, d.paused})
	if err != nil {
		panic("mapping: no meaning of a build: " + err.Error()) // texts, numbers and lists of them
	}
	return string(text)
}

func byName(list []Parameter) []Parameter {
	compare := func(a, b Parameter) int { return cmp.Compare(a.Name, b.Name) }
	if slices.IsSortedFunc(list, compare) {
		return list
	}
	return slices.SortedFunc(slices.Values(list), compare)
}

// texts is a key of several texts.
func texts(list ...string) string { return strings.Join(list, "\x00") }

// differences says in what two builds of one event differ. What they build is the event's.
func differences(before, after decided) []Difference {
	var found []Difference
	differ := func(field, b, a string) {
		if b != a {
			found = append(found, Difference{field, some(b), some(a)})
		}
	}
	differ("rule", before.Rule, after.Rule)
	differ("action", string(before.Action), string(after.Action))
	differ("job_id", before.JobID, after.JobID)
	differ("project_id", before.ProjectID, after.ProjectID)
	differ("target", before.Target, after.Target)
	if b, a := before.place, after.place; b != a && b != nil && a != nil && b.Name == a.Name {
		differ("target.region", b.Region, a.Region)
		differ("target.endpoint", b.Endpoint, a.Endpoint)
		differ("target.pipeline_endpoint", b.PipelineEndpoint, a.PipelineEndpoint)
		differ("target.credentials", b.Credentials.text(), a.Credentials.text())
	}
	if (before.Dead == "") != (after.Dead == "") {
		differ("dead", before.Dead, after.Dead)
	} else {
		found = append(found, parameterDifferences(after.Action.ParametersField(), before.Parameters, after.Parameters)...)
	}
	differ("build_type", auto(before.BuildType), auto(after.BuildType))
	differ("scm", before.Source.String(), after.Source.String())
	if !slices.Equal(before.Sources, after.Sources) {
		differ("sources", listed(before.Sources), listed(after.Sources))
	}
	differ("choose_stages", strings.Join(before.Stages, ", "), strings.Join(after.Stages, ", "))
	differ("marker", before.Marker, after.Marker)
	differ("concurrency", before.Concurrency.String(), after.Concurrency.String())
	differ("once", commitOnce(before.Once), commitOnce(after.Once))
	differ("context", before.Context, after.Context)
	differ("paused", before.paused, after.paused)
	return found
}

// parameterDifferences says in what parameters differ, whatever their order. A build has a name
// once.
func parameterDifferences(field string, before, after []Parameter) (found []Difference) {
	if slices.Equal(before, after) {
		return nil
	}
	before, after = byName(before), byName(after)
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].Name < after[0].Name:
			found = append(found, Difference{Field: field + "." + before[0].Name, Before: &before[0].Value})
			before = before[1:]
		case len(before) == 0 || before[0].Name > after[0].Name:
			found = append(found, Difference{Field: field + "." + after[0].Name, After: &after[0].Value})
			after = after[1:]
		default:
			if b, a := &before[0], &after[0]; b.Value != a.Value {
				found = append(found, Difference{field + "." + b.Name, &b.Value, &a.Value})
			}
			before, after = before[1:], after[1:]
		}
	}
	return found
}

// some is nil for no text.
func some(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// listed is a list of sources.
func listed(list []CodeSource) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = s.String()
	}
	return strings.Join(texts, ", ")
}

// auto is a build type, as rules write it.
func auto(sent bool) string {
	if sent {
		return "auto"
	}
	return ""
}

// commitOnce is once, as rules write it.
func commitOnce(once bool) string {
	if once {
		return "commit"
	}
	return ""
}

// String is the concurrency as rules write it, "" for none.
func (c Concurrency) String() string {
	var parts []string
	if c.Replace != ReplaceNone {
		parts = append(parts, "replace: "+string(c.Replace))
	}
	if c.MaxRunning > 0 {
		parts = append(parts, fmt.Sprintf("max_running: %d", c.MaxRunning))
	}
	if c.Settle > 0 {
		parts = append(parts, "settle: "+c.Settle.String())
	}
	return strings.Join(parts, ", ")
}
