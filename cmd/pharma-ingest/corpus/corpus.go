package corpus

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

//go:embed sources.json base.json conflicts.json
var files embed.FS

// Source is where figures come from.
type Source struct {
	// ID is what rows call the source.
	ID string `json:"id"`
	// Organisation stands behind the source; its key signs the claims.
	Organisation string                `json:"organisation"`
	Class        assertion.SourceClass `json:"class"`
	// Kind is label, trial, review, cohort, registry, guideline, assessment
	// report, preprint, forum or patient report.
	Kind string `json:"kind"`
	// Identifier is a DOI, a trial's NCT number, or the number under which an
	// authority keeps the product.
	Identifier string `json:"identifier"`
	Title      string `json:"title"`
	// Trial is the NCT number of the trial that a publication reports.
	Trial string `json:"trial,omitempty"`
	// URL is given where it does not follow from the identifier.
	URL string `json:"url,omitempty"`
	// Published is a day as YYYY-MM-DD; the claims bear its midnight in UTC.
	Published string `json:"published"`
	// Synthetic marks what is made up.
	Synthetic bool `json:"synthetic,omitempty"`
}

// Row is one figure.
type Row struct {
	Subject   string                `json:"subject"`
	Predicate string                `json:"predicate"`
	Object    assertion.ObjectValue `json:"object"`
	// Source is the ID of a Source.
	Source string `json:"source"`
	// Locator is the place in a long document, such as a label's section and
	// arm; with it the source's identifier names that place alone.
	Locator    string  `json:"locator,omitempty"`
	Confidence float64 `json:"confidence"`
	// Note says what the figure was measured on.
	Note string `json:"note"`
}

// Citation is the source_metadata of a claim.
type Citation struct {
	Title        string `json:"title"`
	Identifier   string `json:"identifier"`
	URL          string `json:"url"`
	Kind         string `json:"kind"`
	Organisation string `json:"organisation"`
	Published    string `json:"published"`
	Trial        string `json:"trial,omitempty"`
	Note         string `json:"note,omitempty"`
	Synthetic    bool   `json:"synthetic,omitempty"`
}

// Entry is a claim with what an ingest must know about it.
type Entry struct {
	// Claim is normalised, valid and unsigned.
	Claim *assertion.Assertion
	// Organisation names the key that signs the claim.
	Organisation string
	Citation     Citation
	// Conflict tells that the claim was written to disagree with others.
	Conflict bool
}

// Load returns the base claims and, if asked to, those that disagree with them,
// in the order of their files. An error means that the corpus itself is wrong.
func Load(withConflicts bool) ([]Entry, error) {
	sources, err := loadSources()
	if err != nil {
		return nil, err
	}
	entries, err := loadRows("base.json", false, sources)
	if err != nil || !withConflicts {
		return entries, err
	}
	conflicts, err := loadRows("conflicts.json", true, sources)
	return append(entries, conflicts...), err
}

func loadSources() (map[string]Source, error) {
	var list []Source
	if err := decode("sources.json", &list); err != nil {
		return nil, err
	}
	sources := make(map[string]Source, len(list))
	for _, s := range list {
		if _, twice := sources[s.ID]; twice {
			return nil, fmt.Errorf("sources.json: two sources are called %q", s.ID)
		}
		sources[s.ID] = s
	}
	return sources, nil
}

func loadRows(name string, conflict bool, sources map[string]Source) ([]Entry, error) {
	var rows []Row
	if err := decode(name, &rows); err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(rows))
	for i, row := range rows {
		source, known := sources[row.Source]
		if !known {
			return nil, fmt.Errorf("%s: row %d names the source %q, which sources.json does not have", name, i+1, row.Source)
		}
		entry, err := row.entry(source)
		if err != nil {
			return nil, fmt.Errorf("%s: row %d (%s, %s): %w", name, i+1, row.Subject, row.Predicate, err)
		}
		entry.Conflict = conflict
		entries = append(entries, entry)
	}
	return entries, nil
}

// entry makes the claim of a row.
func (r Row) entry(s Source) (Entry, error) {
	day, err := time.Parse(time.DateOnly, s.Published)
	if err != nil {
		return Entry{}, fmt.Errorf("the source %q: published: %w", s.ID, err)
	}
	if day.Unix() < 0 {
		return Entry{}, fmt.Errorf("the source %q was published %s, before the first unix second", s.ID, s.Published)
	}
	c := Citation{
		Title: s.Title, Identifier: s.Identifier, URL: s.url(), Kind: s.Kind, Organisation: s.Organisation,
		Published: s.Published, Trial: s.Trial, Note: r.Note, Synthetic: s.Synthetic,
	}
	if r.Locator != "" {
		c.Identifier += " " + r.Locator
	}
	claim, err := client.NewClaim(r.Subject, r.Predicate, r.Object).
		Source(c.Identifier, s.Class).Confidence(r.Confidence).At(uint64(day.Unix())).Metadata(c).Build()
	if err != nil {
		return Entry{}, err
	}
	return Entry{Claim: claim, Organisation: s.Organisation, Citation: c}, nil
}

// url is where the source can be read; "" if neither it nor the identifier says.
func (s Source) url() string {
	switch {
	case s.URL != "":
		return s.URL
	case strings.HasPrefix(s.Identifier, "10."):
		return "https://doi.org/" + s.Identifier
	case strings.HasPrefix(s.Identifier, "NCT"):
		return "https://clinicaltrials.gov/study/" + s.Identifier
	}
	return ""
}

// decode reads one JSON value and refuses fields that it does not know: a
// misspelt one must not be lost in silence.
func decode(name string, into any) error {
	raw, err := files.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read the corpus: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: there is more after the list", name)
	}
	return nil
}
