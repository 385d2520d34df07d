package mapping

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// largeEvent has a message of a megabyte and 3,000 files.
func largeEvent() *Event {
	return pushEvent(func(e *Event) {
		e.Message = strings.Repeat("m", 1_000_000)
		e.Branch = strings.Repeat("m", 500_000)
		e.Author = strings.Repeat("é", 500_000)
		for i := range 3000 {
			e.Files = append(e.Files, fmt.Sprintf("services/cart/src/main/java/com/acme/cart/CartService%d.java", i))
		}
	})
}

// TestCost checks that work which grows with the text of an event ends with an
// error, or costs little because it is little.
func TestCost(t *testing.T) {
	const limit = "it takes too long: operation cancelled: actual cost limit exceeded"
	each := func(condition string) string { return "event.files.all(f, " + condition + ")" }
	tests := map[string]struct {
		condition string
		want      string // the error; "" is none
	}{
		"a glob for each file":             {each(`!event.message.matchesGlob("*b")`), limit},
		"a glob for all":                   {`event.message.matchesGlob("*` + strings.Repeat("m", 300) + `b")`, limit},
		"a search":                         {`event.message.indexOf(event.branch + "x") < 0`, limit},
		"a search from a place":            {`event.message.indexOf(event.branch + "x", 1) < 0`, limit},
		"a search backwards":               {`event.message.lastIndexOf("x" + event.branch) < 0`, limit},
		"a search backwards, from a place": {`event.message.lastIndexOf("x" + event.branch, 9) < 0`, limit},
		"a search in longer letters":       {`event.author.indexOf(event.author.substring(0, 20) + "x") < 0`, "indexOf: it would take too long, the texts are too long"},
		"a search for each file":           {each(`event.message.indexOf("x") < 0`), limit},
		"a size for each file":             {each(`event.message.size() > 0`), limit},
		"trimPrefix":                       {each(`event.message.trimPrefix("m").trimSuffix("m") == event.message || true`), limit},
		"equal texts":                      {each(`event.message == event.message`), limit},
		"equal lists":                      {each(`event.files == event.files`), limit},
		"in order":                         {each(`event.message <= event.message`), limit},
		"contains":                         {each(`event.message.contains("")`), limit},
		"matches":                          {each(`event.message.matches("")`), limit},
		"format":                           {each(`"%s".format([event.message]) != ""`), limit},
		"quote":                            {each(`strings.quote(event.message) != ""`), limit},
		"an integer":                       {each(`int(event.message) > 0 || true`), limit},
		"a time":                           {each(`timestamp(event.message) > timestamp(0) || true`), limit},
		"replace":                          {each(`event.message.replace("x", "y") != ""`), limit},
		"split":                            {each(`event.message.split("x") != []`), limit},

		"compared with nothing":       {each(`event.message != ""`), ""},
		"in order with little":        {each(`event.message > "a"`), ""},
		"begins with little":          {each(`event.message.startsWith("m") && event.message.endsWith("m")`), ""},
		"lists of other lengths":      {each(`event.files + event.files != event.files`), ""},
		"globs for each file":         {each(`!f.matchesGlob("libs/**") && !f.matchesGlob("{services,libs,tools}/**/*.{js,mod,sum,proto}")`), ""},
		"an ordinary condition":       {`!event.message.contains("[skip ci]") && event.message.size() > 10 && event.message.indexOf("x") < 0`, ""},
		"the message for a few files": {`event.files.filter(f, f.endsWith("7.java")).filter(f, f.endsWith("77.java"))[0] != event.message`, ""},
	}
	lang, err := newLanguage()
	if err != nil {
		t.Fatal(err)
	}
	ev := largeEvent()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e, faults := lang.compile(test.condition)
			if faults != nil {
				t.Fatal(faults)
			}
			ok, err := e.truth(ev)
			switch {
			case test.want == "" && (err != nil || !ok):
				t.Errorf("%v, %v; want true", ok, err)
			case test.want != "" && (err == nil || err.Error() != test.want):
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

// TestPrices checks that CEL does not go through a text to find out that a call
// does not.
func TestPrices(t *testing.T) {
	text, short := types.String(strings.Repeat("m", 1_000_000)), types.String("m")
	tests := map[string]struct {
		function string
		args     []ref.Val
		want     uint64
	}{
		"a text and nothing": {"_!=_", []ref.Val{text, types.String("")}, 1},
		"a text and a list":  {"_==_", []ref.Val{text, types.NewStringList(types.DefaultTypeAdapter, nil)}, 1},
		"numbers":            {"_==_", []ref.Val{types.Int(1), types.Int(1)}, 1},
		"order":              {"_<_", []ref.Val{text, short}, 1},
		"a beginning":        {"startsWith", []ref.Val{text, short}, 1},
		"an error":           {"size", []ref.Val{types.NewErr("no such key")}, 1},
		"nothing":            {"f", []ref.Val{nil}, 1},
		"a size":             {"size", []ref.Val{text}, 100_001},
		"a literal glob":     {"matchesGlob", []ref.Val{text, short}, 1},
		"a glob":             {"matchesGlob", []ref.Val{text, types.String("m/*b")}, 150_001},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := (prices{}).CallCost(test.function, "", test.args, nil); got == nil || *got != test.want {
				t.Errorf("got %v, want %d", got, test.want)
			}
		})
	}
}

// What the cost does not see is ended by the clock.
func TestClock(t *testing.T) {
	lang, err := newLanguage()
	if err != nil {
		t.Fatal(err)
	}
	e, faults := lang.compile(`event.files.all(f, f != "")`)
	if faults != nil || !e.loops {
		t.Fatalf("it loops: %v; %v", e.loops, faults)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := evaluated(e.program.ContextEval(ctx, activation{largeEvent()})); err == nil || !strings.HasPrefix(err.Error(), "it takes too long: operation interrupted") {
		t.Errorf("error %v", err)
	}
	if large, small := largeEvent().textLength(), pushEvent(nil).textLength(); large < 1_000_000 || large < clocked || small >= clocked {
		t.Errorf("the texts are %d and %d bytes long", large, small)
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
		"skip":   `!event.message.contains("[skip ci]")`,
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
				if _, err := e.truth(ev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
