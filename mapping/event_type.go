package mapping

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

const eventTypeName = "Event"

// eventField is a field of the event as expressions see it.
type eventField struct {
	name string
	*types.FieldType
}

func newEventField(name string, kind *types.Type, get func(*activation) (any, error)) eventField {
	return eventField{name, &types.FieldType{
		Type: kind,
		// An event has all of its fields: has(event.x) is true.
		IsSet: func(any) bool { return true },
		GetFrom: func(obj any) (any, error) {
			a, ok := obj.(*activation)
			if !ok {
				return nil, fmt.Errorf("%s of %T", name, obj)
			}
			return get(a)
		},
	}}
}

// eventFields are the fields of the event, in the order in which messages list them.
var eventFields = []eventField{
	stringField("source", func(e *Event) string { return e.Source }),
	stringField("provider", func(e *Event) string { return e.Provider }),
	stringField("kind", func(e *Event) string { return string(e.Kind) }),
	stringField("repository", func(e *Event) string { return e.Repository }),
	stringField("owner", func(e *Event) string { return e.Owner }),
	stringField("name", func(e *Event) string { return e.Name }),
	stringField("ref", func(e *Event) string { return e.Ref }),
	stringField("branch", func(e *Event) string { return e.Branch }),
	stringField("tag", func(e *Event) string { return e.Tag }),
	stringField("commit", func(e *Event) string { return e.Commit }),
	stringField("before", func(e *Event) string { return e.Before }),
	boolField("created", func(e *Event) bool { return e.Created }),
	boolField("forced", func(e *Event) bool { return e.Forced }),
	stringField("message", message),
	newEventField("title", types.StringType, func(a *activation) (any, error) { return a.title(), nil }),
	stringField("author", func(e *Event) string { return e.Author }),
	stringField("pusher", func(e *Event) string { return e.Pusher }),
	stringField("url", func(e *Event) string { return e.URL }),
	newEventField("files", types.NewListType(types.StringType), func(a *activation) (any, error) {
		return types.NewStringList(types.DefaultTypeAdapter, a.event.Files), nil
	}),
	newEventField("commits", types.NewListType(types.NewObjectType(commitTypeName)), func(a *activation) (any, error) {
		return newCommitList(a.event.Commits), nil
	}),
	boolField("files_complete", func(e *Event) bool { return e.FilesComplete }),
	stringField("default_branch", func(e *Event) string { return e.DefaultBranch }),
	stringField("origin", func(e *Event) string { return string(cmp.Or(e.Origin, OriginWebhook)) }),
}

// stringField is a text of at most maxSeen bytes. A longer one is an error: a name that
// is cut would be another name.
func stringField(name string, get func(*Event) string) eventField {
	return newEventField(name, types.StringType, func(a *activation) (any, error) {
		s := get(a.event)
		if len(s) > maxSeen {
			return nil, fmt.Errorf("event.%s has more than %d bytes", name, maxSeen)
		}
		return types.String(s), nil
	})
}

func boolField(name string, get func(*Event) bool) eventField {
	return newEventField(name, types.BoolType, func(a *activation) (any, error) { return types.Bool(get(a.event)), nil })
}

// message is the message of the event, cut after the last character that fits in maxSeen
// bytes.
func message(e *Event) string { return seen(e.Message) }

func seen(text string) string {
	end := min(len(text), maxSeen)
	for end < len(text) && end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// title is the first line of the message. It has no control characters, so that it can
// be the value of a parameter.
func title(e *Event) string { return firstLine(e.Message) }

func firstLine(message string) string {
	line, _, _ := strings.Cut(seen(message), "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, line))
}

func eventFieldNames() []string {
	names := make([]string, 0, len(eventFields))
	for _, f := range eventFields {
		names = append(names, f.name)
	}
	return names
}

// eventProvider tells CEL the type of the event.
type eventProvider struct{ *types.Registry }

func (p eventProvider) FindStructType(name string) (*types.Type, bool) {
	if name == eventTypeName || name == commitTypeName {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Registry.FindStructType(name)
}

func (p eventProvider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name == commitTypeName {
		t, ok := commitFieldTypes[field]
		return t, ok
	}
	if name != eventTypeName {
		return p.Registry.FindStructFieldType(name, field)
	}
	i := slices.IndexFunc(eventFields, func(f eventField) bool { return f.name == field })
	if i < 0 {
		return nil, false
	}
	return eventFields[i].FieldType, true
}

// eventValue is an event as a CEL value.
type eventValue struct{ *activation }

func (eventValue) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("an event is not a %v", t)
}

func (v eventValue) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return cel.ObjectType(eventTypeName)
	}
	return types.NewErr("an event is not a %s", t.TypeName())
}

func (v eventValue) Equal(other ref.Val) ref.Val {
	o, ok := other.(eventValue)
	return types.Bool(ok && o.event == v.event)
}

func (eventValue) Type() ref.Type { return cel.ObjectType(eventTypeName) }

func (v eventValue) Value() any { return v.activation }

// activation gives a program its variables.
type activation struct {
	event     *Event
	constants *constants // not nil
	firstLine any        // event.title once it was asked for: a loop may ask in each round
}

func (a *activation) title() any {
	if a.firstLine == nil {
		a.firstLine = types.String(title(a.event))
	}
	return a.firstLine
}

func (a *activation) ResolveName(name string) (any, bool) {
	switch name {
	case "event":
		return eventValue{a}, true
	case varsName:
		return constantsValue{varsTypeName, a.constants.vars}, true
	case eachName:
		return constantsValue{eachTypeName, a.constants.each}, true
	default:
		return nil, false
	}
}

func (*activation) Parent() cel.Activation { return nil }
