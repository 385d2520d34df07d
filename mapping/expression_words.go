package mapping

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// notAnExpression says what is wrong with a text that CEL cannot parse: what people write who
// know other languages, or else what CEL says of it. offset is where CEL stopped.
func notAnExpression(text string, offset int, message string) textFault {
	wrong := misspelling(text)
	if wrong == nil {
		wrong = &textFault{offset, unexpected(message)}
	}
	wrong.message = notExpression + wrong.message
	return *wrong
}

// foreignOperators are operators and signs of other languages, and what to write.
var foreignOperators = []struct{ sign, instead string }{
	{"===", "write == for ==="},
	{"!==", "write != for !=="},
	{"==", ""},
	{"!=", ""},
	{"<=", ""},
	{">=", ""},
	{"=~", `write event.branch.matches("…") for =~`},
	{"=", "write == to compare, not ="},
	{"&&", ""},
	{"&", "write && for &"},
	{"||", ""},
	{"|", "write || for |"},
	{"<>", "write != for <>"},
	{"..", "there is one . between names"},
	{";", "there is one expression, without ;"},
	{"#", "a comment begins with //"},
	{"$", "a name has no $ before it"},
	{"`", `text stands in " or '`},
	{"“", `text stands in " or '`},
	{"”", `text stands in " or '`},
	{"‘", `text stands in " or '`},
	{"’", `text stands in " or '`},
}

// foreignWords are operators of other languages, in lower case, and what to write.
var foreignWords = map[string]string{
	"and": "write && for and", "or": "write || for or", "not": "write ! for not, and !(… in …) for not in", "is": "write == for is",
	"if": "write condition ? value : other for if",
}

// misspelling finds the first thing in an expression that CEL does not have, nil if all is
// known.
func misspelling(text string) *textFault {
	type bracket struct {
		sign   byte
		offset int
	}
	var open []bracket
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"' || c == '\'':
			n := stringLength(text[i:], isRaw(text[:i]))
			if n < 0 {
				return &textFault{i, fmt.Sprintf("the text that begins here has no %c at its end", c)}
			}
			i += n
			continue
		case strings.HasPrefix(text[i:], "//"):
			n := strings.IndexByte(text[i:], '\n')
			if n < 0 {
				n = len(text) - i
			}
			i += n
			continue
		case strings.IndexByte("([{", c) >= 0:
			open = append(open, bracket{c, i})
		case strings.IndexByte(")]}", c) >= 0:
			begin := "([{"[strings.IndexByte(")]}", c)]
			if len(open) == 0 || open[len(open)-1].sign != begin {
				return &textFault{i, fmt.Sprintf("this %c has no %c before it", c, begin)}
			}
			open = open[:len(open)-1]
		}
		if n := wordLength(text[i:]); n > 0 {
			why := foreignWords[strings.ToLower(text[i:i+n])]
			if why != "" && (i == 0 || text[i-1] != '.') {
				return &textFault{i, why}
			}
			i += n
			continue
		}
		width := 1
		for _, o := range foreignOperators {
			if strings.HasPrefix(text[i:], o.sign) {
				if o.instead != "" {
					return &textFault{i, o.instead}
				}
				width = len(o.sign)
				break
			}
		}
		i += width
	}
	if len(open) > 0 {
		last := open[len(open)-1]
		return &textFault{last.offset, fmt.Sprintf("the %c that begins here has no %c", last.sign, ")]}"[strings.IndexByte("([{", last.sign)])}
	}
	return nil
}

// wordLength is the length of the name or number at the beginning of s.
func wordLength(s string) int {
	n := strings.IndexFunc(s, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if n < 0 {
		n = len(s)
	}
	return n
}

var (
	unwantedInput = regexp.MustCompile(`^(?:extraneous|mismatched) input '(.+)'$|^no viable alternative at input '(.+)'$`)
	unknownToken  = regexp.MustCompile(`^token recognition error at: '(.*)'$`)
	reservedWord  = regexp.MustCompile(`^reserved identifier: (\w+)`)
)

// unexpected says what CEL's parser says of what it did not expect.
func unexpected(message string) string {
	message = strings.TrimPrefix(message, "Syntax error: ")
	message, _, _ = strings.Cut(message, " expecting ")
	if strings.Contains(message, "'<EOF>'") {
		return "it ends too early"
	}
	if m := unwantedInput.FindStringSubmatch(message); m != nil && m[1]+m[2] == "." {
		return "a name is missing behind this dot"
	} else if m != nil {
		return fmt.Sprintf("%s is not expected here: look for an operator or a comma that is missing before it", clip(m[1]+m[2]))
	}
	if m := unknownToken.FindStringSubmatch(message); m != nil {
		if strings.Contains(m[1], `\`) {
			return `the text that begins here has a \ that stands for nothing: write \\ for \`
		}
		return fmt.Sprintf("%s means nothing here", clip(m[1]))
	}
	if m := reservedWord.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("%s is a reserved word", m[1])
	}
	return message
}

var (
	noOverload = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(.*)'$`)
	wrongType  = regexp.MustCompile(`^expected type '(.*)' but found '(.*)'$`)
	noFields   = regexp.MustCompile(`^type '(.*)' does not support field selection`)
)

// mistyped says what is wrong with the types of values, "" if CEL's message is not of types.
func mistyped(message string) string {
	if m := noOverload.FindStringSubmatch(message); m != nil {
		return noFunction(m[1], m[2])
	}
	if m := wrongType.FindStringSubmatch(message); m != nil {
		why := fmt.Sprintf("this is %s, and %s is wanted", typeWord(m[2]), typeWord(m[1]))
		if m[1] == "bool" && m[2] == "string" {
			why += `: compare it, such as == "main"`
		}
		return why
	}
	if m := noFields.FindStringSubmatch(message); m != nil {
		why := typeWord(m[1]) + " has no fields"
		if strings.HasPrefix(m[1], "list") {
			why += "; its size is size(list)"
		}
		return why
	}
	if strings.HasPrefix(message, "invalid argument to has() macro") {
		return "has takes a field, such as has(event.branch); an event has all of its fields"
	}
	return ""
}

// noFunction says why an operator or a function cannot be applied. The types of its values are
// "(string, int)", or "string.(int)" if it is called behind a dot.
func noFunction(name, applied string) string {
	target, list, called := strings.Cut(applied, ".(")
	if !called {
		target, list = "", strings.TrimPrefix(applied, "(")
	}
	list = strings.TrimSuffix(list, ")")
	types := splitTypes(list)
	words := make([]string, len(types))
	for i, t := range types {
		words[i] = typeWord(t)
	}
	is := func(t string) bool { return slices.Contains(types, t) }
	operator := strings.Trim(name, "_@")
	switch {
	case name == "_?_:_" && len(types) == 3 && types[0] != "bool":
		return fmt.Sprintf("what is before ? is %s, not a boolean", words[0])
	case name == "_?_:_" && len(types) == 3:
		return fmt.Sprintf("both values of ? : have to be of one type, and these are %s and %s", words[1], words[2])
	case name == "_[_]" && is("Event"):
		return "a field of the event is written event.branch"
	case name == "_[_]" && len(types) == 2:
		return fmt.Sprintf("%s cannot be looked up in %s", words[1], words[0])
	case name == "@in" && len(types) == 2 && types[1] == "string":
		return "in looks into a list or a map, and this is text: write text.contains(part)"
	case name == "@in" && len(types) == 2:
		return fmt.Sprintf("%s cannot be in %s", words[0], words[1])
	case slices.Contains([]string{"==", "!=", "<", ">", "<=", ">="}, operator) && len(types) == 2:
		why := fmt.Sprintf("%s cannot be compared with %s", words[0], words[1])
		switch {
		case is("null") || is("null_type"):
			why += `: a field that does not apply is ""`
		case is("string") && is("int"):
			why += `: write both as text, "1", or both as numbers`
		}
		return why
	case strings.HasPrefix(name, "_") && len(types) == 2:
		why := fmt.Sprintf("%s and %s do not go with %s", words[0], words[1], operator)
		if operator == "+" && is("string") && (is("int") || is("bool")) {
			why += ": write string(…) around what is no text"
		}
		return why
	case strings.HasSuffix(name, "_") && len(types) == 1:
		return fmt.Sprintf("%s does not go with %s", operator, words[0])
	case target == "" && len(types) > 0 && !slices.Contains([]string{"size", "string", "int"}, name):
		return fmt.Sprintf("%s is written behind a dot: event.branch.%s(…)", name, name)
	case strings.HasPrefix(target, "list") && slices.Contains([]string{"contains", "startsWith", "endsWith", "matches", "matchesGlob"}, name):
		return fmt.Sprintf("%s is for text, and this is a list: write list.exists(x, x.%s(…)), or text in list", name, name)
	case target == "":
		return fmt.Sprintf("%s cannot be called as %s(%s)", name, name, strings.Join(words, ", "))
	default:
		return fmt.Sprintf("%s cannot be called as %s.%s(%s)", name, bare(typeWord(target)), name, strings.Join(words, ", "))
	}
}

// splitTypes splits a list of types at its commas, but for those of their parameters.
func splitTypes(list string) (types []string) {
	depth, begin := 0, 0
	for i, c := range list {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			types = append(types, strings.TrimSpace(list[begin:i]))
			begin = i + utf8.RuneLen(c)
		}
	}
	if strings.TrimSpace(list) != "" {
		types = append(types, strings.TrimSpace(list[begin:]))
	}
	return types
}

// typeWord is a type of CEL for people.
func typeWord(t string) string {
	switch base, _, _ := strings.Cut(t, "("); base {
	case "string":
		return "text"
	case "int", "uint", "double":
		return "a number"
	case "bool":
		return "a boolean"
	case "list":
		return "a list"
	case "map":
		return "a map"
	case "null", "null_type":
		return "null"
	case eventTypeName:
		return "the event"
	default:
		return t
	}
}

// bare is a word for a type without its article.
func bare(word string) string { return strings.TrimPrefix(word, "a ") }

// unknownName says what a name may stand for that is neither a variable nor a function.
func (l *language) unknownName(name string) string {
	known := append([]string{"event", varsName, eachName}, l.names...)
	switch word := strings.ToLower(name); {
	case slices.Contains(eventFieldNames(), word):
		return fmt.Sprintf("; did you mean %q?", "event."+word)
	case slices.Contains([]string{"all", "exists", "exists_one", "filter", "map"}, word):
		return fmt.Sprintf("; it takes a name and an expression: event.files.%s(f, f.endsWith(\".go\"))", word)
	case slices.Contains([]string{"any", "some"}, word):
		return `; did you mean "exists"?`
	case slices.Contains([]string{"len", "length", "count"}, word):
		return `; did you mean "size"?`
	case slices.Contains([]string{"lower", "tolower", "tolowercase", "lowercase"}, word):
		return `; did you mean "lowerAscii"?`
	case slices.Contains([]string{"upper", "toupper", "touppercase", "uppercase"}, word):
		return `; did you mean "upperAscii"?`
	case word == "true" || word == "false":
		return fmt.Sprintf("; did you mean %q?", word)
	}
	if hint := Suggest(name, known); hint != "" {
		return hint
	}
	if field := closestField(name); field != "" {
		return fmt.Sprintf("; did you mean %q?", "event."+field)
	}
	return fmt.Sprintf("; text is in quotes: '%s'", clip(name))
}

// closestField gives the field of the event that a name may stand for: a misspelling, or the
// name of a variable of another system.
func closestField(name string) string {
	for _, field := range eventFieldNames() {
		if Suggest(name, []string{field}) != "" {
			return field
		}
	}
	if strings.Contains(name, "_") || strings.ToUpper(name) == name {
		return meantField(name)
	}
	return ""
}
