package mapping

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// shape is what the tags of a document type say; see [document].
type shape struct {
	fields []*field
	byName map[string]*field
	names  []string
}

type field struct {
	name     string
	index    int
	required bool
	null     bool // may be written without a value
	doc      string
	fallback string // the default, as JSON

	enum     []string
	pattern  *regexp.Regexp // of the whole text
	is       string
	hide     bool
	min, max *float64
	above    *float64

	keys   *regexp.Regexp
	keyIs  string
	keyMax int
	not    []string
}

// shapes caches what reflection found, for one load.
type shapes map[reflect.Type]*shape

func (ss shapes) of(t reflect.Type) *shape {
	if s, ok := ss[t]; ok {
		return s
	}
	s := &shape{byName: map[string]*field{}}
	for i := range t.NumField() {
		sf := t.Field(i)
		name, option, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if name == "" {
			continue
		}
		f := &field{
			name:     name,
			index:    i,
			required: option == "required",
			null:     option == "null",
			doc:      sf.Tag.Get("doc"),
			fallback: sf.Tag.Get("default"),
			enum:     words(sf.Tag.Get("enum")),
			pattern:  whole(sf.Tag.Get("pattern")),
			is:       sf.Tag.Get("is"),
			hide:     sf.Tag.Get("hide") != "",
			min:      bound(sf.Tag.Get("min")),
			max:      bound(sf.Tag.Get("max")),
			above:    bound(sf.Tag.Get("above")),
			keys:     whole(sf.Tag.Get("keys")),
			keyIs:    sf.Tag.Get("keyis"),
			not:      words(sf.Tag.Get("not")),
		}
		if m := bound(sf.Tag.Get("keymax")); m != nil {
			f.keyMax = int(*m)
		}
		s.fields = append(s.fields, f)
		s.byName[name] = f
		s.names = append(s.names, name)
	}
	ss[t] = s
	return s
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "|")
}

// whole compiles a pattern of a tag to match the whole text.
func whole(pattern string) *regexp.Regexp {
	if pattern == "" {
		return nil
	}
	return regexp.MustCompile("^(?:" + pattern + ")$")
}

func bound(s string) *float64 {
	if s == "" {
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("mapping: bad bound in a tag: " + s)
	}
	return &f
}
