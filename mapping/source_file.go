package mapping

import (
	"strings"
	"unicode/utf8"
)

// sourceFile is the text of one file, to find places in.
type sourceFile struct {
	name  string
	text  string
	lines []int // offset of each line; filled at first use
}

// place makes a place that is inside of the file, whatever the parser says.
func (f *sourceFile) place(line, column int) place {
	const most = 1 << 30
	return place{line: int32(min(max(line, 1), most)), column: int32(min(max(column, 1), most))}
}

// line gives the text of a line, counted from 1, without its end.
func (f *sourceFile) line(n int) (string, bool) {
	if f.lines == nil {
		f.lines = []int{0}
		for i := range len(f.text) {
			if f.text[i] == '\n' {
				f.lines = append(f.lines, i+1)
			}
		}
	}
	if n < 1 || n > len(f.lines) {
		return "", false
	}
	rest := f.text[f.lines[n-1]:]
	if i := strings.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	return rest, true
}

// inside is the place of the byte at offset of a text. Where the file does not
// have the text as it is (escapes, folded lines), it is where the text begins.
func (f *sourceFile) inside(t text, offset int) place {
	if offset < 0 || offset > len(t.value) {
		return t.at
	}
	first, ok := f.line(int(t.at.line))
	if !ok {
		return t.at
	}
	begin := skip(first, int(t.at.column)-1)
	if begin < 0 {
		return t.at
	}
	head := first[begin:]
	block := head != "" && (head[0] == '|' || head[0] == '>') && !t.plain
	quoted := 0
	if !t.plain && !block {
		quoted = 1
	}
	if !block && !strings.Contains(t.value, "\n") {
		if len(head) < quoted || !strings.HasPrefix(head[quoted:], t.value) {
			return t.at
		}
		return f.place(int(t.at.line), int(t.at.column)+quoted+utf8.RuneCountInString(t.value[:offset]))
	}
	if !block {
		return t.at
	}
	before := t.value[:offset]
	row := strings.Count(before, "\n")
	start := strings.LastIndexByte(before, '\n') + 1
	want, _, _ := strings.Cut(t.value[start:], "\n")
	got, ok := f.line(int(t.at.line) + 1 + row)
	if !ok || !strings.HasSuffix(got, want) {
		return t.at
	}
	indent := utf8.RuneCountInString(got) - utf8.RuneCountInString(want)
	return f.place(int(t.at.line)+1+row, 1+indent+utf8.RuneCountInString(before[start:]))
}

// skip is the offset of the n-th character of s, -1 if it has fewer.
func skip(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	if n == 0 {
		return len(s)
	}
	return -1
}
