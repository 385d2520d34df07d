package mapping

import (
	"fmt"
	"strings"
	"testing"
)

func TestCommitsInExpressions(t *testing.T) {
	ev := pushEvent(func(e *Event) {
		e.Commits = []Commit{NewCommit("a1", "Count\r\n\nbody [deploy]", "Ann"), NewCommit("b2", "Count\ttwice [deploy]\n", "Bob")}
	})
	large := pushEvent(func(e *Event) {
		for i := range 1000 {
			e.Commits = append(e.Commits, NewCommit(fmt.Sprintf("%040d", i), strings.Repeat("m", 100), "Ann"))
		}
	})
	long := pushEvent(func(e *Event) { e.Commits = []Commit{{Author: strings.Repeat("é", maxSeen)}} })
	for name, test := range map[string]struct {
		event       *Event
		expression  string
		value, dead string
	}{
		"a title":              {ev, `event.commits.exists(c, c.title.contains("[deploy]"))`, "true", ""},
		"the newest is last":   {ev, `event.commits[event.commits.size() - 1].id`, "b2", ""},
		"one line":             {ev, `event.commits.map(c, c.title).join("; ")`, "Count; Count twice [deploy]", ""},
		"authors":              {ev, `event.commits.filter(c, c.author == "Bob").size()`, "1", ""},
		"in":                   {ev, `event.commits[1] in event.commits && event.commits[0] != event.commits[1] && event.commits == event.commits`, "true", ""},
		"added":                {ev, `(event.commits + event.commits).size()`, "4", ""},
		"empty where not sent": {pushEvent(nil), `event.commits.size()`, "0", ""},
		"nothing there":        {pushEvent(nil), `event.commits[0].title`, "", "index out of bounds: 0"},
		"before the first":     {ev, `event.commits[-1].title`, "", "index out of bounds: -1"},
		"many":                 {large, `event.commits.all(c, !c.title.contains("[skip ci]") && c.author != "" && c.id != "")`, "true", ""},
		"a long name":          {long, `event.commits[0].author`, "", "author of one of event.commits has more than 8192 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			rs := rulesOf(t, "  - {name: r, when: {push: }, jobs: [{job_id: "+jobA+", parameters: {a: '${"+test.expression+"}'}}]}")
			b := rs.Decide(test.event)[0]
			if b.Dead != "" && (test.dead == "" || !strings.Contains(b.Dead, test.dead)) || b.Dead == "" && b.Parameters[0].Value != test.value {
				t.Errorf("got %+v, want %q %q", b, test.value, test.dead)
			}
		})
	}
}
