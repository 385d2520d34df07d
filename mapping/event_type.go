package mapping

import (
	"fmt"
	"reflect"
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
	kind *types.Type
	get  func(*Event) (any, error)
}

func eventFields() []eventField {
	str := func(name string, get func(*Event) string) eventField {
		return eventField{name, types.StringType, func(e *Event) (any, error) {
			s := get(e)
			if len(s) > maxSeen { // a name that is cut would be another name
				return nil, fmt.Errorf("event.%s has more than %d bytes", name, maxSeen)
			}
			return types.String(s), nil
		}}
	}
	flag := func(name string, get func(*Event) bool) eventField {
		return eventField{name, types.BoolType, func(e *Event) (any, error) { return types.Bool(get(e)), nil }}
	}
	return []eventField{
		str("source", func(e *Event) string { return e.Source }),
		str("provider", func(e *Event) string { return e.Provider }),
		str("kind", func(e *Event) string { return string(e.Kind) }),
		str("repository", func(e *Event) string { return e.Repository }),
		str("owner", func(e *Event) string { return e.Owner }),
		str("name", func(e *Event) string { return e.Name }),
		str("ref", func(e *Event) string { return e.Ref }),
		str("branch", func(e *Event) string { return e.Branch }),
		str("tag", func(e *Event) string { return e.Tag }),
		str("commit", func(e *Event) string { return e.Commit }),
		str("before", func(e *Event) string { return e.Before }),
		flag("created", func(e *Event) bool { return e.Created }),
		flag("forced", func(e *Event) bool { return e.Forced }),
		str("message", message),
		str("title", title),
		str("author", func(e *Event) string { return e.Author }),
		str("pusher", func(e *Event) string { return e.Pusher }),
		str("url", func(e *Event) string { return e.URL }),
		{"files", types.NewListType(types.StringType), func(e *Event) (any, error) {
			return types.NewStringList(types.DefaultTypeAdapter, e.Files), nil
		}},
		flag("files_complete", func(e *Event) bool { return e.FilesComplete }),
		str("default_branch", func(e *Event) string { return e.DefaultBranch }),
	}
}

// message is that of the event, cut after the last character that fits.
func message(e *Event) string {
	end := min(len(e.Message), maxSeen)
	for end < len(e.Message) && end > 0 && !utf8.RuneStart(e.Message[end]) {
		end--
	}
	return e.Message[:end]
}

// title is the first line of the message, fit to be the value of a parameter.
func title(e *Event) string {
	line, _, _ := strings.Cut(message(e), "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, line))
}

func eventFieldNames() []string {
	var names []string
	for _, f := range eventFields() {
		names = append(names, f.name)
	}
	return names
}

// eventProvider tells CEL the type of the event.
type eventProvider struct {
	*types.Registry

	fields map[string]*types.FieldType
}

func newEventProvider(r *types.Registry) eventProvider {
	p := eventProvider{r, map[string]*types.FieldType{}}
	for _, f := range eventFields() {
		p.fields[f.name] = &types.FieldType{
			Type: f.kind,
			// Every field is there, always: has(event.x) is true.
			IsSet: func(any) bool { return true },
			GetFrom: func(obj any) (any, error) {
				e, ok := obj.(*Event)
				if !ok {
					return nil, fmt.Errorf("%s of %T", f.name, obj)
				}
				return f.get(e)
			},
		}
	}
	return p
}

func (p eventProvider) FindStructType(name string) (*types.Type, bool) {
	if name == eventTypeName {
		return types.NewTypeTypeWithParam(types.NewObjectType(eventTypeName)), true
	}
	return p.Registry.FindStructType(name)
}

func (p eventProvider) FindStructFieldNames(name string) ([]string, bool) {
	if name == eventTypeName {
		return eventFieldNames(), true
	}
	return p.Registry.FindStructFieldNames(name)
}

func (p eventProvider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name == eventTypeName {
		f, ok := p.fields[field]
		return f, ok
	}
	return p.Registry.FindStructFieldType(name, field)
}

// eventValue is an event as a CEL value.
type eventValue struct{ event *Event }

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

func (v eventValue) Value() any { return v.event }

// activation gives a program its one variable.
type activation struct{ event *Event }

func (a activation) ResolveName(name string) (any, bool) {
	if name == "event" {
		return eventValue(a), true
	}
	return nil, false
}

func (activation) Parent() cel.Activation { return nil }
