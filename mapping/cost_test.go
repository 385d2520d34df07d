package mapping

import (
	"fmt"
	"strings"
	"testing"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// largeEvent has a message of a megabyte, other texts as long as they may be, and
// 10,000 files.
func largeEvent() *Event {
	return pushEvent(func(e *Event) {
		e.Message = strings.Repeat("m", 1_000_000)
		e.Branch = strings.Repeat("m", maxSeen-1) + "x"
		e.Author = strings.Repeat("é", maxSeen/2)
		for i := range 10_000 {
			e.Files = append(e.Files, fmt.Sprintf("services/cart/src/main/java/com/acme/cart/CartService%d.java", i))
		}
		for i := range 1000 {
			e.Commits = append(e.Commits, NewCommit(fmt.Sprintf("%040d", i), strings.Repeat("\x01m", maxSeen), e.Author))
		}
	})
}

func each(condition string) string { return "event.files.all(f, " + condition + " || true)" }

// worst are expressions that take long for what they cost, by what they call. Every
// function of the language is in one.
func worst() map[string]string {
	long := strings.Repeat("event.message + ", 3) + "event.message"
	return map[string]string{
		"a loop":                   `event.files.all(f, event.files.all(g, true))`,
		"a title in a loop":        `event.files.all(f, event.files.all(g, event.title != ""))`,
		"a loop of an error":       each(`{"a": f}[event.message] == f`),
		"an error of a long text":  `[` + long + `].all(m, ` + each(`{"a": f}[m] == f`) + `)`,
		"a choice":                 `event.files.all(f, f == "" ? false : !(f == "" && f == ""))`,
		"presence":                 `event.files.all(f, has(event.files) && event.files.exists_one(g, g == f))`,
		"a regular expression":     `event.message.matches(r'(?s).{1,120}Z')`,
		"regular expressions":      each(`f.matches('(C|a|r|t|S|e|v|i|c|/)*Z')`),
		"a folding one":            each(`event.author.matches('(?i)(é?é?é?é?é?é?é?é?é?é?é?é?é?é?)*z')`),
		"many regular expressions": strings.Repeat(`matches(event.message, r'(?s).{1,120}Z') || `, 100) + "true",
		"a glob":                   `event.message.matchesGlob("*` + strings.Repeat("m", 300) + `b")`,
		"a glob with braces":       `event.message.matchesGlob("*` + strings.Repeat("{m,m}", 6) + strings.Repeat("m", 300) + `b")`,
		"globs":                    each(`f.matchesGlob("{services,libs}/**/*a*/*{a,b}x")`),
		"globs of an event":        each(`f.matchesGlob(f + "*")`),
		"globs of folders":         each(`f.matchesGlob("**/**/**/**/**/**/*a/**/*b")`),
		"a bad glob":               each(`f.matchesGlob("{" + f)`),
		"a search":                 each(`event.message.indexOf(event.branch) > 0 && event.message.indexOf(event.branch, 1) > 0`),
		"a search backwards":       each(`event.message.lastIndexOf("x" + event.branch) > 0 && event.message.lastIndexOf("xx", 9) > 0`),
		"a search in long letters": each(`event.author.indexOf("éx") > 0`),
		"contains":                 each(`event.message.contains(event.branch)`),
		"beginnings and ends":      each(`event.message.startsWith(event.branch) && event.branch.endsWith(event.message)`),
		"trimmed":                  each(`event.message.trimPrefix(event.message).trimSuffix("m").trim() == f`),
		"equal texts":              each(`event.message + "x" == event.branch`),
		"equal long texts":         `[` + long + `].all(m, [m + "x"].all(n, ` + each(`n == m + "y" && n != m + "y"`) + `))`,
		"in order":                 each(`event.message < event.branch && event.message <= event.branch && event.branch > event.message && event.branch >= event.message`),
		"equal lists":              each(`event.files == event.files + [f]`),
		"equal lists of texts":     `event.files.map(f, event.message + "x") == event.files.map(f, event.message + "y")`,
		"a loop of commits":        `event.commits.all(c, event.commits.all(d, true))`,
		"equal commits":            each(`event.commits == event.commits`),
		"a commit in commits":      each(`event.commits[999] in event.commits && event.commits[0] != event.commits[999]`),
		"titles":                   each(`event.commits[0].title == f || event.commits[0].author == f || event.commits[0].id == f`),
		"lists of titles":          each(`event.commits.map(c, c.title).size() > 0`),
		"commits that are chosen":  each(`event.commits.filter(c, has(c.title)).size() > 0`),
		"sorted":                   `event.files.sort().size() > 0 || event.files.map(f, event.message + f).sort().size() > 0`,
		"sorted often":             each(`event.files.slice(0, 100).sort().size() > 0`),
		"slices":                   each(`event.files.slice(0, 9999).reverse().size() > 0`),
		"distinct":                 each(`event.files.slice(0, 300).distinct().size() > 0`),
		"distinct long texts":      `event.commits.map(c, c.title + "x").slice(0, 50).distinct().size() > 0`,
		"distinct commits":         each(`event.commits.slice(0, 100).distinct().size() > 0`),
		"sets":                     each(`sets.contains(event.files.slice(0, 9), [f]) && sets.intersects(event.files.slice(0, 300), [f]) && sets.equivalent(event.files.slice(0, 99), event.files.slice(0, 99))`),
		"sets of long texts":       each(`sets.intersects([event.message + "x"], event.commits.slice(0, 9).map(c, event.message + "y"))`),
		"a range":                  each(`lists.range(1000).size() > 0`),
		"ranges":                   each(`lists.range(10).size() > 0`),
		"all matches":              each(`regex.extractAll(f, '[A-Z][a-z]+').size() > 0`),
		"all matches of a text":    `regex.extractAll(event.message, 'm(.*x)?').size() > 0`,
		"an extracted group":       each(`regex.extractAll(f, '(?:C|a|r|t|S|e|v|i|c|/)*(Z)?').size() > 0`),
		"replaced":                 each(`regex.replace(f, '([a-z]+)/', r'\1\1-') == f`),
		"replaced by much":         each(`regex.replace(f, '', event.message) == f`),
		"replaced groups":          each(`regex.replace(event.branch, '(m+)x', r'\1\1\1') == f`),
		"lists of lists":           `event.files.map(f, event.files).size() > 0`,
		"lists that double":        `[event.files]` + strings.Repeat(".map(x, x + x)", 40) + `.all(x, "a" in x)`,
		"a list of many parts":     `(event.files` + strings.Repeat(` + ["a"]`, 90) + `).all(f, f != "")`,
		"texts that double":        `[event.message]` + strings.Repeat(".map(x, x + x)", 40) + `.all(x, x == "a")`,
		"a long text":              strings.Repeat("event.message + ", 90) + `event.message == ""`,
		"in a list":                each(`"services/x" in event.files`),
		"in a list of long texts":  `event.message + "x" in [` + strings.Repeat("event.branch, ", 500) + `""]`,
		"in a map":                 each(`event.message in {f: f}`),
		"maps":                     each(`{f: event.message, event.message: f} == {event.message: f}`),
		"an index":                 each(`event.files[size(event.files) - 1] == [f, f][0]`),
		"sizes":                    each(`event.author.size() > 0 && size(event.files) > 0`),
		"replace":                  each(`event.message.replace("m", "mm", -1) == f && event.message.replace("", "xyz") == f`),
		"join":                     `event.files.join(event.message).size() > 0 || event.files.filter(f, f.endsWith("7.java")).join("").size() > 0`,
		"joins":                    each(`[event.message, event.message].join(f).size() > 0`),
		"split":                    each(`event.message.split("").size() > 0 && event.message.split("m", 9000).size() > 0`),
		"format":                   each(`"%s %.99f %e %x %X %o %b %d".format([event.message, 1.0, 1.0, event.message, f, 1, 1, 1]) == f`),
		"format of lists":          each(`"%s".format([[event.message, event.message]]) == f`),
		"quote":                    each(`strings.quote(event.author) == f`),
		"letters":                  each(`event.author.charAt(4000) == f && event.author.substring(1).substring(1, 2) == f`),
		"case":                     each(`event.author.lowerAscii() == event.author.upperAscii()`),
		"reverse":                  each(`event.author.reverse() == f`),
		"conversions":              each(`int(f) == 1 && uint(f) == 1u && double(f) == 1.0 && bool(f) && string(bytes(f)) == f`),
		"long conversions":         each(`int(event.message) == 1 || double(event.message) == 1.0 || bool(event.message)`),
		"bytes":                    each(`bytes(event.message) + bytes(event.message) == b"x"`),
		"numbers":                  each(`(1 + 2) * 3 / 4 % 5 - -size(f) == 7`),
		"errors":                   each(`1 / 0 == 1`),
		"types":                    each(`type(f) == type(dyn(f)) && dyn(f) == "a"`),
		"times":                    each(`timestamp(f) == timestamp(0) || duration(f) == duration("1s")`),
		"long times":               each(`timestamp(event.message) == timestamp(0) || duration(event.message) == duration("1s")`),
		"parts of times":           each(parts("")),
		"time zones":               each(parts(`"Asia/Shanghai"`)),
		"no time zones":            each(`timestamp(0).getHours(f) == 1`),
		"long time zone":           each(`timestamp(0).getHours(event.message) == 1`),
	}
}

func parts(zone string) string {
	var out []string
	for _, f := range []string{"FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "Hours", "Minutes", "Seconds", "Milliseconds"} {
		out = append(out, `timestamp("2024-01-01T00:00:00Z").get`+f+`(`+zone+`) == 9999`)
	}
	return strings.Join(out, " || ")
}

// TestWorst checks that no expression costs more than it may, that all of a delivery
// do not together, and that every function of the language is among what is tried.
func TestWorst(t *testing.T) {
	lang, err := newLanguage()
	if err != nil {
		t.Fatal(err)
	}
	missing := lang.env.Functions()
	delete(missing, "in") // nothing that can be written calls these
	delete(missing, operators.OldIn)
	delete(missing, "__not_strictly_false__")
	ev := largeEvent()
	var all meter
	for name, text := range worst() {
		t.Run(name, func(t *testing.T) {
			e, faults := lang.compile(text)
			if faults != nil {
				t.Fatal(faults)
			}
			checked, _ := lang.env.Compile(text)
			for _, c := range ast.MatchDescendants(ast.NavigateAST(checked.NativeRep()), ast.KindMatcher(ast.CallKind)) {
				delete(missing, c.AsCall().FunctionName())
			}
			var one meter
			if v, err := one.eval(e, ev, new(constants)); one.spent > maxCost || err == nil && one.spent < maxCost/10 {
				t.Errorf("it cost %d of %d: %v, %v", one.spent, maxCost, v, err)
			}
			_, _ = all.eval(e, ev, new(constants))
		})
	}
	if all.spent != maxCosts {
		t.Errorf("together they cost %d, want %d", all.spent, maxCosts)
	}
	for name := range missing {
		t.Errorf("%s is in no expression", name)
	}
}

// BenchmarkWorst evaluates what takes longest of what check takes.
func BenchmarkWorst(b *testing.B) {
	lang, err := newLanguage()
	if err != nil {
		b.Fatal(err)
	}
	ev := largeEvent()
	for name, text := range worst() {
		e, faults := lang.compile(text)
		if faults != nil {
			b.Fatal(faults)
		}
		b.Run(name, func(b *testing.B) {
			var spent uint64
			for b.Loop() {
				var m meter
				_, _ = m.eval(e, ev, new(constants))
				spent = m.spent
			}
			b.ReportMetric(float64(spent), "units/op")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(spent), "ns/unit")
		})
	}
}

// TestCost checks what is taken of a large event, and what ends with an error.
func TestCost(t *testing.T) {
	const limit = "it takes too long: make it read less text or fewer files"
	all := func(condition string) string { return "event.files.all(f, " + condition + ")" }
	tests := map[string]struct {
		condition string
		want      string // the error; "" is none
	}{
		"all files, each once":        {`event.files.distinct() == event.files && (event.files + event.files).distinct() == event.files`, ""},
		"all commits, each once":      {`event.commits.distinct() == event.commits`, ""},
		"a loop in a loop":            {all(`event.files.all(g, true)`), limit},
		"a glob for each file":        {all(`!event.message.matchesGlob("*b")`), limit},
		"a pattern for each file":     {all(`event.message.matches("^m*$")`), limit},
		"a search":                    {`event.message.indexOf(event.branch) < 0`, "indexOf: the texts are too long for this call"},
		"a search backwards":          {`event.message.lastIndexOf(event.branch) < 0`, "lastIndexOf: the texts are too long for this call"},
		"a glob in many ways":         {`!event.message.matchesGlob("*` + strings.Repeat("{m,m}", 6) + strings.Repeat("m", 300) + `b")`, "matchesGlob: the texts are too long for this call"},
		"a long text":                 {strings.Repeat("event.message + ", 4) + `"" != ""`, ""},
		"a longer text":               {strings.Repeat("event.message + ", 4) + `"m" != ""`, "it makes a text longer than 32768 bytes"},
		"a long join":                 {`event.files.join() != ""`, "join: the result may be longer than 32768 bytes"},
		"a long separator":            {`["", "", "", "", "", ""].join(event.message) != ""`, "join: the result may be longer than 32768 bytes"},
		"a long replacement":          {`event.message.replace("", "12345") != ""`, "replace: the result may be longer than 32768 bytes"},
		"a long format":               {`"%s".format([event.files]) != ""`, "format: the result may be longer than 32768 bytes"},
		"a name that would be cut":    {`event.branch + event.pusher != ""`, "event.pusher has more than 8192 bytes"},
		"an or does not hide it":      {all(`event.files.all(g, true)`) + " || true", limit},
		"compared with nothing":       {all(`event.message != "" && event.message > "a"`), ""},
		"begins with little":          {all(`event.message.startsWith("m") && event.branch.endsWith("x")`), ""},
		"a glob of files":             {`!event.files.exists(f, f.matchesGlob("libs/**"))`, ""},
		"files of a folder":           {`!event.files.exists(f, f.startsWith("libs/") || f.endsWith(".c"))`, ""},
		"lists of other lengths":      {`event.files != ["a"]`, ""},
		"an ordinary condition":       {`!event.message.contains("[skip ci]") && event.message.size() == 8192 && event.message.indexOf("x") < 0`, ""},
		"the largest pattern":         {`!event.message.matches(r'(?s).{1,123}Z')`, ""},
		"the message for a few files": {`event.files.filter(f, f.endsWith("77.java")).filter(f, f.endsWith("777.java"))[0] != event.message`, ""},
	}
	lang, err := newLanguage()
	if err != nil {
		t.Fatal(err)
	}
	ev := largeEvent()
	ev.Pusher = strings.Repeat("p", maxSeen+1)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e, faults := lang.compile(test.condition)
			if faults != nil {
				t.Fatal(faults)
			}
			ok, err := (&condition{expression: e, constants: new(constants)}).holds(new(meter), ev)
			switch {
			case test.want == "" && (err != nil || !ok):
				t.Errorf("%v, %v; want true", ok, err)
			case test.want != "" && (err == nil || err.Error() != test.want):
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

// The expressions of a delivery share what they may cost: once it is spent, the rest
// is dead and says so, and what needs no expression builds all the same.
func TestDelivery(t *testing.T) {
	rs := rulesOf(t, "  - {name: heavy, when: {push: }, if: \"!event.message.matches('(?s).{1,120}Z')\", jobs: [{job_id: "+jobA+"}]}\n"+
		"  - {name: light, when: {push: }, jobs: [{job_id: "+jobB+"}]}")
	d := rs.Decider()
	alive := 0
	for range 50 {
		builds := d.Decide(pushEvent(func(e *Event) { e.Message = strings.Repeat("m", maxSeen) }))
		if len(builds) != 2 || builds[1].Dead != "" {
			t.Fatalf("want one build of each rule, and that of light alive: %+v", builds)
		}
		const want = `rule "heavy": if: it takes too long: the expressions of a delivery share a limit, and those before it used most of it`
		switch builds[0].Dead {
		case "":
			alive++
		case want:
		default:
			t.Fatalf("dead because %s", builds[0].Dead)
		}
	}
	if d.meter.spent > maxCosts || alive == 0 || alive == 50 {
		t.Errorf("%d builds are alive, and %d was spent of %d", alive, d.meter.spent, maxCosts)
	}
}

// What a repository of many parts asks of a push of many files is within the bounds.
func TestDeliveryOfManyRules(t *testing.T) {
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "  - {name: part-%d, when: {push: }, if: 'event.files.exists(f, f.startsWith(\"part-%d/\"))', jobs: [{job_id: %s}]}\n", i, i, jobA)
	}
	rs := rulesOf(t, strings.TrimSuffix(text.String(), "\n"))
	builds := rs.Decide(pushEvent(func(e *Event) {
		e.Files = nil
		for i := range 299 {
			e.Files = append(e.Files, fmt.Sprintf("other/src/main/java/com/acme/cart/CartService%d.java", i))
		}
		e.Files = append(e.Files, "part-199/x")
	}))
	if len(builds) != 1 || builds[0].Rule != "part-199" || builds[0].Dead != "" {
		t.Errorf("want one build, of part-199: %+v", builds)
	}
}

// BenchmarkCondition evaluates what rules usually ask.
func BenchmarkCondition(b *testing.B) {
	lang, err := newLanguage()
	if err != nil {
		b.Fatal(err)
	}
	ev := pushEvent(nil)
	for name, text := range map[string]string{
		"flag":   `!event.forced`,
		"equal":  `event.branch == event.default_branch`,
		"skip":   `!event.title.contains("[skip ci]")`,
		"regexp": `event.branch.matches("^release/[0-9]+$")`,
		"glob":   `event.branch.matchesGlob("release/*")`,
		"files":  `event.files.exists(f, f.matchesGlob("services/*/go.mod"))`,
		"value":  `event.commit.substring(0, 8) != ""`,
	} {
		e, faults := lang.compile(text)
		if faults != nil {
			b.Fatal(faults)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (&condition{expression: e, constants: new(constants)}).holds(new(meter), ev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
