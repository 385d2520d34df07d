package yamldoc

import (
	"slices"
	"strings"
	"time"
)

// Text is a scalar that is text. A scalar that YAML reads as something else is a
// fault.
type Text struct {
	Value string
	At    Position
	Plain bool // written without quotes, and not as a block
	Bad   bool // a fault of it was reported
	Null  bool // nothing is written, and that is allowed
}

// HasConstant says whether ${ is in the text. Of a field with the option "constant" the
// form of such a text is not checked: that is for whoever works it out.
func (t *Text) HasConstant() bool { return strings.Contains(t.Value, "${") }

// Texts is one text, or a list of them.
type Texts []Text

// Scalar is a value that is not text. At is not known if the field is missing or at
// fault.
type Scalar[T any] struct {
	Value T
	At    Position
}

type (
	// Duration is written as text such as 1d12h.
	Duration = Scalar[time.Duration]
	// Size is written as a number of bytes, or as text such as 25MiB.
	Size = Scalar[Bytes]
	// Integer is a whole number; 1.0 and 1e3 are too.
	Integer = Scalar[int64]
	// Number is any number.
	Number = Scalar[float64]
	// Boolean is true or false.
	Boolean = Scalar[bool]
)

// Bytes is a number of bytes.
type Bytes int64

// Or gives the value, or fallback where nothing is written.
func (s Scalar[T]) Or(fallback T) T {
	if s.At.Known() {
		return s.Value
	}
	return fallback
}

// Map is a map with names of the user's choice, in the order of the file.
type Map[T any] struct {
	Entries []Entry[T]
	Partial bool // some entries could not be read: their names are not known
}

// Entry is one element of a [Map].
type Entry[T any] struct {
	Key   Text
	Value T
}

// anyMap is a Map of any type of values.
type anyMap interface{ partial() }

func (m *Map[T]) partial() { m.Partial = true }

// Object is embedded in the struct of each map of a document.
type Object struct {
	At Position

	// Label is the text of the field with the option "label", even where that text is
	// at fault; the paths of faults begin at this object then. Path is where an object
	// with such a field is written that has no label: rules[3].
	Label, Path string

	// Constants says that some text of it, or of an object in it, is of a field with the
	// option "constant" and has ${ in it.
	Constants bool

	bad     []string // fields with a fault; "" for a field that is not known, or for all of it
	partial bool     // fields of it may be among what could not be read
	taken   []string // fields that a tag in it took for its value, of it or of objects around it
}

// Document is a pointer to a struct that embeds [Object].
type Document interface{ object() *Object }

func (o *Object) object() *Object { return o }

// MayHave says whether the object may have one of the fields although none was read:
// the field is at fault, or it may be an unknown one, or among what could not be read.
func (o *Object) MayHave(fields ...string) bool { return o.lost() || o.Misread(fields...) }

// Misread says whether one of the fields is at fault, or the object has an unknown one.
func (o *Object) Misread(fields ...string) bool {
	return slices.ContainsFunc(o.bad, func(b string) bool { return b == "" || slices.Contains(fields, b) })
}

// Lost says whether one of the fields is among what could not be read.
func (o *Object) Lost(fields ...string) bool {
	return o.partial || slices.ContainsFunc(o.taken, func(t string) bool { return slices.Contains(fields, t) })
}

func (o *Object) lost() bool { return o.partial || len(o.taken) > 0 }

// Sound says whether all of the object was read, without a fault.
func (o *Object) Sound() bool { return o.At.Known() && !o.lost() && len(o.bad) == 0 }
