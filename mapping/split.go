package mapping

import (
	"runtime"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Large files are parsed in pieces: the syntax tree of a whole file takes fifty
// times its size, and a hundred thousand rules would take gigabytes. A piece is
// a run of whole elements of the top-level list of rules. It is only a faster
// way: whatever does not look plain, or is not YAML by itself, sends the file
// through the parser in one.
const (
	splitFrom = 256 << 10 // bytes; smaller files are parsed whole
	pieceSize = 64 << 10  // bytes, about
)

// piece is a part of a file.
type piece struct {
	text string
	line int // lines before it
}

// split takes a file apart: what is not under rules, with blank lines in the
// place of the rest, and the pieces of the list of rules.
func split(text string) (rest string, pieces []piece, ok bool) { return splitAt(text, pieceSize) }

func splitAt(text string, size int) (rest string, pieces []piece, ok bool) {
	begin, line := rulesLine(text)
	if begin < 0 || hasAnchor(text) {
		return "", nil, false
	}
	var (
		after  = begin + lineLength(text[begin:])
		pos    = after
		indent = -1
		start  = -1 // of the piece
		first  = 0  // lines before the piece
	)
	line++ // of pos
	for pos < len(text) {
		n := lineLength(text[pos:])
		row := strings.TrimSuffix(text[pos:pos+n], "\n")
		body := strings.TrimLeft(row, " ")
		in := len(row) - len(body)
		switch {
		case body == "" || body[0] == '#':
		case indent < 0 && !isElement(body), body[0] == '\t':
			return "", nil, false
		case (indent < 0 || in == indent) && isElement(body):
			indent = in
			if start < 0 || pos-start >= size {
				if start >= 0 {
					pieces = append(pieces, piece{text[start:pos], first})
				}
				start, first = pos, line
			}
		case in > indent:
		case in == 0:
			// The next key of the file.
			return text[:begin] + strings.Repeat("\n", line-strings.Count(text[:begin], "\n")) + text[pos:], append(pieces, piece{text[start:pos], first}), start >= 0
		default:
			return "", nil, false
		}
		pos += n
		line++
	}
	if start < 0 {
		return "", nil, false
	}
	return text[:begin], append(pieces, piece{text[start:], first}), true
}

func isElement(body string) bool {
	return strings.HasPrefix(body, "- ") && strings.TrimLeft(body[2:], " ") != ""
}

// rulesLine finds the line "rules:", a comment behind it or not, and how many
// lines are before it; -1 if there is not exactly one, or the file has more than
// one document.
func rulesLine(text string) (offset, lines int) {
	offset, found := -1, 0
	for pos, line := 0, 0; pos < len(text); line++ {
		n := lineLength(text[pos:])
		row := text[pos : pos+n]
		switch {
		case isRules(row):
			offset, lines = pos, line
			found++
		case strings.HasPrefix(row, "---"), strings.HasPrefix(row, "..."), strings.HasPrefix(row, "%"):
			return -1, 0
		}
		pos += n
	}
	if found != 1 {
		return -1, 0
	}
	return offset, lines
}

func isRules(row string) bool {
	behind, ok := strings.CutPrefix(row, "rules:")
	body := strings.TrimLeft(behind, " \t\n")
	return ok && (body == "" || body[0] == '#' && len(body) < len(behind))
}

func lineLength(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i + 1
	}
	return len(s)
}

// hasAnchor says whether the text may define an anchor: a piece cannot refer to
// one of another.
func hasAnchor(text string) bool {
	for i := 0; ; i++ {
		n := strings.IndexByte(text[i:], '&')
		if n < 0 {
			return false
		}
		i += n
		before := i == 0 || strings.IndexByte(" \t\n[{,:-", text[i-1]) >= 0
		behind := i+1 < len(text) && strings.IndexByte("& \t\n", text[i+1]) < 0
		if before && behind {
			return true
		}
	}
}

// tooLarge finds the line of an element that is larger than maxPart: no other than
// the last of a piece can be.
func (p piece) tooLarge() (line int, ok bool) {
	if len(p.text) <= maxPart {
		return 0, false
	}
	indent := len(p.text) - len(strings.TrimLeft(p.text, " "))
	for pos, n := 0, 1; pos < len(p.text); n++ {
		row := p.text[pos : pos+lineLength(p.text[pos:])]
		if body := strings.TrimLeft(row, " "); len(row)-len(body) == indent && isElement(body) {
			line = p.line + n
		}
		pos += len(row)
	}
	return line, true
}

// readPieces decodes a large file in pieces. False means that it has to be
// parsed whole, and that nothing was reported.
func (s scope) readPieces(d *decoder, doc *document) bool {
	if len(s.file.text) < splitFrom {
		return false
	}
	rest, pieces, ok := split(s.file.text)
	return ok && s.readSplit(d, doc, rest, pieces)
}

func (s scope) readSplit(d *decoder, doc *document, rest string, pieces []piece) bool {
	whole := len(s.file.text) <= maxPart // it can be read so as well
	for _, p := range pieces {
		if line, is := p.tooLarge(); is {
			s.unreadable(s.file.place(line, 1), "this rule is larger than %d MiB", maxPart>>20)
			return true
		}
	}
	if len(rest)-strings.Count(rest, "\n") > maxPart {
		s.unreadable(s.file.place(1, 1), "what is not under rules is larger than %d MiB", maxPart>>20)
		return true
	}
	body, fault := parseYAML(rest)
	if fault != nil {
		return !whole && s.unparsed(fault, 0)
	}
	before := len(s.faults)
	s.decode(d, body, doc)
	if len(s.faults) > before && whole {
		s.faults = s.faults[:before]
		return false
	}
	if doc.Rules != nil { // given once more, or merged: the whole says what that means
		return false
	}
	next, stop := parsePieces(pieces)
	defer stop()
	for _, p := range pieces {
		body, fault := next()
		if fault != nil && !whole {
			return s.unparsed(fault, p.line)
		}
		list, isList := body.(*ast.SequenceNode)
		if fault != nil || !isList {
			s.faults = s.faults[:before]
			return false
		}
		d.shift = p.line
		var more []ruleDocument
		if !s.decodeRules(d, list, len(doc.Rules), &more) && whole {
			s.faults = s.faults[:before]
			return false
		}
		doc.Rules = append(doc.Rules, more...)
	}
	return true
}

type parsed struct {
	body  ast.Node
	fault *parseFault
}

// parsePieces parses ahead on every processor. next gives the results in order;
// stop ends what still runs.
func parsePieces(pieces []piece) (next func() (ast.Node, *parseFault), stop func()) {
	ahead := runtime.GOMAXPROCS(0)
	done := make(chan struct{})
	queue := make(chan chan parsed, ahead)
	go func() {
		defer close(queue)
		for _, p := range pieces {
			one := make(chan parsed, 1)
			select {
			case queue <- one:
			case <-done:
				return
			}
			go func() {
				body, fault := parseYAML(p.text)
				one <- parsed{body, fault}
			}()
		}
	}()
	next = func() (ast.Node, *parseFault) {
		p := <-<-queue
		return p.body, p.fault
	}
	return next, func() { close(done) }
}
