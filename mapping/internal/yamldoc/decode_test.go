package yamldoc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shop is a document of none of our own: what the package knows, it knows of tags.
type shop struct {
	Object `ignored:"x-"`

	Version Integer    `yaml:"version,required" min:"1" max:"1"`
	Owner   *person    `yaml:"owner"`
	Shelves Map[shelf] `yaml:"shelves" keys:"name"`
	Labels  Map[Text]  `yaml:"labels,strict" keys:"name"`
	Offers  []offer    `yaml:"offers" min:"1"`
	Open    *hours     `yaml:"open,null"`
	Tags    Texts      `yaml:"tags" form:"name"`
	Colour  Text       `yaml:"colour" enum:"red|green"`
	Unit    Text       `yaml:"unit" enum:"kg"`
	Rate    Number     `yaml:"rate" above:"0" max:"10"`
	Stop    Duration   `yaml:"stop"`
	Space   Size       `yaml:"space" min:"1KiB" max:"1MiB"`
	Sunday  Boolean    `yaml:"sunday" default:"false"`
	Late    *late      `yaml:"late"`
	Box     *box       `yaml:"box"`
}

type late struct {
	Object

	Always Boolean `yaml:",scalar"`
	Until  Text    `yaml:"until,required"`
}

type box struct {
	Object

	Word   Text    `yaml:",scalar" enum:"small|large"`
	Height Integer `yaml:"height"`
}

type person struct {
	Object

	Name Text `yaml:"name,required" form:"password"`
}

func (*person) Shape() (form, why string) { return "{name: NAME}", "a person has a name" }

type shelf struct {
	Object

	Owners []person `yaml:"owners"`
	Height Integer  `yaml:"height"`
}

type offer struct {
	Object

	Name  Text  `yaml:"name,required,label" form:"name"`
	When  Text  `yaml:"when,required"`
	Parts Texts `yaml:"parts"`
}

func (*offer) Misnamed(field string) string {
	switch field {
	case "on":
		return "when"
	case "pieces":
		return "it belongs under parts"
	}
	return ""
}

type hours struct {
	Object

	From Text `yaml:"from"`
}

func shopSchema() *Schema {
	s := NewSchema(map[string]Form{
		"name":     {Pattern: `[a-z]+`, Is: "a name of a to z", Max: 8, Not: []Not{{Texts: []string{"nul", "con"}, Why: "this name is taken"}}},
		"password": {Pattern: `[A-Z]+`, Is: "in capitals", Min: 1, Max: 8, Secret: true},
	})
	s.Instead = "write it out"
	return s
}

func decodeShop(t *testing.T, text string) (*shop, *File, []string) {
	t.Helper()
	file, fault := Parse("shop.yaml", []byte(text))
	if fault != nil {
		t.Fatalf("%v: %s", fault.At, fault.Message)
	}
	var s shop
	var faults []string
	for _, f := range file.Decode(shopSchema(), &s) {
		faults = append(faults, fmt.Sprintf("%v [%s] %s: %s", f.At, f.Label, f.Path, f.Message))
	}
	return &s, file, faults
}

func TestDecode(t *testing.T) {
	s, _, faults := decodeShop(t, `version: 1.0
owner: {name: ANN}
shelves:
  upper: {height: 1e1, owners: [{name: BOB}]}
  lower: {}
labels: {a: 'yes', b: text}
offers:
  - name: tea
    when: |
      daily
    parts: leaf
  - {name: cake, when: "weekly", parts: [egg, flour]}
open:
tags: [a, b]
colour: red
rate: 2.5
stop: 1d12h
space: 2KiB
sunday: true
`)
	if faults != nil {
		t.Fatal(faults)
	}
	at := func(line, column int32) Position { return Position{line, column} }
	if s.Version != (Integer{1, at(1, 10)}) || s.Rate != (Number{2.5, at(16, 7)}) || s.Stop != (Duration{36 * time.Hour, at(17, 7)}) ||
		s.Space != (Size{2048, at(18, 8)}) || s.Sunday != (Boolean{true, at(19, 9)}) {
		t.Errorf("scalars: %+v", s)
	}
	if diff := cmp.Diff(Texts{{Value: "a", At: at(14, 8), Plain: true}, {Value: "b", At: at(14, 11), Plain: true}}, s.Tags); diff != "" {
		t.Errorf("tags: %s", diff)
	}
	if len(s.Shelves.Entries) != 2 || s.Shelves.Entries[0].Key.Value != "upper" || s.Shelves.Entries[0].Value.Height.Value != 10 ||
		s.Shelves.Entries[0].Value.Owners[0].Name.Value != "BOB" || s.Shelves.Entries[1].Key.At != at(5, 3) || s.Shelves.Partial {
		t.Errorf("shelves: %+v", s.Shelves)
	}
	if len(s.Labels.Entries) != 2 || s.Labels.Entries[0].Value != (Text{Value: "yes", At: at(6, 13)}) {
		t.Errorf("labels: %+v", s.Labels)
	}
	if o := s.Offers; len(o) != 2 || o[0].Label != "tea" || o[0].When.Value != "daily\n" || len(o[0].Parts) != 1 ||
		o[1].At != at(12, 5) || !o[1].Sound() {
		t.Errorf("offers: %+v", s.Offers)
	}
	if s.Open == nil || s.Open.At != at(13, 6) || s.Unit.At.Known() || !s.Sound() {
		t.Errorf("open %+v, unit %+v", s.Open, s.Unit)
	}
}

func TestDecodeFaults(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"no map": {"[a]", "1:1 [] : want a map, this is a list"},
		"a field that is none": {
			"version: 1\nnope: x",
			"2:1 [] nope: unknown field; known are version, owner, shelves, labels, offers, open, tags, colour, unit, rate, stop, space, sunday, late, box",
		},
		"letters swapped": {"vresion: 1", `1:1 [] vresion: unknown field; did you mean "version"?`},
		"a hint that is a field": {
			"version: 1\noffers: [{name: tea, on: daily}]", `2:22 [tea] on: unknown field; did you mean "when"?`,
		},
		"a hint that is a sentence": {
			"version: 1\noffers: [{name: tea, when: daily, pieces: leaf}]", "2:35 [tea] pieces: unknown field; it belongs under parts",
		},
		"required": {
			"version: 1\noffers: [{when: daily}, {name: tea}]",
			"2:10 [] offers[0].name: required\n" +
				"2:25 [tea] when: required",
		},
		"twice":        {"version: 1\nversion: 1", "2:1 [] version: given twice; the first is at shop.yaml:1:1"},
		"a name twice": {"version: 1\nlabels: {a: x, a: y}", "2:16 [] labels.a: given twice; the first is at shop.yaml:2:10"},
		"a name that is none": {
			"version: 1\nlabels: {A: x, nul: y, 1: z}",
			"2:10 [] labels.A: \"A\" is not a name of a to z\n" +
				"2:16 [] labels.nul: this name is taken\n" +
				"2:24 [] labels.1: the name is a number: quote it",
		},
		"a shape": {"version: 1\nowner: ann", "2:8 [] owner: a person has a name: write {name: NAME}"},
		"a list of a shape": {
			"version: 1\nshelves: {a: {owners: ann}}",
			"2:23 [] shelves.a.owners: want a list of {name: NAME}, this is text",
		},
		"what may be a secret": {"version: 1\nowner: {name: hunter2}", "2:15 [] owner.name: this is not in capitals"},
		"a number of a secret": {"version: 1\nowner: {name: 12}", "2:15 [] owner.name: this is a number to YAML: quote it"},
		"an empty list":        {"version: 1\noffers: []", "2:9 [] offers: the list is empty"},
		"no text in a list":    {"version: 1\ntags: []", "2:7 [] tags: the list is empty: leave the field out to mean all"},
		"a number for text":    {"version: 1\ntags: 1.0", "2:7 [] tags: 1.0 is a number to YAML: quote it, '1.0'"},
		"too long":             {"version: 1\ntags: abcdefghi", "2:7 [] tags: at most 8 characters, this has 9"},
		"yes for a reader":     {"version: 1\nlabels: {a: yes}\ntags: yes", "2:13 [] labels.a: yes is a boolean to YAML: quote it, 'yes'"},
		"one of two":           {"version: 1\ncolour: gren", `2:9 [] colour: "gren" is not one of red, green; did you mean "green"?`},
		"one of one":           {"version: 1\nunit: g", `2:7 [] unit: "g" is not "kg"`},
		"another version":      {"version: 2", "1:10 [] version: want 1, this is 2"},
		"bounds": {
			"version: 1\nrate: 0\nspace: 2MiB",
			"2:7 [] rate: 0 is not over 0\n" +
				"3:8 [] space: 2097152 bytes: want 1KiB to 1MiB",
		},
		"no unit": {
			"version: 1\nstop: 5\nspace: 2.5",
			"2:7 [] stop: 5 has no unit: want a duration such as 30s, 5m, 24h or 1d12h\n" +
				"3:8 [] space: want a whole number of bytes, or text such as 25MiB, this is 2.5",
		},
		"a size without a unit": {
			"version: 1\nspace: '2048'",
			`2:8 [] space: "2048" is not a size: a number of bytes, or text such as 25MiB or 10MB`,
		},
		"a tab":                   {"version: 1\ntags: a\tb", "2:7 [] tags: a tab inside unquoted text: quote it"},
		"an alias that is a glob": {"version: 1\ntags: *.go", "2:7 [] tags: YAML reads an unquoted * as an alias: quote it, '*.go'"},
		"an alias of nothing":     {"version: 1\ntags: *go", "2:7 [] tags: aliases are not part of this language: write it out; if it is text, quote it: '*go'"},
		"a tag":                   {"version: 1\ntags: !go x", "2:7 [] tags: YAML reads an unquoted ! as a tag: quote it, '!go'"},
		"a merge": {
			"version: 1\nshelves: {a: {<<: *b, hight: 1}}",
			"2:15 [] shelves.a: merge keys (<<) are not part of this language: write it out\n" +
				`2:23 [] shelves.a.hight: unknown field; did you mean "height"?`,
		},
		"behind an anchor": {
			"version: 1\nshelves: {a: &a {height: x}, b: *a}",
			"2:14 [] shelves.a: anchors (&a) are not part of this language: write it out\n" +
				"2:26 [] shelves.a.height: want a whole number, this is text\n" +
				"2:33 [] shelves.b: aliases are not part of this language: write it out; if it is text, quote it: '*a'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, faults := decodeShop(t, test.text)
			if diff := cmp.Diff(test.want, strings.Join(faults, "\n")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// In place of a map stands a scalar where its struct has a field for it.
func TestScalarOrMap(t *testing.T) {
	at := func(line, column int32) Position { return Position{line, column} }
	s, _, faults := decodeShop(t, "version: 1\nlate: true\nbox: small\n")
	if faults != nil || s.Late.Always != (Boolean{true, at(2, 7)}) || s.Late.Until.At.Known() || !s.Late.Sound() || s.Late.At != at(2, 7) ||
		s.Box.Word != (Text{Value: "small", At: at(3, 6), Plain: true}) || !s.Box.Sound() {
		t.Errorf("scalars: %v %+v %+v", faults, s.Late, s.Box)
	}
	s, _, faults = decodeShop(t, "version: 1\nlate: {until: nine}\nbox: {}\n")
	if faults != nil || s.Late.Always.At.Known() || s.Late.Until.Value != "nine" || !s.Box.Sound() || s.Box.Word.At.Known() {
		t.Errorf("maps: %v %+v %+v", faults, s.Late, s.Box)
	}
	for name, test := range map[string]struct{ fields, want string }{
		"text for a boolean":    {"late: always", "2:7 [] late: want true, false or a map, this is text"},
		"yes for a boolean":     {"late: yes", "2:7 [] late: want true, false or a map, this is text"},
		"nothing":               {"late:", "2:7 [] late: want true, false or a map, this is nothing"},
		"a list":                {"box: [small]", "2:6 [] box: want small, large or a map, this is a list"},
		"a number for a word":   {"box: 5", "2:6 [] box: want small, large or a map, this is a number"},
		"another word":          {"box: smal", `2:6 [] box: "smal" is not one of small, large; did you mean "small"?`},
		"a map without a field": {"late: {}", "2:7 [] late.until: required"},
		"an unknown field":      {"box: {hight: 1}", `2:7 [] box.hight: unknown field; did you mean "height"?`},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, faults := decodeShop(t, "version: 1\n"+test.fields)
			if diff := cmp.Diff(test.want, strings.Join(faults, "\n")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if !s.Misread("late", "box") {
				t.Errorf("the document does not know of it: %+v", s)
			}
		})
	}
}

// What begins like a name that is ignored is not looked at, at that place alone. It can hide
// nothing.
func TestIgnored(t *testing.T) {
	_, _, faults := decodeShop(t, "version: 1\nx-a: {b: [&c d]}\nx-: 1\nlate: {until: x, x-b: c}\nx-: 2\nx-c:\n  d: !x\nowner: x\n")
	if diff := cmp.Diff([]string{
		"2:11 [] x-a: anchors (&c) are not part of this language: write it out",
		"4:18 [] late.x-b: unknown field; known are until",
		"5:1 [] x-: given twice; the first is at shop.yaml:3:1",
		"7:6 [] x-c: YAML reads an unquoted ! as a tag: quote it, '!x'",
	}, faults); diff != "" {
		t.Error(diff)
	}
}

// What could not be read may have had a field: nobody is told that it is missing.
func TestLost(t *testing.T) {
	for name, test := range map[string]struct {
		text                  string
		lost, partial, misses bool // fields of the document; names of shelves; the owner may be there
	}{
		"nothing":                   {"version: 1\nshelves: {a: {}}", false, false, false},
		"an unknown field":          {"version: 1\nwner: {}", false, false, true},
		"the field itself":          {"version: 1\nowner: x", false, false, true},
		"another field":             {"version: 1\nrate: x", false, false, false},
		"merged into the document":  {"version: 1\n<<: *x", true, false, true},
		"merged into the names":     {"version: 1\nshelves: {<<: *x, a: {}}", false, true, false},
		"merged into a value":       {"version: 1\nshelves: {a: {<<: *x}}", false, false, false},
		"a tag took a name":         {"version: 1\nshelves:\n  a: !x\n  b: {}", false, true, true},
		"a tag took the next field": {"version: 1\noffers:\n  - name: a\n    when: !x\nowner: {name: A}", true, false, true},
		"an alias for all":          {"*x", true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := decodeShop(t, test.text)
			if s.Lost("owner") != test.lost || s.Shelves.Partial != test.partial || s.MayHave("owner") != test.misses {
				t.Errorf("lost %v, partial %v, may have %v", s.Lost("owner"), s.Shelves.Partial, s.MayHave("owner"))
			}
		})
	}
}

// A text says whether a fault of it was reported.
func TestBad(t *testing.T) {
	s, _, faults := decodeShop(t, "version: 1\ntags: [a, B, 1, '', con, abcdefghi, ~, [a]]\ncolour: blue\nunit: kg\n")
	var bad []bool
	for _, tag := range s.Tags {
		bad = append(bad, tag.Bad)
	}
	diff := cmp.Diff([]bool{false, true, true, true, true, true, true, true}, bad)
	if diff != "" || !s.Colour.Bad || s.Unit.Bad || len(faults) != 8 {
		t.Errorf("tags %s, colour %+v, unit %+v, %q", diff, s.Colour, s.Unit, faults)
	}
}

// A fault inside of a text has its own position, where the file has the text as it is.
func TestInside(t *testing.T) {
	for name, test := range map[string]struct {
		written string // behind "  a: " in the third line
		want    Position
	}{
		"plain":               {"añb WORD", Position{3, 10}},
		"quoted":              {"'a WORD'", Position{3, 9}},
		"in double quotes":    {`"a WORD"`, Position{3, 9}},
		"escaped":             {`"\x61 WORD"`, Position{3, 6}},
		"over lines":          {"a\n    WORD", Position{3, 6}},
		"a block":             {"|\n    a\n    b WORD", Position{5, 7}},
		"a folded block":      {">-\n    a\n    b WORD", Position{3, 6}},
		"a block of one line": {">-\n    a WORD", Position{4, 7}},
	} {
		t.Run(name, func(t *testing.T) {
			s, file, _ := decodeShop(t, "version: 1\nlabels:\n  a: "+test.written+"\n")
			value := s.Labels.Entries[0].Value
			if got := file.Inside(value, strings.Index(value.Value, "WORD")); got != test.want {
				t.Errorf("%v, want %v in %q", got, test.want, value.Value)
			}
		})
	}
	s, file, _ := decodeShop(t, "version: 1\ncolour: red\n")
	if got := file.Inside(s.Colour, 99); got != s.Colour.At {
		t.Errorf("behind the text: %v", got)
	}
}

// FuzzInside checks that every position inside of a text is in the file, and shows the
// character of the text that was asked for, unless it is the position of the text.
func FuzzInside(f *testing.F) {
	for _, s := range []string{
		"añb c", "'a b'", `"a b"`, `"\x61 b"`, "a\n    b", "|\n    a\n    b c", ">-\n    a\n\n    b", "|2\n     a\n", "'it''s'", "|+\n    a\n\n\n",
		"&x |\n    a", "!!str a", "\"a\\\n    b\"", "|-  # a comment\n    a", "'|a'", "a\r\n    b", "\ufeffa",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, written string) {
		file, fault := Parse("shop.yaml", []byte("version: 1\nlabels:\n  a: "+written+"\n"))
		if fault != nil || len(written) > 1000 {
			return // every position of a long text would take long
		}
		s := new(shop)
		file.Decode(shopSchema(), s)
		for _, label := range s.Labels.Entries {
			text := label.Value
			for offset, r := range text.Value {
				got := file.Inside(text, offset)
				line, known := file.Line(int(got.Line))
				if got != text.At && (!known || r != '\n' && !strings.HasPrefix(string([]rune(line)[got.Column-1:]), string(r))) {
					t.Errorf("offset %d of %q, which is at %v, is at %v", offset, text.Value, text.At, got)
				}
			}
			for _, offset := range []int{-1, len(text.Value), len(text.Value) + 1} {
				file.Inside(text, offset)
			}
		}
	})
}
