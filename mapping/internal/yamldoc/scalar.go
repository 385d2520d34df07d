package yamldoc

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"buildbridge/mapping/notation"
	"buildbridge/mapping/printable"
)

// text decodes a text, and checks it.
func (d *decoder) text(n ast.Node, at Position, into *Text, f *Field) {
	faults := len(d.faults)
	defer func() { into.Bad = len(d.faults) > faults }()
	hide := f.Form != nil && f.Form.Secret
	misread := func(text, kind string) {
		if f.Form != nil && f.Form.refuses(text) != "" {
			d.fault(at, "%s", f.Form.refuses(text)) // quoted it is refused as well
		} else if hide {
			d.fault(at, "this is %s to YAML: quote it", kind)
		} else {
			d.fault(at, "%s is %s to YAML: quote it, %s", clip(text), kind, quote(text))
		}
	}
	switch n := n.(type) {
	case *ast.StringNode:
		*into = Text{Value: n.Value, At: at, Plain: isPlain(n)}
		if !into.Plain {
			break
		}
		if kind := plainKind(n.Value, f.Strict); kind != "" {
			misread(n.Value, kind)
			return
		}
	case *ast.LiteralNode:
		*into = Text{Value: n.Value.Value, At: at}
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode, *ast.BoolNode:
		misread(written(n), kindOf(n))
		return
	case *ast.NullNode:
		if f.Null {
			*into = Text{At: at, Null: true}
			return
		}
		if f.Form != nil && (f.Form.Min > 0 || f.Form.whole != nil) {
			d.fault(at, "want text, this is nothing")
		} else {
			d.fault(at, `want text, this is nothing; write "" for empty text`)
		}
		return
	default:
		d.fault(at, "want text, this is %s; quote it if it is text", kindOf(n))
		return
	}
	if f.Enum != nil && !slices.Contains(f.Enum, into.Value) {
		d.fault(at, "%q is not %s", clip(into.Value), OneOf(into.Value, f.Enum))
		return
	}
	if f.Constant && into.HasConstant() {
		d.constants++
		return
	}
	d.check(into, f.Form)
}

// check reports what is wrong with the form of a text.
func (d *decoder) check(t *Text, f *Form) {
	if wrong := f.Wrong(t.Value); wrong != "" {
		d.fault(t.At, "%s", wrong)
	}
}

// OneOf names the words that are allowed instead of a word, and the one that it
// is likely a misspelling of.
func OneOf(word string, allowed []string) string {
	if len(allowed) == 1 {
		return strconv.Quote(allowed[0])
	}
	return "one of " + strings.Join(allowed, ", ") + Suggest(word, allowed)
}

func (d *decoder) boolean(n ast.Node, at Position, into *Boolean) {
	if b, ok := n.(*ast.BoolNode); ok {
		*into = Boolean{b.Value, at}
	} else {
		d.fault(at, "want true or false, this is %s", kindOf(n))
	}
}

func (d *decoder) integer(n ast.Node, at Position, into *Integer, f *Field) {
	i, ok := wholeNumber(n)
	if !ok {
		d.fault(at, "want a whole number, this is %s", shown(n))
		return
	}
	*into = Integer{i, at}
	d.bounds(float64(i), at, f)
}

func (d *decoder) number(n ast.Node, at Position, into *Number, f *Field) {
	v, ok := decimal(n)
	if !ok {
		d.fault(at, "want a number, this is %s", shown(n))
		return
	}
	*into = Number{v, at}
	d.bounds(v, at, f)
}

func (d *decoder) bounds(v float64, at Position, f *Field) {
	switch {
	case f.Above != nil && v <= *f.Above:
		d.fault(at, "%v is not over %v", v, *f.Above)
	case f.Min != nil && f.Max != nil && *f.Min == *f.Max && v != *f.Min:
		d.fault(at, "want %v, this is %v", *f.Min, v)
	case f.Min != nil && v < *f.Min:
		d.fault(at, "%v is less than %v", v, *f.Min)
	case f.Max != nil && v > *f.Max:
		d.fault(at, "%v is more than %v", v, *f.Max)
	}
}

var wholeDecimal = regexp.MustCompile(`^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$`)

// decimal reads a number as YAML 1.2 and JSON write it. To the parser 1e3 is text.
func decimal(n ast.Node) (float64, bool) {
	if kindOf(n) != "a number" || !wholeDecimal.MatchString(written(n)) {
		return 0, false
	}
	v, err := strconv.ParseFloat(written(n), 64)
	return v, err == nil
}

// wholeNumber reads an integer. As in JSON schema, 1.0 and 1e3 are integers.
func wholeNumber(n ast.Node) (int64, bool) {
	v, ok := decimal(n)
	if !ok || v != math.Trunc(v) || math.Abs(v) > 1<<53 {
		return 0, false
	}
	return int64(v), true
}

func (d *decoder) duration(n ast.Node, at Position, into *Duration, f *Field) {
	if kindOf(n) == "a number" {
		d.fault(at, "%s has no unit: want a duration such as 30s, 5m, 24h or 1d12h", written(n))
		return
	}
	var t Text
	if d.text(n, at, &t, &Field{}); t.Bad {
		return
	}
	v, ok := notation.Duration(t.Value)
	if !ok {
		d.fault(at, "%q is not a duration such as 30s, 5m, 24h or 1d12h", clip(t.Value))
		return
	}
	if f.Min != nil && (float64(v) < *f.Min || float64(v) > *f.Max) {
		d.fault(at, "%s is out of bounds: want %s", t.Value, f.bounds)
	}
	*into = Duration{v, at}
}

// SizePattern is a regular expression for a size that is text: a number and a unit.
const SizePattern = `^([0-9]+) ?(B|kB|KB|MB|KiB|MiB)$`

var sizeForm = regexp.MustCompile(SizePattern)

func (d *decoder) size(n ast.Node, at Position, into *Size, f *Field) {
	v, ok := wholeNumber(n)
	if !ok && kindOf(n) == "a number" {
		d.fault(at, "want a whole number of bytes, or text such as 25MiB, this is %s", shown(n))
		return
	}
	if !ok {
		var t Text
		if d.text(n, at, &t, &Field{}); t.Bad {
			return
		}
		if v, ok = notation.Size(t.Value); !ok || !sizeForm.MatchString(t.Value) {
			d.fault(at, "%q is not a size: a number of bytes, or text such as 25MiB or 10MB", clip(t.Value))
			return
		}
	}
	if float64(v) < *f.Min || float64(v) > *f.Max {
		d.fault(at, "%d bytes: want %s", v, f.bounds)
		return
	}
	*into = Size{Bytes(v), at}
}

// clip shortens text for a message.
func clip(s string) string { return printable.Clip(s, 80) }

// withoutUser takes user and password out of an address: faults are logged.
func withoutUser(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	at := strings.LastIndex(rest, "@")
	if !ok || at < 0 {
		return s
	}
	return scheme + "://[hidden]" + rest[at:]
}

// quote writes text as a quoted scalar.
func quote(s string) string { return "'" + strings.ReplaceAll(clip(s), "'", "''") + "'" }
