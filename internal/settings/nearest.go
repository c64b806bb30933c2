package settings

import "strings"

// suggestion continues a sentence about a wrong name with the known name that
// is nearest to it: one that it begins, else one that is a few typing
// mistakes away.
func suggestion(wrong string, known []string) string {
	best, distance := "", max(3, len(wrong)/3)+1
	for _, name := range known {
		if strings.HasPrefix(name, wrong) {
			return ", did you mean " + name + "?"
		}
		if d := editDistance(wrong, name); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return "; `stemedb config` lists all settings"
	}
	return ", did you mean " + best + "?"
}

// editDistance is the number of bytes to insert, delete or replace that turns a
// into b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
