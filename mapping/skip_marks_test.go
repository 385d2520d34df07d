package mapping

import (
	"strings"
	"testing"
)

func TestSkipMarks(t *testing.T) {
	const trailer = "push.skip_marks: the message of the commit ends with skip-checks: true"
	marked := func(mark string) string { return "push.skip_marks: the title of the commit has " + mark }
	for name, test := range map[string]struct{ message, want string }{
		"none":                            {"Count twice", ""},
		"no message":                      {"", ""},
		"skip ci":                         {"Count [skip ci] twice", marked("[skip ci]")},
		"ci skip":                         {"[ci skip] Count twice", marked("[ci skip]")},
		"no ci":                           {"Count twice [no ci]", marked("[no ci]")},
		"skip actions":                    {"Count twice [skip actions]", marked("[skip actions]")},
		"actions skip":                    {"Count twice [actions skip]", marked("[actions skip]")},
		"of Azure":                        {"Count twice ***NO_CI***", marked("***NO_CI***")},
		"in another case":                 {"Count twice [Skip CI]", marked("[skip ci]")},
		"of Azure, in another case":       {"***no_ci*** Count twice", marked("***NO_CI***")},
		"without brackets":                {"Count twice, skip ci", ""},
		"with more white space":           {"Count twice [skip  ci]", ""},
		"a title with a carriage return":  {"Count twice [skip ci]\r\n\r\nbody", marked("[skip ci]")},
		"in the second line":              {"Count twice\n[skip ci]", ""},
		"a squash merge":                  {"Carts (#7)\n\n* Count twice [skip ci]\n* Count", ""},
		"a merge of a request":            {"Merge pull request #7 from acme/carts\n\nCount twice [skip ci]", ""},
		"a trailer":                       {"Count twice\n\n\nskip-checks: true", trailer},
		"a trailer after one empty line":  {"Count twice\n\nskip-checks: true", trailer}, // Git removes the second
		"a trailer without a space":       {"Count twice\n\nbody\n\nskip-checks:true\n", trailer},
		"a trailer in another case":       {"Count twice\n\nSkip-Checks: True", trailer},
		"a trailer with CRLF":             {"Count twice\r\n\r\nskip-checks: true\r\n", trailer},
		"a trailer after others":          {"Count twice\n\nSigned-off-by: Ann <ann@example.com>\nskip-checks: true", trailer},
		"a trailer before others":         {"Count twice\n\nskip-checks: true\nCo-authored-by: Ann <ann@example.com>", trailer},
		"a trailer that says no":          {"Count twice\n\nskip-checks: false", ""},
		"a trailer that is the title":     {"skip-checks: true", ""},
		"a trailer under the title":       {"Count twice\nskip-checks: true", ""},
		"a trailer in the middle":         {"Carts (#7)\n\n* Count\n\nskip-checks: true\n\n* Count twice", ""},
		"a line of a paragraph of prose":  {"Count twice\n\nDo not write\nskip-checks: true", ""},
		"a paragraph of very many lines":  {"Count twice\n\n" + strings.Repeat("a: b\n", 200) + "skip-checks: true", ""},
		"a mark after what a title shows": {strings.Repeat("x", maxSeen) + "[skip ci]", ""},
	} {
		t.Run(name, func(t *testing.T) {
			rs := rulesOf(t, "  - {name: r, when: {push: {skip_marks: true}, tag: }, jobs: [{job_id: "+jobA+"}]}")
			ev := pushEvent(func(e *Event) { e.Message = test.message })
			v := rs.Explain(ev)[0]
			if v.Reason != test.want || v.Matched != (test.want == "") || len(rs.Decide(ev)) == 1 != v.Matched {
				t.Errorf("got %+v, want %q", v, test.want)
			}
			tag := tagEvent("v1.0.0")
			tag.Message = test.message
			if builds := rs.Decide(tag); len(builds) != 1 {
				t.Error("a tag is skipped")
			}
			off := rulesOf(t, "  - {name: r, when: {push: {skip_marks: false}}, jobs: [{job_id: "+jobA+"}]}")
			if builds := off.Decide(ev); len(builds) != 1 {
				t.Error("skipped without skip_marks")
			}
		})
	}
}
