package yamldoc

import "strconv"

// Suggest gives `; did you mean "x"?` for the candidate that word is likely a
// misspelling of, or "".
func Suggest(word string, candidates []string) string {
	if c := closest(word, candidates); c != "" {
		return "; did you mean " + strconv.Quote(c) + "?"
	}
	return ""
}

// closest gives the candidate that word is likely a misspelling of, or "".
func closest(word string, candidates []string) string {
	if len(word) > 64 {
		return ""
	}
	best, distance := "", min(1+max(1, len(word)/3), len(word)) // as many edits as letters make any word
	for _, c := range candidates {
		if len(c) > 2*len(word)+2 {
			continue
		}
		if d := edits(word, c); d < distance {
			best, distance = c, d
		}
	}
	if best == word {
		return ""
	}
	return best
}

// edits counts the insertions, deletions and replacements of bytes, and the swaps of
// two neighbours, that turn a into b.
func edits(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			replaced := row[j]
			if a[i] != b[j] {
				replaced++
			}
			next[j+1] = min(replaced, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
