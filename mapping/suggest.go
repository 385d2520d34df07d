package mapping

import "strconv"

// Suggest gives `; did you mean "x"?` for the candidate that word is likely a
// misspelling of, or "".
func Suggest(word string, candidates []string) string {
	if len(word) > 64 {
		return ""
	}
	best, distance := "", min(1+max(1, len(word)/3), len(word)) // of one letter nothing would be left
	for _, c := range candidates {
		if len(c) > 2*len(word)+2 {
			continue
		}
		if d := levenshtein(word, c); d < distance {
			best, distance = c, d
		}
	}
	if best == "" || best == word {
		return ""
	}
	return "; did you mean " + strconv.Quote(best) + "?"
}

// levenshtein counts the insertions, deletions and replacements of bytes that
// turn a into b.
func levenshtein(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
