package diag

import "unicode/utf8"

// maxNearest is the longest word, in bytes, that Nearest looks at: a longer one
// is no slip of the finger, and the distance costs the product of the lengths.
const maxNearest = 40

// Nearest returns the candidate closest to word in edit distance, the first of
// equals, or "" where none is close enough to be what was meant: at most one
// edit for each three characters, rounded up.
func Nearest(word string, candidates []string) string {
	if len(word) > maxNearest {
		return ""
	}
	best, bestDistance := "", (utf8.RuneCountInString(word)+2)/3+1
	for _, c := range candidates {
		if d := editDistance(word, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance returns the least number of insertions, deletions, replacements
// and swaps of neighbours that turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	ra, rb := []rune(a), []rune(b)
	// Three rows of the table: two back for the swap, the last, and this one.
	before, last, row := make([]int, len(rb)+1), make([]int, len(rb)+1), make([]int, len(rb)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(ra); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(rb); j++ {
			replace := last[j-1]
			if ra[i-1] != rb[j-1] {
				replace++
			}
			row[j] = min(replace, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && ra[i-1] == rb[j-2] && ra[i-2] == rb[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(rb)]
}
