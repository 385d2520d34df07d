package codehost

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// unmarshal decodes a body that is one JSON object. Other bodies are malformed, null too,
// which would leave v as it is without an error.
func unmarshal(body []byte, v any) error {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return malformed("the body is empty")
	case bytes.HasPrefix(trimmed, []byte("\xef\xbb\xbf")):
		return malformed("the body begins with a byte order mark, which JSON does not allow: send it without")
	case bytes.HasPrefix(trimmed, []byte("\xff\xfe")), bytes.HasPrefix(trimmed, []byte("\xfe\xff")):
		return malformed("the body begins with the byte order mark of UTF-16: send UTF-8")
	case trimmed[0] != '{':
		return malformed("the body is not a JSON object")
	}
	return decodeJSON(body, v)
}

// decodeJSON decodes a JSON value. As some hosts send them, it takes a name that an object
// has twice, of which the last counts, and text that is not UTF-8.
func decodeJSON(text []byte, v any) error {
	err := json.Unmarshal(text, v, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok {
		path := joinPointer(wrong.JSONPointer)
		if errors.Is(wrong.Err, ErrMalformed) {
			return fmt.Errorf("%w %s", wrong.Err, path)
		}
		return wrongKind(path, wrong.JSONKind)
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return malformed("not JSON at byte %d: %v", syntax.ByteOffset, syntax.Err)
	}
	return malformed("%s", err)
}

// joinPointer writes a JSON pointer (RFC 6901) in the form commits[0].added.
func joinPointer(pointer jsontext.Pointer) string {
	path := ""
	for token := range pointer.Tokens() {
		switch {
		case strings.Trim(token, "0123456789") == "":
			path += "[" + token + "]"
		case path == "":
			path = token
		default:
			path += "." + token
		}
	}
	return path
}

// kindNames are the names of the kinds whose String is not a word.
var kindNames = map[jsontext.Kind]string{
	jsontext.KindTrue: "bool", jsontext.KindFalse: "bool", jsontext.KindBeginObject: "object", jsontext.KindBeginArray: "array",
}

func kindName(kind jsontext.Kind) string { return cmp.Or(kindNames[kind], kind.String()) }

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func wrongKind(field string, kind jsontext.Kind) error {
	return malformed("%s is a JSON %s, which it should not be", field, kindName(kind))
}

func missing(field string) error { return malformed("%s is missing", field) }

// unread replaces a field of the webhooks library that this package does not read. It takes
// any value: a date in another form must not cost a build.
type unread struct{}

func (unread) UnmarshalJSONFrom(d *jsontext.Decoder) error { return d.SkipValue() }

// loose is text that no build depends on. It keeps the digits of a number as they were sent,
// and is "" for any other value.
type loose string

func (l *loose) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*l = ""
	if kind := d.PeekKind(); kind != jsontext.KindString && kind != jsontext.KindNumber {
		return d.SkipValue()
	}
	token, err := d.ReadToken()
	if err == nil {
		*l = loose(token.String())
	}
	return err
}

// optional is an object that no build depends on. It is empty for any other value.
type optional[T any] struct{ v T }

func (o *optional[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*o = optional[T]{}
	if d.PeekKind() != jsontext.KindBeginObject {
		return d.SkipValue()
	}
	return decodeNext(d, &o.v)
}

// looseBool is a boolean that says whether a ref is new or forced. Any other value counts
// as true: then the changed files are not known.
type looseBool bool

func (f *looseBool) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	kind := d.PeekKind()
	*f = kind != jsontext.KindFalse && kind != jsontext.KindNull
	return d.SkipValue()
}

// list is a JSON array, of which at most maxElements are kept: decoded, a short element
// may be sixty times as large.
type list[T any] struct {
	kept []T           // nil if it is null, absent or no array
	n    int           // number of elements, including those that are not kept
	odd  jsontext.Kind // its kind if it is not an array, else 0
}

// maxElements is more than any host sends.
const maxElements = 20_000

func (l *list[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*l = list[T]{}
	if kind := d.PeekKind(); kind != jsontext.KindBeginArray {
		if kind != jsontext.KindNull {
			l.odd = kind
		}
		return d.SkipValue()
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for l.kept = []T{}; d.PeekKind() != jsontext.KindEndArray; l.n++ {
		if len(l.kept) == maxElements {
			if err := d.SkipValue(); err != nil {
				return err
			}
			continue
		}
		l.kept = append(l.kept, *new(T))
		if err := decodeNext(d, &l.kept[len(l.kept)-1]); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// written is a JSON value as it is written, "" for none. A list takes less memory so.
type written string

func (w *written) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	*w = written(value)
	return err
}

// list reads a list of texts. If it has no escapes, as most, it does not decode it.
func (w written) list() (list[string], error) {
	if w == "" {
		return list[string]{}, nil
	}
	if w[0] != '[' || strings.Contains(string(w), `\`) {
		return w.decodedList()
	}
	l := list[string]{kept: make([]string, 0, min(strings.Count(string(w), `"`)/2, maxElements))}
	between, inside := "[", false
	for part := range strings.SplitSeq(string(w), `"`) {
		switch {
		case inside:
			if l.n++; l.n <= maxElements {
				l.kept = append(l.kept, part)
			}
		case strings.TrimSpace(part) == between:
			between = ","
		case strings.TrimRight(part, "] \t\r\n") == strings.TrimSuffix(between, ","):
			return l, nil // the end: it is known to be JSON
		default:
			return w.decodedList()
		}
		inside = !inside
	}
	return w.decodedList()
}

func (w written) decodedList() (l list[string], err error) {
	err = decodeJSON([]byte(w), &l)
	return l, err
}

type field struct {
	name string
	into json.UnmarshalerFrom
}

// object reads an object of which few fields are needed, at half the cost of a struct.
// null changes nothing.
func object(d *jsontext.Decoder, fields ...field) error {
	if d.PeekKind() != jsontext.KindBeginObject {
		return json.UnmarshalDecode(d, &struct{}{})
	}
	return members(d, func(name []byte) error {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == string(name) })
		if i < 0 {
			return d.SkipValue()
		}
		return fields[i].into.UnmarshalJSONFrom(d)
	})
}

// members reads an object. value reads the value of a name, which it must not keep.
func members(d *jsontext.Decoder, value func(name []byte) error) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != jsontext.KindEndObject {
		name, err := d.ReadValue()
		if err != nil {
			return err
		}
		if bytes.IndexByte(name, '\\') < 0 {
			name = name[1 : len(name)-1]
		} else if name, err = jsontext.AppendUnquote(nil, name); err != nil {
			name = nil
		}
		if err := value(name); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// decodeNext is json.UnmarshalDecode, without its cost for a type that decodes itself.
func decodeNext(d *jsontext.Decoder, v any) error {
	if v, ok := v.(json.UnmarshalerFrom); ok {
		return v.UnmarshalJSONFrom(d)
	}
	return json.UnmarshalDecode(d, v)
}

// text is a string that a build depends on, for object.
type text string

func (t *text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != jsontext.KindString {
		return json.UnmarshalDecode(d, (*string)(t))
	}
	token, err := d.ReadToken()
	if err == nil {
		*t = text(token.String())
	}
	return err
}

// boolean is a boolean that a build depends on, for object.
type boolean bool

func (b *boolean) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return json.UnmarshalDecode(d, (*bool)(b))
}

// topFields are the fields at the top of a body, as they are written. A body with more
// than maxFields, which no host sends, is malformed: in the map each takes a hundred
// bytes.
type topFields map[string]jsontext.Value

const maxFields = 1000

func (f *topFields) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if kind := d.PeekKind(); kind != jsontext.KindBeginObject {
		return malformed("want an object, this is %s", kindName(kind))
	}
	*f = topFields{}
	return members(d, func(name []byte) error {
		key := string(name)
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		if (*f)[key] = value.Clone(); len(*f) > maxFields {
			return malformed("more than %d fields", maxFields)
		}
		return nil
	})
}

// all gives the elements of a list of changes. Each may be a build: a list that is not
// kept whole is malformed.
func (l *list[T]) all(name string) ([]T, error) {
	switch {
	case l.odd != 0:
		return nil, wrongKind(name, l.odd)
	case l.kept == nil:
		return nil, missing(name)
	case l.n > len(l.kept):
		return nil, malformed("%s has %d elements, more than %d", name, l.n, maxElements)
	}
	return l.kept, nil
}
