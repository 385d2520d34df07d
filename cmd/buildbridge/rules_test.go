package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/codearts/codeartstest"
)

// An operator can see which rules are in force, that they are those of the files, and what the
// last reload changed.
func TestRulesInForce(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	b := w.serve()
	digest := func() string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "buildbridge", "check", "--rules", "rules.yaml", "--json")
		cmd.Dir = w.dir
		out, err := cmd.Output()
		var checked struct{ Digest string }
		if err != nil || json.Unmarshal(out, &checked) != nil || len(checked.Digest) != 12 {
			t.Fatalf("check: %v: %s", err, out)
		}
		return checked.Digest
	}
	first := digest()
	if at := b.logged("serving"); at["digest"] != first {
		t.Errorf("it serves %v, and the file has %s", at["digest"], first)
	}
	out := w.prints(b, []string{"rules", "list"}, "RULE", "cart", "acme/shop", "rules.yaml:", "1 rule, digest "+first+", loaded ")
	if strings.Contains(out, "reload") {
		t.Errorf("before any reload it says\n%s", out)
	}
	if got := b.metric(`buildbridge_rules_info{digest="` + first + `"}`); got != "1" {
		t.Errorf("the metric of %s is %q", first, got)
	}

	w.write("rules.yaml", strings.Replace(w.good, "name: cart", "name: basket", 1))
	line := b.logged("rules reloaded")
	second := digest()
	if line["digest"] != second || line["digest_before"] != first || first == second {
		t.Errorf("it reloaded %v, and the file has %s; before %v, %s", line["digest"], second, line["digest_before"], first)
	}
	w.prints(b, []string{"rules", "list", "--repository", "ACME/Shop"}, "basket", "1 rule, digest "+second,
		"the last reload changed, from digest "+first+":\n  rules added: basket\n  rules removed: cart\n")
	w.prints(b, []string{"rules", "list", "--repository", "ops/infra"}, "0 of 1 rule, digest ")
	w.fails(b, 2, []string{"rules", "list", "--repository", ""}, "repository: empty")
	if got := b.metric(`buildbridge_rules_info{digest="` + first + `"}`); got != "" {
		t.Errorf("the metric of the digest before is still %q", got)
	}

	w.write("rules.yaml", w.good+"  - name: broken\n")
	b.logged("rules not reloaded, the old ones stay in use")
	w.prints(b, []string{"rules", "list"}, "digest "+second, "a reload failed at ", "2 faults, and these rules stay in force; the first: rules.yaml:")
	if got := list[admin.Rules](w, b, "rules", "list"); got.Digest != second || got.Failed == nil || got.Failed.Faults != 2 {
		t.Errorf("got %+v", got)
	}
	b.term()
}
