package yamldoc

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func formatted(t *testing.T, text string) string {
	t.Helper()
	got, fault := Format("shop.yaml", []byte(text), NewSchema(nil), new(shop))
	if fault != nil {
		t.Fatalf("%d:%d %s\n%s", fault.At.Line, fault.At.Column, fault.Message, text)
	}
	return string(got)
}

func TestFormat(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"a comment further in than its entry": {
			"owner:\n    name: a\n        # first\n    # second\noffers: []\n", "owner:\n  name: a\n  # first\n  # second\noffers: []\n",
		},
		"comments behind a text": {
			"labels:\n        c: |\n            keep\n          # in\n    # out\n        d: x\n",
			"labels:\n  c: |\n    keep\n  # in\n  # out\n  d: x\n",
		},
		"spaces at the end of a text": {
			"labels:\n    c: |2\n        keep\n       \nversion: 1\n", "version: 1\nlabels:\n  c: |2\n      keep\n     \n",
		},
		"blank lines move with their field": {
			"owner: {name: a}\n\n# b\nlabels: {}\ntags: [a]\nversion: 1\n",
			"version: 1\nowner: {name: a}\n\n# b\nlabels: {}\ntags: [a]\n",
		},
		"blank lines above the field that comes first": {
			"tags: [a]\n\n# b\nlabels: {}\n\nversion: 1\n", "version: 1\n\n# b\nlabels: {}\n\ntags: [a]\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := formatted(t, test.text)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if twice := formatted(t, got); twice != got {
				t.Errorf("a second time:\n%s", twice)
			}
		})
	}
}

// Comments and blank lines at any place of a file stay, and a second time changes nothing.
func TestFormatOfAnyComments(t *testing.T) {
	lines := strings.Split(`offers:
- parts:
  - x
  - y
  when: |
      first
        second
  name: "a"
-   parts: [a,
      b]
    when: >-
          folded
          text
    name: "two
          lines"
shelves:
    low:
        height: 1
        owners:
        - name: a
        - {name: b}
labels: # behind
  c: |+
    keep

  d: x
owner:
    name: a
version: 1`, "\n")
	random := rand.New(rand.NewPCG(3, 4))
	added := []string{"# a", "# b: c", "", "   ", "\t", "- # d"}
	tried := 0
	for range 1500 {
		text := slices.Clone(lines)
		for i := range 1 + random.IntN(4) {
			line := added[random.IntN(5)]
			if strings.HasPrefix(line, "#") {
				line = strings.Repeat(" ", random.IntN(13)) + line + fmt.Sprint(i)
			}
			text = slices.Insert(text, random.IntN(len(text)+1), line)
		}
		whole := strings.Join(text, "\n") + "\n"
		if f, fault := Parse("shop.yaml", []byte(whole)); fault != nil || f.root == nil {
			continue
		}
		tried++
		once := formatted(t, whole)
		if twice := formatted(t, once); twice != once {
			t.Fatalf("-once +twice:\n%s\nof\n%s", cmp.Diff(once, twice), whole)
		}
	}
	if tried < 500 {
		t.Errorf("%d texts were tried", tried)
	}
}

// What cannot be kept is named with its place and a way out.
func TestFormatNamesWhatItCannotKeep(t *testing.T) {
	parse := func(text string) *File {
		f, fault := Parse("shop.yaml", []byte(text))
		if fault != nil {
			t.Fatal(fault.Message)
		}
		return f
	}
	s, of := NewSchema(nil), reflect.TypeFor[shop]()
	before := parse("labels:\n  c: |\n    keep\n  # in\n  d: [a, b]\n")
	for after, want := range map[string]string{
		"labels:\n  c: |\n    keep\n    # in\n  d: [a, b]\n": "4:3 fmt cannot keep this comment: put it right above a field",
		"labels:\n  c: |\n    kept\n  # in\n  d: [a, b]\n":   "2:3 fmt cannot move this without changing what it means: write it on one line",
		"labels:\n  c: |\n    keep\n  # in\n  d: [a, c]\n":   "5:10 fmt cannot move this",
		"labels:\n  c: |\n    keep\n  # in\n":                "5:3 fmt cannot move this",
	} {
		fault := before.unlike(parse(after), nil, s, of)
		if got := fmt.Sprintf("%d:%d %s", fault.At.Line, fault.At.Column, fault.Message); !strings.HasPrefix(got, want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	fault := before.unlike(&File{text: "# in\n  d: [a, b]\n"}, &Fault{At: position(2, 1)}, s, of)
	if fault.At != position(5, 3) {
		t.Errorf("a text that is not YAML: %v", fault.At)
	}
}

// A line of many maps is not copied for each of them.
func TestFormatOfALongLine(t *testing.T) {
	allocated := func(maps int) uint64 {
		f, fault := Parse("shop.yaml", []byte("offers: ["+strings.Repeat("{owner: {name: a}, version: 1}, ", maps)+"]\n"))
		if fault != nil {
			t.Fatal(fault.Message)
		}
		l := &layout{schema: NewSchema(nil), lines: strings.Split(f.text, "\n"), inBraces: map[int][]rune{}}
		l.schema.Fields(reflect.TypeFor[shop]())
		fields, _ := pairs(f.root)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		l.braces(fields[0].Value, reflect.TypeFor[[]shop]())
		runtime.ReadMemStats(&after)
		if !strings.HasPrefix(string(l.inBraces[0]), "offers: [{version: 1, owner: {name: a}}, ") {
			t.Errorf("not in order: %.50s", string(l.inBraces[0]))
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	if few, many := allocated(100), allocated(1600); many > 40*few {
		t.Errorf("100 maps take %d bytes, 1600 take %d", few, many)
	}
}
