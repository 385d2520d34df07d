package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of one file.
const (
	maxNesting = 100    // levels
	maxEntries = 10_000 // of a map
)

// Fault is one thing wrong in a file.
type Fault struct {
	At      Position
	Label   string // of the object that it is in, "" if that has none
	Path    string // of the value: inside of the labelled object if there is one
	Message string
	Empty   bool // the file has nothing in it
}

// File is the text of a file that is YAML.
type File struct {
	Name string // as given to Parse

	text  string
	lines []string // of text; filled at the first use
	root  ast.Node
}

// Parse reads a file of one document. The name is for faults that name another
// position. The caller bounds the size: time and memory can grow faster than it.
func Parse(name string, data []byte) (*File, *Fault) {
	f := &File{Name: name}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return f, &Fault{At: firstBadByte(data), Message: "the file is not UTF-8"}
	}
	// The parser counts lines wrongly where they end in \r\n.
	f.text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	var fault *Fault
	f.root, fault = parse(f.text)
	return f, fault
}

// Fields gives the fields of a file that is a map, each with what its value is, such as "a list".
func (f *File) Fields() map[string]string {
	fields := map[string]string{}
	entries, _ := pairs(f.root)
	for _, e := range entries {
		fields[keyText(e)] = kindOf(e.Value)
	}
	return fields
}

func firstBadByte(data []byte) Position {
	line, column := 1, 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 {
			break
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
		data = data[n:]
	}
	return position(line, column)
}

// parse gives the root of the document. Odd input has made the parser panic before:
// that is a fault of the file too.
func parse(text string) (root ast.Node, fault *Fault) {
	defer func() {
		if r := recover(); r != nil {
			root, fault = nil, &Fault{At: position(1, 1), Message: fmt.Sprintf("this YAML cannot be read: %v", r)}
		}
	}()
	tokens := lexer.Tokenize(text)
	if fault := tooMuch(tokens); fault != nil {
		return nil, fault
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxFault(err, tokens, text)
	}
	docs := slices.DeleteFunc(tree.Docs, func(doc *ast.DocumentNode) bool {
		_, directive := doc.Body.(*ast.DirectiveNode)
		return directive
	})
	if len(docs) > 1 {
		return nil, &Fault{At: tokenPosition(docs[1].Start), Message: "a second document begins here (---): one file holds one"}
	}
	if len(docs) > 0 {
		root = docs[0].Body
	}
	switch root.(type) {
	case nil, *ast.CommentGroupNode, *ast.NullNode:
		return nil, &Fault{At: position(1, 1), Message: "the file is empty", Empty: true}
	}
	return root, nil
}

// tokenPosition is where a token is, the first position of the file if it is nowhere.
func tokenPosition(t *token.Token) Position {
	if t == nil || t.Position == nil {
		return position(1, 1)
	}
	return position(t.Position.Line, t.Position.Column)
}

// syntaxFault makes a fault of an error of the parser.
func syntaxFault(err error, tokens token.Tokens, text string) *Fault {
	f := &Fault{At: position(1, 1)}
	if y, ok := errors.AsType[yaml.Error](err); ok {
		f.At, f.Message = tokenPosition(y.GetToken()), y.GetMessage()
	} else { // not for a yaml.Error: it prints the file, in a time that grows with the square of the size
		f.Message = err.Error()
	}
	known := f.Message
	f.Message = misplaced
	for _, plain := range plainWords {
		if strings.Contains(known, plain.parser) {
			f.Message = plain.ours
			break
		}
	}
	if f.Message == misplaced || f.Message == noField || f.Message == mapInValue {
		noColon(strings.Split(text, "\n"), f)
	}
	if doubleBrace(tokens, int(f.At.Line)) {
		f.Message = "{{ begins a map in a map: quote text that begins with {"
	}
	if aliasOrTag(tokens, int(f.At.Line)) {
		const quoteIt = "quote text that begins with * or !"
		if f.Message == missingValue || strings.HasPrefix(f.Message, "YAML reads") {
			f.Message = quoteIt
		} else {
			f.Message += "; " + quoteIt
		}
	}
	f.Message = NotYAML + f.Message
	return f
}

// NotYAML begins the message of a fault of syntax.
const NotYAML = "not YAML: "

// What a user is told instead of messages that several mistakes bring. misplaced stands for
// all that are not among plainWords.
const (
	missingValue = "a value is missing before this, or there is a comma too many"
	misplaced    = "this is not allowed here: look at the indentation, and for a missing ':' or quote before it"
	noField      = "this is neither a field nor part of the value before it: look at the indentation, and for a missing ':'"
	mapInValue   = "a map begins in this value: look at the indentation, or quote text that has ': ' in it"
)

// plainWords are messages of the parser and what a user is told instead. The first
// that is part of the message counts.
var plainWords = []struct{ parser, ours string }{
	{"that cannot start any token", "a tab: indent with spaces"},
	{"a tab character where an indentation space is expected", "a tab: indent with spaces"},
	{"'[' character corresponding to ']'", "this ] has no [ before it"},
	{"'{' character corresponding to '}'", "this } has no { before it"},
	{"',' or ']' must be specified", "the list in [ ] goes on without a comma, or its ] is missing"},
	{"sequence end token ']' not found", "the ] that ends this list is missing"},
	{"',' or '}' must be specified", "the map in { } goes on without a comma, or its } is missing"},
	{"flow mapping end token '}'", "the } that ends this map is missing"},
	{"flow map content", "the } that ends this map is missing"},
	{"end character of double-quoted text", `the text that begins here has no " at its end`},
	{"end character of single-quoted text", "the text that begins here has no ' at its end"},
	{"mapping value is not allowed in this context", mapInValue},
	{"unexpected key name", noField},
	{"non-map value is specified", "text stands where a field is expected: look at the indentation, and for a missing ':'"},
	{"block sequence entries are not allowed", "a list cannot begin here: begin it in a new line, and look at the indentation"},
	{"implicit line break", "the name of a field is in one line, with ':' behind it"},
	{"multi-line content", "the block that begins here has no text: look at the indentation"},
	{"unknown escape character", `this \ stands for nothing: write \\ for it, or the text in ' in place of "`},
	{"escaped UTF-", `an escape in this text is not complete: \u takes four hexadecimal digits`},
	{"surrogate", `an escape in this text is not complete: \u takes four hexadecimal digits`},
	{"is a reserved character", "unquoted text cannot begin like this: quote it"},
	{"directive value. document not started", "unquoted text cannot begin with %: quote it"},
	{"irective", "a line that begins with % is not used here: leave it out"},
	{"unknown YAML version", "a line that begins with % is not used here: leave it out"},
	{"YAML version has already", "a line that begins with % is not used here: leave it out"},
	{"nchor", "YAML reads an unquoted & as an anchor: quote it"},
	{"lias", "YAML reads an unquoted * as an alias: quote it"},
	{"tag", "YAML reads an unquoted ! as a tag: quote it"},
	{"could not find map", "YAML reads an unquoted ! as a tag: quote it"},
	{"expected sequence element", "a value is missing before this comma"},
	{"unexpected scalar value", missingValue},
	{"invalid header option", "begin the text in the next line: behind | and > there is nothing but - or +"},
	{"number of indent", "the lines of this text are not indented as far as | or > says: leave the number out"},
	{"tab character cannot", "a tab: indent with spaces"},
	{"found an invalid key for this map", "a list or a map cannot be the name of a field: quote text that begins with [ or {"},
	{"document separator", "nothing follows --- in its line: begin in the next one"},
	{"unexpected end content", "nothing follows the end of the document (...)"},
}

var (
	bareWord  = regexp.MustCompile(`^ *(- +)?[A-Za-z_]+ *$`)
	twoWords  = regexp.MustCompile(`^ *(- +)?[A-Za-z_]+ +[^:]*$`)
	indention = regexp.MustCompile(`^[ -]*`)
)

// noColon looks for the name of a field without its ':' in the line of a fault and the one
// before it: the parser goes on with the next line, and stops there.
func noColon(lines []string, f *Fault) {
	for n := max(1, int(f.At.Line)-1); n <= int(f.At.Line) && n < len(lines); n++ {
		line := strings.TrimRight(lines[n-1], " ")
		deeper := len(indention.FindString(lines[n])) > len(indention.FindString(line))
		if bareWord.MatchString(line) && deeper {
			f.At, f.Message = position(n, len(line)+1), "a ':' is missing behind this name"
			return
		}
	}
	if f.Message == noField && twoWords.MatchString(lines[f.At.Line-1]) {
		f.Message = "a ':' is missing in this line"
	}
}

// doubleBrace says whether {{ is in a line.
func doubleBrace(tokens token.Tokens, line int) bool {
	return slices.ContainsFunc(tokens, func(t *token.Token) bool {
		return t.Type == token.MappingStartType && t.Position != nil && t.Position.Line == line &&
			t.Prev != nil && t.Prev.Type == token.MappingStartType && t.Prev.Position.Offset+1 == t.Position.Offset
	})
}

// aliasOrTag says whether there is one in a line or in the one before it.
func aliasOrTag(tokens token.Tokens, line int) bool {
	return slices.ContainsFunc(tokens, func(t *token.Token) bool {
		if t.Position == nil || t.Position.Line > line || t.Position.Line < line-1 {
			return false
		}
		invalidTag := t.Type == token.InvalidType && strings.HasPrefix(strings.TrimSpace(t.Value), "!")
		return invalidTag || t.Type == token.AliasType || t.Type == token.TagType
	})
}

// tooMuch finds where tokens nest more than maxNesting levels: the parser would use up
// the stack. And it finds a map of more than maxEntries: the time that the parser takes
// grows with their square.
func tooMuch(tokens token.Tokens) *Fault {
	type block struct{ column, entries int }
	var open []block // maps and lists
	flow, run := 0, 0
	for _, t := range tokens {
		at := t
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(0, flow-1)
		case token.TagType, token.AnchorType, token.MappingKeyType, token.AliasType:
			run++
		case token.MappingValueType:
			if t.Prev != nil {
				at = t.Prev
			}
			fallthrough
		case token.SequenceEntryType:
			run = 0
			if flow > 0 || at.Position == nil {
				break
			}
			c := at.Position.Column
			for len(open) > 0 && open[len(open)-1].column > c {
				open = open[:len(open)-1]
			}
			if len(open) == 0 || open[len(open)-1].column < c {
				open = append(open, block{column: c})
			}
			last := &open[len(open)-1]
			if t.Type == token.MappingValueType {
				last.entries++
			} else {
				last.entries = 0 // a list
			}
			if last.entries > maxEntries {
				return &Fault{At: tokenPosition(at), Message: fmt.Sprintf("a map has more than %d entries", maxEntries)}
			}
		default:
			if t.Prev == nil || t.Prev.Type != token.AnchorType { // else it is the name of an anchor
				run = 0
			}
		}
		if flow+run+len(open) > maxNesting && t.Position != nil {
			return &Fault{At: tokenPosition(t), Message: fmt.Sprintf("nested more than %d levels deep", maxNesting)}
		}
	}
	return nil
}
