package mapping

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

const commitTypeName = "Commit"

// commitFields are the fields of an element of event.commits, as expressions see them.
var commitFields = []struct {
	name string
	get  func(*Commit) string
}{
	{"id", func(c *Commit) string { return c.ID }},
	{"title", func(c *Commit) string { return c.Title }},
	{"author", func(c *Commit) string { return c.Author }},
}

func commitFieldNames() []string {
	names := make([]string, len(commitFields))
	for i, f := range commitFields {
		names[i] = f.name
	}
	return names
}

// commitFieldTypes are made once: CEL asks for them at each use.
var commitFieldTypes = func() map[string]*types.FieldType {
	out := map[string]*types.FieldType{}
	for _, f := range commitFields {
		out[f.name] = &types.FieldType{
			Type:  types.StringType,
			IsSet: func(any) bool { return true },
			GetFrom: func(obj any) (any, error) {
				c, ok := obj.(*Commit)
				if !ok {
					return nil, fmt.Errorf("%s of %T", f.name, obj)
				}
				s := f.get(c)
				if len(s) > maxSeen {
					return nil, fmt.Errorf("%s of one of event.commits has more than %d bytes", f.name, maxSeen)
				}
				return types.String(s), nil
			},
		}
	}
	return out
}()

// commitList is event.commits. An element is made when it is looked at, and takes no memory: an
// expression may ask for the list many times.
type commitList struct {
	traits.Lister // for what is not often done

	commits []Commit
}

func newCommitList(commits []Commit) commitList {
	return commitList{types.NewDynamicList(commitAdapter{}, commits), commits}
}

func (l commitList) Get(index ref.Val) ref.Val {
	if i, ok := index.(types.Int); ok && i >= 0 && int(i) < len(l.commits) {
		return commitValue{&l.commits[i]}
	}
	return l.Lister.Get(index)
}

func (l commitList) Iterator() traits.Iterator { return &commitIterator{commits: l.commits} }

type commitIterator struct {
	traits.Iterator // for what makes an iterator a value, which nothing asks for

	commits []Commit
}

func (i *commitIterator) HasNext() ref.Val { return types.Bool(len(i.commits) > 0) }

func (i *commitIterator) Next() ref.Val {
	next := commitValue{&i.commits[0]}
	i.commits = i.commits[1:]
	return next
}

type commitAdapter struct{}

func (commitAdapter) NativeToValue(v any) ref.Val {
	if c, ok := v.(Commit); ok {
		return commitValue{&c}
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

// commitValue is a commit as a CEL value.
type commitValue struct{ commit *Commit }

func (commitValue) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a commit is not a %v", t)
}

func (commitValue) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return cel.ObjectType(commitTypeName)
	}
	return types.NewErr("a commit is not a %s", t.TypeName())
}

func (v commitValue) Equal(other ref.Val) ref.Val {
	o, ok := other.(commitValue)
	return types.Bool(ok && *o.commit == *v.commit)
}

func (commitValue) Type() ref.Type { return cel.ObjectType(commitTypeName) }

func (v commitValue) Value() any { return v.commit }

// weight estimates the bytes of a commit, for prices: at least those that comparing two takes.
func (v commitValue) weight() int {
	return max(bytesPassed, len(v.commit.ID)+len(v.commit.Title)+len(v.commit.Author))
}
