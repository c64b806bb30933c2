package corpus

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/lens"
)

const (
	leastBase      = 60
	leastConflicts = 25
)

func load(t *testing.T) []Entry {
	t.Helper()
	entries, err := Load(true)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

type question struct{ subject, predicate string }

func questionOf(e Entry) question { return question{e.Claim.Subject, e.Claim.Predicate} }

func TestCounts(t *testing.T) {
	base, err := Load(false)
	if err != nil {
		t.Fatal(err)
	}
	all := load(t)
	if len(base) < leastBase {
		t.Errorf("%d base claims, want at least %d", len(base), leastBase)
	}
	if n := len(all) - len(base); n < leastConflicts {
		t.Errorf("%d conflicting claims, want at least %d", n, leastConflicts)
	}
	perDrug := map[string]int{}
	for _, e := range base {
		drug, _, _ := strings.Cut(e.Claim.Subject, ":")
		perDrug[drug]++
	}
	for _, drug := range []string{"Semaglutide", "Tirzepatide", "Liraglutide", "Dulaglutide", "Exenatide", "Empagliflozin", "Dapagliflozin", "Metformin"} {
		if perDrug[drug] < 5 {
			t.Errorf("%d base claims about %s, want at least 5", perDrug[drug], drug)
		}
	}
	kinds := map[assertion.ObjectKind]int{}
	for _, e := range all {
		kinds[e.Claim.Object.Kind()]++
	}
	if len(kinds) != 4 {
		t.Errorf("kinds of values in the corpus: %v, want all four", kinds)
	}
}

func TestClaimsAreValidAndDistinct(t *testing.T) {
	seen := map[assertion.Hash]question{}
	now := uint64(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
	for _, e := range load(t) {
		q := questionOf(e)
		if err := e.Claim.Validate(); err != nil {
			t.Errorf("%v: %v", q, err)
		}
		if err := e.Claim.CheckTimestamp(now); err != nil {
			t.Errorf("%v: %v", q, err)
		}
		if e.Claim.Confidence < 0.2 || e.Claim.Confidence > 0.99 {
			t.Errorf("%v: confidence %v", q, e.Claim.Confidence)
		}
		h := e.Claim.ContentHash()
		if other, twice := seen[h]; twice {
			t.Errorf("%v and %v are one claim: %s", q, other, h)
		}
		seen[h] = q
	}
}

func TestLoadIsDeterministic(t *testing.T) {
	again := load(t)
	for i, e := range load(t) {
		if e.Claim.ContentHash() != again[i].Claim.ContentHash() {
			t.Errorf("%v has another hash when it is loaded again", questionOf(e))
		}
	}
}

func TestEveryClaimHasItsCitation(t *testing.T) {
	for _, e := range load(t) {
		q := questionOf(e)
		var c Citation
		if err := json.Unmarshal(e.Claim.SourceMetadata, &c); err != nil {
			t.Errorf("%v: %v", q, err)
			continue
		}
		if c != e.Citation {
			t.Errorf("%v: metadata %+v, citation %+v", q, c, e.Citation)
		}
		for field, value := range map[string]string{
			"title": c.Title, "identifier": c.Identifier, "url": c.URL, "kind": c.Kind, "organisation": c.Organisation, "note": c.Note,
		} {
			if value == "" {
				t.Errorf("%v: the citation has no %s", q, field)
			}
		}
		if e.Claim.SourceHash != client.SourceHash(c.Identifier) {
			t.Errorf("%v: source_hash is not BLAKE3 of %q", q, c.Identifier)
		}
		if day := time.Unix(int64(e.Claim.Timestamp), 0).UTC().Format(time.DateOnly); day != c.Published {
			t.Errorf("%v: timestamp on %s, published %s", q, day, c.Published)
		}
	}
}

// identifierForms are, by kind of source, the forms of an identifier and of the
// address that goes with it.
func identifierForms() map[string][2]*regexp.Regexp {
	doi := [2]*regexp.Regexp{regexp.MustCompile(`^10\.\d{4,9}/[-._;()/:A-Za-z0-9]+$`), regexp.MustCompile(`^https://doi\.org/10\.`)}
	synthetic := [2]*regexp.Regexp{regexp.MustCompile(`^synthetic:[a-z0-9-]+$`), regexp.MustCompile(`^https://example\.org/synthetic/[a-z0-9-]+$`)}
	return map[string][2]*regexp.Regexp{
		"trial": doi, "review": doi, "cohort": doi, "guideline": doi,
		"registry":          {regexp.MustCompile(`^NCT\d{8}$`), regexp.MustCompile(`^https://clinicaltrials\.gov/study/NCT\d{8}$`)},
		"label":             {regexp.MustCompile(`^(NDA|BLA) \d{6}$`), regexp.MustCompile(`^https://www\.accessdata\.fda\.gov/.*ApplNo=\d{6}$`)},
		"assessment report": {regexp.MustCompile(`^EMEA/H/C/\d{6}$`), regexp.MustCompile(`^https://www\.ema\.europa\.eu/en/medicines/human/EPAR/[a-z]+$`)},
		"forum":             synthetic, "patient report": synthetic, "preprint": synthetic,
	}
}

func TestSources(t *testing.T) {
	sources, err := loadSources()
	if err != nil {
		t.Fatal(err)
	}
	forms := identifierForms()
	trial := regexp.MustCompile(`^NCT\d{8}$`)
	owner := map[string]string{}
	for id, s := range sources {
		form, known := forms[s.Kind]
		if !known {
			t.Errorf("%s: unknown kind %q", id, s.Kind)
			continue
		}
		if !form[0].MatchString(s.Identifier) {
			t.Errorf("%s: the identifier %q is not of the form %s", id, s.Identifier, form[0])
		}
		if !form[1].MatchString(s.url()) {
			t.Errorf("%s: the address %q is not of the form %s", id, s.url(), form[1])
		}
		if s.Trial != "" && !trial.MatchString(s.Trial) {
			t.Errorf("%s: %q is no trial number", id, s.Trial)
		}
		if other, twice := owner[s.Identifier]; twice {
			t.Errorf("%s and %s have one identifier", id, other)
		}
		owner[s.Identifier] = id
		madeUp := strings.HasPrefix(s.Identifier, "synthetic:")
		if s.Synthetic != madeUp || madeUp != strings.Contains(s.Organisation, "(synthetic)") {
			t.Errorf("%s: synthetic %v, identifier %q, organisation %q: all must agree", id, s.Synthetic, s.Identifier, s.Organisation)
		}
	}
	used := map[string]bool{}
	for _, e := range load(t) {
		for identifier, id := range owner {
			if e.Citation.Identifier == identifier || strings.HasPrefix(e.Citation.Identifier, identifier+" ") {
				used[id] = true
			}
		}
	}
	for id := range sources {
		if !used[id] {
			t.Errorf("no claim uses the source %s", id)
		}
	}
}

func TestMadeUpClaimsSaySo(t *testing.T) {
	marked := 0
	for _, e := range load(t) {
		var metadata map[string]any
		if err := json.Unmarshal(e.Claim.SourceMetadata, &metadata); err != nil {
			t.Fatal(err)
		}
		synthetic := metadata["synthetic"] == true
		if synthetic {
			marked++
		}
		patients := e.Claim.SourceClass == assertion.Community || e.Claim.SourceClass == assertion.Anecdotal
		if (patients || e.Citation.Kind == "preprint") && !synthetic {
			t.Errorf("%v from %q is not marked as synthetic", questionOf(e), e.Citation.Title)
		}
		if synthetic && !e.Conflict {
			t.Errorf("%v: a base claim is made up", questionOf(e))
		}
	}
	if marked == 0 {
		t.Error("no claim is marked as synthetic")
	}
}

// A voice is a signer with a source; of its claims on one question only the
// newest counts.
func TestEveryClaimIsAVoiceOfItsOwn(t *testing.T) {
	type voice struct {
		question
		organisation string
		source       assertion.Hash
	}
	seen := map[voice]bool{}
	for _, e := range load(t) {
		v := voice{questionOf(e), e.Organisation, e.Claim.SourceHash}
		if seen[v] {
			t.Errorf("%v: %s states two values under %q", v.question, e.Organisation, e.Citation.Identifier)
		}
		seen[v] = true
	}
}

func TestEveryConflictDisagreesWithABaseClaim(t *testing.T) {
	base := map[question][]assertion.ObjectValue{}
	for _, e := range load(t) {
		q := questionOf(e)
		if !e.Conflict {
			base[q] = append(base[q], e.Claim.Object)
			continue
		}
		if !slices.ContainsFunc(base[q], func(v assertion.ObjectValue) bool { return v != e.Claim.Object }) {
			t.Errorf("%v = %v contradicts no base claim", q, e.Claim.Object)
		}
	}
}

func TestSemaglutideNauseaIsContested(t *testing.T) {
	at := uint64(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
	var claims []*assertion.Claim
	classes := map[assertion.SourceClass]bool{}
	values := map[assertion.ObjectValue]bool{}
	for _, e := range load(t) {
		if questionOf(e) != (question{"Semaglutide", "nausea_rate"}) {
			continue
		}
		a := *e.Claim
		a.Signatures = []assertion.Signature{{AgentID: assertion.AgentID(client.SourceHash(e.Organisation))}}
		claims = append(claims, &assertion.Claim{Assertion: a, Hash: a.ContentHash(), SignatureCommits: make([]assertion.Commit, 1)})
		classes[a.SourceClass], values[a.Object] = true, true
	}
	for _, v := range []float64{15.8, 20.3, 44.2} {
		if !values[assertion.Number(v)] {
			t.Errorf("no claim says %v", v)
		}
	}
	for _, c := range []assertion.SourceClass{assertion.Regulatory, assertion.Clinical, assertion.Community} {
		if !classes[c] {
			t.Errorf("no claim of the class %s", c)
		}
	}
	result := lens.Skeptic(lens.FromClaims("Semaglutide", "nausea_rate", claims, at, lens.Grouping{}))
	if result.Conflict.Status != lens.Contested {
		t.Errorf("the skeptic says %s (score %.2f), want %s", result.Conflict.Status, result.Conflict.Score, lens.Contested)
	}
}

func TestRowErrors(t *testing.T) {
	good := Source{ID: "s", Identifier: "10.1000/x", Published: "2020-01-02"}
	row := Row{Subject: "A", Predicate: "p", Object: assertion.Number(1), Confidence: 0.5}
	for name, c := range map[string]struct {
		row    Row
		source Source
		want   string
	}{
		"date":       {row, Source{ID: "s", Published: "2020"}, "published"},
		"before":     {row, Source{ID: "s", Published: "1969-12-31"}, "before the first unix second"},
		"confidence": {Row{Subject: "A", Predicate: "p", Object: assertion.Number(1), Confidence: 2}, good, "confidence"},
		"no object":  {Row{Subject: "A", Predicate: "p", Confidence: 1}, good, "object"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.row.entry(c.source)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
