package yamldoc

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"buildbridge/mapping/notation"
)

// Form is what a text has to look like.
type Form struct {
	Pattern  string // a regular expression for the whole text that Go and ECMA read alike; "" for any text
	Is       string // what a text that fits the pattern is, for faults
	Min, Max int    // bounds of the length in characters; 0 is none
	Secret   bool   // the text may be a secret that was pasted there: no fault shows it
	Not      []Not  // texts that fit and are refused

	// Instead says what to write in place of a text that does not fit, "" for what Is says.
	// nil is the same as one that says nothing.
	Instead func(text string) string

	whole *regexp.Regexp // of Pattern, nil for any text
}

// Not is texts that are refused, and why.
type Not struct {
	Texts []string
	Why   string
}

// Wrong says what is wrong with the form of a text, "" if nothing is.
func (f *Form) Wrong(text string) string {
	if f == nil {
		return ""
	}
	length := utf8.RuneCountInString(text)
	switch {
	case length == 0 && (f.Min > 0 || f.whole != nil):
		return "empty"
	case f.whole != nil && !f.whole.MatchString(text):
		if f.Instead != nil {
			if instead := f.Instead(text); instead != "" {
				return instead
			}
		}
		shown := "this"
		if !f.Secret {
			shown = strconv.Quote(clip(withoutUser(text)))
		}
		return shown + " is not " + f.Is
	case f.Max > 0 && length > f.Max:
		return fmt.Sprintf("at most %d characters, this has %d", f.Max, length)
	default:
		return f.refuses(text)
	}
}

// refuses says why a text is refused, "" if it is not.
func (f *Form) refuses(text string) string {
	for _, not := range f.Not {
		if slices.Contains(not.Texts, text) {
			return not.Why
		}
	}
	return ""
}

// Refused lists all texts that are refused.
func (f *Form) Refused() []string {
	var all []string
	for _, not := range f.Not {
		all = append(all, not.Texts...)
	}
	return all
}

// Schema knows what the tags of structs say. It is not safe for concurrent use.
type Schema struct {
	Instead string // what to write in place of anchors, aliases and merge keys, for faults

	forms  map[string]*Form
	shapes map[reflect.Type]*shape
}

// NewSchema makes the schema of structs that use these forms.
func NewSchema(forms map[string]Form) *Schema {
	s := &Schema{forms: map[string]*Form{}, shapes: map[reflect.Type]*shape{}}
	for name, f := range forms {
		if f.Pattern != "" {
			f.whole = regexp.MustCompile("^(?:" + f.Pattern + ")$")
		}
		s.forms[name] = &f
	}
	return s
}

// Field is what the tags of one field say. Form and Keys are nil where the field has
// none, Min, Max and Above where there is no bound.
type Field struct {
	Name     string
	Index    int // in its struct
	Required bool
	Null     bool
	Strict   bool
	Constant bool // ${…} in the text is worked out later: see [HasConstant]
	None     bool
	Empty    bool
	Default  string // as JSON
	Example  string // of an entry of a Map, for the fault of something else; "" for none
	Enum     []string
	Form     *Form
	Keys     *Form
	Values   *Form // of the names of the maps that are the values of a Map

	Min, Max, Above *float64

	bounds string // from Min to Max, as the tags have them
	kind   string // of node, of a scalar in place of a map; else ""
}

// words are what a scalar in place of a map may be.
func (f *Field) words() []string {
	if f.kind == kindBoolean {
		return []string{"true", "false"}
	}
	return f.Enum
}

// absent says what a list means that is left out.
func (f *Field) absent() string {
	if f.None {
		return "none"
	}
	return "all"
}

type shape struct {
	fields []*Field
	names  []string
	byName map[string]*Field
	label  *Field // nil if there is none
	scalar *Field // in place of the map; nil if that is not allowed

	ignored string // fields whose names begin so are; "" for none
}

// Fields gives the fields of the struct of a map, in order.
func (s *Schema) Fields(t reflect.Type) []*Field { return s.of(t).fields }

// Ignored gives how the names of fields of the map of a struct begin that are ignored, "" for
// none.
func (s *Schema) Ignored(t reflect.Type) string { return s.of(t).ignored }

func (s *Schema) instead() string {
	if s.Instead == "" {
		return ""
	}
	return ": " + s.Instead
}

// Scalar gives what may be written in place of the map of a struct, nil for nothing.
func (s *Schema) Scalar(t reflect.Type) *Field { return s.of(t).scalar }

func (s *Schema) of(t reflect.Type) *shape {
	if known, ok := s.shapes[t]; ok {
		return known
	}
	sh := &shape{byName: map[string]*Field{}}
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		options := strings.Split(tag.Get("yaml"), ",")
		scalar := slices.Contains(options, "scalar")
		if ignored, ok := tag.Lookup("ignored"); ok {
			sh.ignored = ignored
		}
		if options[0] == "" && !scalar {
			continue
		}
		f := &Field{
			Name: options[0], Index: i, Default: tag.Get("default"), Example: tag.Get("example"),
			Required: slices.Contains(options, "required"), Null: slices.Contains(options, "null"), Strict: slices.Contains(options, "strict"),
			Constant: slices.Contains(options, "constant"), None: slices.Contains(options, "none"), Empty: slices.Contains(options, "empty"),
			Min: bound(tag.Get("min")), Max: bound(tag.Get("max")), Above: bound(tag.Get("above")),
			Form: s.forms[tag.Get("form")], Keys: s.forms[tag.Get("keys")], Values: s.forms[tag.Get("values")],
		}
		f.bounds = tag.Get("min") + " to " + tag.Get("max")
		if enum := tag.Get("enum"); enum != "" {
			f.Enum = strings.Split(enum, "|")
		}
		if slices.Contains(options, "label") {
			sh.label = f
		}
		if scalar {
			f.kind = scalarKind(t.Field(i).Type, f)
			sh.scalar = f
			continue
		}
		sh.fields, sh.names, sh.byName[f.Name] = append(sh.fields, f), append(sh.names, f.Name), f
	}
	s.shapes[t] = sh
	return sh
}

// scalarKind gives the kind of nodes that a field takes in place of a map.
func scalarKind(t reflect.Type, f *Field) string {
	switch {
	case t == reflect.TypeFor[Boolean]():
		return kindBoolean
	case t == reflect.TypeFor[Text]() && f.Enum != nil:
		return kindText
	default:
		panic("yamldoc: in place of a map stands a boolean, or a text of an enum, not " + t.String())
	}
}

func bound(tag string) *float64 {
	if tag == "" {
		return nil
	}
	if v, err := strconv.ParseFloat(tag, 64); err == nil {
		return &v
	}
	if size, ok := notation.Size(tag); ok {
		return new(float64(size))
	}
	if d, ok := notation.Duration(tag); ok {
		return new(float64(d))
	}
	panic("yamldoc: bad bound in a tag: " + tag)
}
