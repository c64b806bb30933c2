package lens

// Description is what a reader needs to choose a lens.
type Description struct {
	Name string
	// Rule is how it decides, Formula the score by which it ranks and its
	// confidence.
	Rule    string
	Formula string
	// Filter says that it leaves claims out and lets the lens behind it resolve.
	Filter bool
	// Aggregates says that without filters it costs as much as there are distinct
	// values, whatever the number of claims.
	Aggregates bool
}

// Describe tells of every lens, in the order of All.
func Describe() []Description {
	formulas := map[string]string{
		"recency":     "score = newest timestamp of the value; confidence = effective confidence of the newest claim",
		"consensus":   "score = voices of the value; confidence = score / all voices",
		"confidence":  "score = max over claims of confidence × 0.5^(age / half-life); confidence = score",
		"authority":   "score = max effective confidence within the strongest source class that states the value; confidence = score",
		"votes":       "score = Σ over claims of the newest vote weights; confidence = score / Σ of all weights",
		"trust":       "score = Σ over voices of confidence × trust(agent, predicate); confidence = score / Σ of all scores",
		"truth":       "score = P(value | voices, reliability of each agent on the predicate), by the method chosen for the predicate (docs/truth.md); confidence = score",
		"layered":     "per class: support share; the whole = winner of the strongest class with claims",
		"skeptic":     "share = support / Σ support, support = Σ over voices of effective confidence × class weight; conflict_score = −Σ p ln p / ln n",
		"constraints": "per thing: support of must_use and requires against that of forbidden",
		epochName:     "claims whose epoch is replaced or retracted are dropped, then the next lens; alone it is epoch,recency",
	}
	names, lenses := Names(), All()
	out := make([]Description, len(names))
	for i, name := range names {
		_, filter := lenses[i].(epoch)
		out[i] = Description{Name: name, Rule: lenses[i].Rule(), Formula: formulas[name], Filter: filter,
			Aggregates: lenses[i].Needs()&^(NeedsTally|NeedsNewest) == 0}
	}
	return out
}
