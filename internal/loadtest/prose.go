package loadtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// words are what the values of claims are made of.
var words = strings.Fields(`adverse amber anchor basket baseline bridge candle cohort control copper daily decline dosage dragon
elderly ember enrolled estimate excess fasting follow forest garden gradual harbour hollow improved increase interval journal
kidney lantern liver lower marginal meadow median mild moderate monthly nausea observed onset orchard outcome patient placebo
plasma pooled primary quarry rapid reduced relative renal reported response risk saddle sample serum severe signal stable
steady strong study summer survey symptom timber tolerated treated trend trial typical unchanged upper velvet visit walnut weekly winter`)

// Prose is a text of about so many bytes that belongs to number i: words as a report
// has them, since the content defence keeps what looks like noise or like the same
// text again out of the answers, and the cost of a claim that no answer counts is
// another one.
func Prose(i uint64, bytes int) string {
	r := rand.New(rand.NewPCG(i, 1))
	var b strings.Builder
	fmt.Fprintf(&b, "Report %d:", i)
	for b.Len() < bytes {
		b.WriteByte(' ')
		b.WriteString(words[r.IntN(len(words))])
	}
	least := len(fmt.Sprintf("Report %d", i)) // tells it from all others
	return strings.TrimSpace(b.String()[:max(bytes, least)])
}
