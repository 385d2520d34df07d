package yamldoc

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Position is where something is written: line and column from 1, the column in
// characters. The zero value is nowhere: nothing is written.
type Position struct{ Line, Column int32 }

// Known says whether the position is one in the file.
func (p Position) Known() bool { return p.Line != 0 }

func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Line, p.Column) }

// position makes a position of what the parser says, which may be out of bounds.
func position(line, column int) Position {
	const limit = 1 << 30
	return Position{int32(min(max(line, 1), limit)), int32(min(max(column, 1), limit))}
}

// Lines gives the lines of the file, without their ends. The caller must not change them.
func (f *File) Lines() []string {
	if f.lines == nil {
		f.lines = strings.Split(f.text, "\n")
	}
	return f.lines
}

// Line gives a line of the file, counted from 1, without its end.
func (f *File) Line(n int) (string, bool) {
	lines := f.Lines()
	if n < 1 || n > len(lines) {
		return "", false
	}
	return lines[n-1], true
}

// Inside gives the position of the byte at offset of a text. Where the file has the
// text in another form, with escapes or over folded lines, it gives the position of
// the text.
func (f *File) Inside(t Text, offset int) Position {
	first, ok := f.Line(int(t.At.Line))
	if !ok || offset < 0 || offset > len(t.Value) {
		return t.At
	}
	characters := []rune(first)
	head := string(characters[min(int(t.At.Column)-1, len(characters)):])
	if !t.Plain && head != "" && (head[0] == '|' || head[0] == '>') {
		return f.insideBlock(t, offset)
	}
	quotes := 0
	if !t.Plain {
		quotes = 1
	}
	if strings.Contains(t.Value, "\n") || len(head) < quotes || !strings.HasPrefix(head[quotes:], t.Value) {
		return t.At
	}
	return position(int(t.At.Line), int(t.At.Column)+quotes+utf8.RuneCountInString(t.Value[:offset]))
}

// insideBlock is Inside for a block, whose text begins in the line after t.At.
func (f *File) insideBlock(t Text, offset int) Position {
	before := t.Value[:offset]
	line := int(t.At.Line) + 1 + strings.Count(before, "\n")
	start := strings.LastIndexByte(before, '\n') + 1
	want, _, _ := strings.Cut(t.Value[start:], "\n")
	got, ok := f.Line(line)
	if !ok || !strings.HasSuffix(got, want) {
		return t.At
	}
	indent := utf8.RuneCountInString(got) - utf8.RuneCountInString(want)
	return position(line, 1+indent+utf8.RuneCountInString(before[start:]))
}
