package mapping

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// changed says what a change is, in a line.
func changed(c BuildChange) string {
	name := func(b *Build) string { return b.Rule + " " + b.JobID[:3] }
	switch {
	case c.Before == nil:
		return "comes: " + name(c.After)
	case c.After == nil:
		return "goes: " + name(c.Before)
	}
	text := "changes: " + name(c.After)
	for _, d := range c.Differs {
		value := func(v *string) string {
			if v == nil {
				return "none"
			}
			return fmt.Sprintf("%q", *v)
		}
		text += fmt.Sprintf("; %s %s -> %s", d.Field, value(d.Before), value(d.After))
	}
	return text
}

// diffOf compares the builds that two sets of rules make of an event.
func diffOf(before, after *Ruleset, ev *Event) []BuildChange {
	_, changes := diffBuilds(before.decided(before.Decide(ev)), after.decided(after.Decide(ev)))
	return changes
}

func TestDiff(t *testing.T) {
	const a, b = "job_id: " + jobA, "job_id: " + jobB
	rule := func(name, more string, jobs ...string) string {
		for i := range jobs {
			jobs[i] = "{" + jobs[i] + "}"
		}
		return fmt.Sprintf("  - {name: %s, when: {push: {}}%s, jobs: [%s]}\n", name, more, strings.Join(jobs, ", "))
	}
	x := `, parameters: {x: "1", y: "${event.branch}"}`
	for name, test := range map[string]struct {
		before, after string
		want          []string
	}{
		"nothing":                           {rule("r", "", a+x), rule("r", "", a+x), nil},
		"the order of rules":                {rule("r", "", a) + rule("s", "", b), rule("s", "", b) + rule("r", "", a), nil},
		"the order of jobs":                 {rule("r", "", a, b), rule("r", "", b, a), nil},
		"the order of parameters":           {rule("r", "", a+x), rule("r", "", a+`, parameters: {y: "${event.branch}", x: "1"}`), nil},
		"another way to say it":             {rule("r", "", a+x), rule("r", ", if: 'true'", a+`, parameters: {x: "${'1'}", y: "main"}`), nil},
		"one of two that are the same goes": {rule("r", "", a, a), rule("r", "", a), []string{"goes: r f9d"}},
		"a rule comes":                      {rule("r", "", a), rule("r", "", a) + rule("s", "", b), []string{"comes: s 0b7"}},
		"a rule goes":                       {rule("r", "", a) + rule("s", "", b), rule("r", "", a), []string{"goes: s 0b7"}},
		"a condition":                       {rule("r", "", a), rule("r", ", if: event.forced", a), []string{"goes: r f9d"}},
		"a value":                           {rule("r", "", a+x), rule("r", "", a+`, parameters: {x: "2", y: main}`), []string{`changes: r f9d; parameters.x "1" -> "2"`}},
		"a parameter more, and one less": {
			rule("r", "", a+x), rule("r", "", a+`, parameters: {y: main, z: ""}`),
			[]string{`changes: r f9d; parameters.x "1" -> none; parameters.z none -> ""`},
		},
		"another name": {rule("r", "", a+x), rule("s", "", a+x), []string{`changes: s f9d; rule "r" -> "s"`}},
		"another name, and another value": {
			rule("r", "", a+x), rule("s", "", a), []string{"goes: r f9d", "comes: s f9d"},
		},
		"another job": {rule("r", "", a+x), rule("r", "", b+x), []string{`changes: r 0b7; job_id "` + jobA + `" -> "` + jobB + `"`}},
		"the job moves to a new rule": {
			rule("r", "", a), rule("r", "", b) + rule("s", "", a), []string{`changes: s f9d; rule "r" -> "s"`, "comes: r 0b7"},
		},
		"one of two entries with one job": {
			rule("r", "", a, a+x), rule("r", "", a+x, a+`, parameters: {z: "3"}`), []string{`changes: r f9d; parameters.z none -> "3"`},
		},
		"dead": {
			rule("r", "", a+x), rule("r", "", a+`, parameters: {x: "${event.message}"}`),
			[]string{`changes: r f9d; dead none -> "rule \"r\": jobs[0].parameters.x: the value has a control character (a line break)"`},
		},
		"dead in another way": {
			rule("r", "", a+`, parameters: {x: "${event.message}"}`), rule("r", "", a+`, parameters: {z: "${event.message}"}`), nil,
		},
		"what is beside the parameters": {
			rule("r", ", concurrency: newest", a),
			rule("r", ", concurrency: {replace: running, max_running: 2, settle: 10s}", a+", marker: m, build_type: auto"),
			[]string{`changes: r f9d; build_type none -> "auto"; marker none -> "m"; ` +
				`concurrency "replace: waiting" -> "replace: running, max_running: 2, settle: 10s"`},
		},
		"paused": {rule("r", "", a), rule("r", ", paused: freeze", a), []string{`changes: r f9d; paused none -> "freeze"`}},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := rulesOf(t, test.before), rulesOf(t, test.after)
			var got []string
			for _, c := range diffOf(before, after, pushEvent(nil)) {
				got = append(got, changed(c))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if back := diffOf(after, before, pushEvent(nil)); len(back) != len(test.want) {
				t.Errorf("back there are %d changes, want %d", len(back), len(test.want))
			}
		})
	}
}

// A build whose target is elsewhere, or of another user, changes. Other settings of a target change
// no build.
func TestDiffOfTargets(t *testing.T) {
	const chain, keys = "credentials: {chain: true}", "credentials: {access_key: {env: AK}, secret_key: {env: SK}}"
	for name, test := range map[string]struct {
		before, after string
		want          []string
	}{
		"a region": {
			"region: cn-north-4, " + chain, "region: cn-south-1, " + chain,
			[]string{`changes: r f9d; target.region "cn-north-4" -> "cn-south-1"`},
		},
		"an endpoint": {
			"region: cn-north-4, " + chain, "endpoint: 'https://build.example', " + chain,
			[]string{`changes: r f9d; target.region "cn-north-4" -> none; target.endpoint none -> "https://build.example"`},
		},
		"another kind of credentials": {
			"region: cn-north-4, " + chain, "region: cn-north-4, " + keys,
			[]string{`changes: r f9d; target.credentials "chain" -> "access_key env:AK, secret_key env:SK"`},
		},
		"another user": {
			"region: cn-north-4, credentials: {iam_user: {domain: d, name: n, password: {file: /p}}}",
			"region: cn-north-4, credentials: {iam_user: {domain: d, name: n, password: {file: /p}, project: p}}",
			[]string{`changes: r f9d; target.credentials "iam_user d/n, project \"\", password file:/p" -> "iam_user d/n, project \"p\", password file:/p"`},
		},
		"what changes no build": {
			"region: cn-north-4, " + chain, "region: cn-north-4, timeout: 10s, retry_for: 1h, follow: false, rate_limit: {per_second: 1, burst: 2}, " + chain, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			parse := func(target string) *Ruleset {
				rs, _, err := Parse(testProviders, File{Name: "rules.yaml", Data: fmt.Appendf(nil, `version: 1
sources: {github: {provider: github, insecure: true}}
targets: {north: {%s}}
rules: [{name: r, when: {push: {}}, jobs: [{job_id: %s}]}]
`, target, jobA)})
				if err != nil {
					t.Fatal(err)
				}
				return rs
			}
			var got []string
			for _, c := range diffOf(parse(test.before), parse(test.after), pushEvent(nil)) {
				got = append(got, changed(c))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A field of Build that is added has to be compared, unless the event alone decides it, or it only
// names the job for people.
func TestDiffComparesEveryField(t *testing.T) {
	byEvent := map[string]bool{"Job": true, "Repository": true, "Ref": true, "Tag": true, "Commit": true, "TagCommit": true, "Pusher": true, "Title": true}
	values := map[reflect.Type]any{
		reflect.TypeFor[string](): "x", reflect.TypeFor[bool](): true,
		reflect.TypeFor[[]Parameter](): []Parameter{{"x", "1"}}, reflect.TypeFor[Concurrency](): Concurrency{Settle: time.Second},
		reflect.TypeFor[Action](): ActionPipeline, reflect.TypeFor[[]string](): []string{"x"},
		reflect.TypeFor[JobSource](): JobSource{URL: "x"}, reflect.TypeFor[[]CodeSource](): []CodeSource{{Branch: "x"}},
	}
	fields := reflect.TypeFor[Build]()
	for i := range fields.NumField() {
		var build Build
		reflect.ValueOf(&build).Elem().Field(i).Set(reflect.ValueOf(values[fields.Field(i).Type]))
		same, changes := diffBuilds([]decided{{Build: new(Build)}}, []decided{{Build: &build}})
		if equal := len(changes) == 0 && same == 1; equal != byEvent[fields.Field(i).Name] {
			t.Errorf("with another %s they are equal: %v", fields.Field(i).Name, equal)
		}
	}
}
