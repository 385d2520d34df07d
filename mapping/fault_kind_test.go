package mapping

import (
	"fmt"
	"strings"
	"testing"
)

// A mistake that was copied is shown twenty times, and another one beside it is not lost.
func TestFewOfEach(t *testing.T) {
	var text strings.Builder
	text.WriteString("version: 1\n" + goodSources + goodTargets + "rules:\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "  - {name: r%d, whne: {push: }, jobs: [{job_id: %s, parameters: {p%d: \"${event.brunch}\"}}]}\n", i, jobA, i)
	}
	text.WriteString("  - {name: last, when: {push: }, if: 'event.forced', jobs: [{job_id: short}]}\n")
	_, _, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte(text.String())})
	if err == nil {
		t.Fatal("no fault")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 2*MaxAlike+1+2 {
		t.Fatalf("%d lines, want 20 of each of two kinds, one of the third, and two of how many more there are:\n%s", len(lines), err)
	}
	for i, want := range map[int]string{
		0:              `rules.yaml:7:16: rule "r0": whne: unknown field; did you mean "when"?`,
		2*MaxAlike - 1: `rule "r19": jobs[0].parameters.p19: event has no field "brunch"`,
		2 * MaxAlike:   `rule "last": jobs[0].job_id: "short" is not a job id`,
		2*MaxAlike + 1: `and 980 more like rules.yaml:7:16: rule "r0": whne: unknown field`,
		2*MaxAlike + 2: `and 980 more like rules.yaml:7:`,
	} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want %q in it", i, lines[i], want)
		}
	}
}
