package demo

import (
	"os"
	"strings"
	"testing"

	"buildbridge"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
	"buildbridge/mapping/rulestest"
)

// The sample is the first file a user copies: it has to be without a fault and
// without a warning, and build what the demo sends.
func TestSample(t *testing.T) {
	rs, warnings, err := mapping.Parse(codehost.Providers(), mapping.File{Name: "rules.yaml", Data: buildbridge.Rules})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Error(w)
	}

	push := mapping.Event{
		Source: "github", Provider: "github", Kind: mapping.Push,
		Ref: "refs/heads/main", Branch: "main", Commit: "6dcb09b5b57875f334f61aebed695e2e4193db5e",
		Files: []string{"services/cart/cart.go"}, FilesComplete: true, Message: "Carts (#7)\n\n* Count twice [skip ci]",
	}
	push.SetRepository("acme/shop")
	tag := mapping.Event{
		Source: "github", Provider: "github", Kind: mapping.Tag,
		Ref: "refs/tags/v2.1.0", Tag: "v2.1.0", Pusher: "ann",
	}
	tag.SetRepository("acme/shop")

	for want, ev := range map[string]*mapping.Event{"cart": &push, "shop-release": &tag} {
		builds := rs.Decide(ev)
		if len(builds) != 1 || builds[0].Rule != want || builds[0].Dead != "" || builds[0].Target != "north" {
			t.Errorf("%s %s: got %+v, want one build of rule %s", ev.Kind, ev.Ref, builds, want)
		}
	}
	if got := rs.Decide(&tag)[0].Parameters[0]; got != (mapping.Parameter{Name: "version", Value: "2.1.0"}) {
		t.Errorf("parameter of the tag: %+v", got)
	}
}

// The sample passes its tests, and these are about every rule of it.
func TestSampleTests(t *testing.T) {
	rs, _, err := mapping.Parse(codehost.Providers(), mapping.File{Name: "rules.yaml", Data: buildbridge.Rules})
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("../../../rules.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	suite, err := rulestest.Parse("rules.test.yaml", tests)
	if err != nil {
		t.Fatal(err)
	}
	runner := rulestest.Runner{Rules: rs}
	if faults := runner.Check(suite); faults != nil {
		t.Fatal(faults)
	}
	for _, c := range suite.Cases {
		for _, d := range runner.Run(c) {
			t.Errorf("line %d: %s: %s", c.Line, c.Name, d)
		}
	}
	for _, rule := range rs.RuleNames() {
		if !strings.Contains(string(tests), "rule: "+rule+"\n") {
			t.Errorf("no test expects a build of rule %q", rule)
		}
	}
}
