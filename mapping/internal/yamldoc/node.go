package yamldoc

import (
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Unquoted scalars that are not text. Every reader takes numberLike for a number. Readers
// of YAML 1.1 (Helm's, PyYAML) also take base60Like for a number and dateLike for a date.
var (
	numberLike = regexp.MustCompile(`^[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?$` +
		`|^0[xX][0-9a-fA-F_]+$|^0[oO][0-7_]+$|^0[bB][01_]+$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$`)
	base60Like = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$`)
	dateLike   = regexp.MustCompile(`^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?$`)
)

// plainKind says what an unquoted scalar is to a reader of YAML 1.2, or if strict, to
// any reader: "" for text.
func plainKind(s string, strict bool) string {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return "nothing"
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return "a boolean"
	case "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF":
		if strict {
			return "a boolean"
		}
		return ""
	}
	if c := s[0]; c != '.' && c != '-' && c != '+' && (c < '0' || c > '9') {
		return ""
	}
	switch {
	case numberLike.MatchString(s), strict && base60Like.MatchString(s):
		return "a number"
	case strict && dateLike.MatchString(s):
		return "a date"
	}
	return ""
}

// Kinds of nodes that are compared.
const (
	kindBoolean = "a boolean"
	kindText    = "text"
)

// kindOf names what a node is, for faults.
func kindOf(n ast.Node) string {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a map"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return kindBoolean
	case *ast.StringNode:
		if isPlain(n) {
			if k := plainKind(n.Value, false); k != "" {
				return k
			}
		}
		return kindText
	case *ast.LiteralNode:
		return kindText
	default:
		return "something else"
	}
}

func isPlain(n *ast.StringNode) bool {
	return n.Token == nil || n.Token.Type != token.SingleQuoteType && n.Token.Type != token.DoubleQuoteType
}

const insideTab = "a tab inside unquoted text: quote it"

// hasTab says whether a scalar without quotes has a tab inside. The parser drops it:
// a<TAB>b would be ab.
func hasTab(n ast.Node) bool {
	if _, scalar := n.(ast.ScalarNode); !scalar {
		return false
	}
	t := n.GetToken()
	if t == nil || !strings.Contains(t.Origin, "\t") {
		return false
	}
	if slices.Contains([]token.Type{token.SingleQuoteType, token.DoubleQuoteType, token.LiteralType, token.FoldedType}, t.Type) {
		return false
	}
	return slices.ContainsFunc(strings.Split(t.Origin, "\n"), func(line string) bool {
		return strings.Contains(strings.TrimSpace(line), "\t") // a tab around the text does no harm
	})
}

// written is a scalar as the file has it, even if YAML reads it as something other
// than text.
func written(n ast.Node) string {
	if t := n.GetToken(); t != nil {
		return strings.TrimSpace(t.Value)
	}
	return ""
}

// shown is what a node is, for faults: a number itself, else its kind.
func shown(n ast.Node) string {
	if k := kindOf(n); k != "a number" {
		return k
	}
	return clip(written(n))
}

// pairs gives the entries of a map.
func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	default:
		return nil, false
	}
}
