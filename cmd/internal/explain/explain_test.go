package explain_test

import (
	"net/http"
	"strings"
	"testing"

	"buildbridge/cmd/internal/explain"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// What expressions cost is counted for all events of a delivery together, as it is
// when the delivery arrives.
func TestCostsOfADelivery(t *testing.T) {
	const condition = "if: \"!event.message.matches('(?s).{1,120}Z')\"\n    jobs:"
	rules, _, err := mapping.Parse(codehost.Providers(), mapping.File{Name: "rules.yaml", Data: []byte(strings.Replace(builds(), "jobs:", condition, 1))})
	if err != nil {
		t.Fatal(err)
	}
	source, _ := rules.Source("bitbucket")
	const pushes = 4
	one := `{"new": {"type": "branch", "name": "main", "target": {"hash": "6dcb09b5b57875f334f61aebed695e2e4193db5e", "message": "` +
		strings.Repeat("m", 8192) + `"}}},`
	body := `{"repository": {"full_name": "acme/shop"}, "push": {"changes": [` + strings.TrimSuffix(strings.Repeat(one, pushes), ",") + `]}}`
	explained, err := explain.Delivery(rules, source, http.Header{"X-Event-Key": {"repo:push"}}, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	alive, dead := 0, 0
	for _, event := range explained.Events {
		alive += len(event.RunJob)
		for _, build := range event.Dead {
			dead++
			if want := "the expressions of a delivery share a limit, and those before it used most of it"; !strings.HasSuffix(build.Reason, want) {
				t.Errorf("dead because %s", build.Reason)
			}
		}
	}
	if alive == 0 || dead == 0 || alive+dead != pushes {
		t.Errorf("%d builds are alive and %d are dead, of %d", alive, dead, pushes)
	}
}
