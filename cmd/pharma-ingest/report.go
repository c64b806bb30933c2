package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/cmd/pharma-ingest/corpus"
)

const (
	formatTable = "table"
	formatJSON  = "json"

	statusPlanned = "planned"
)

// report says what became of each claim, in the order of the corpus.
type report struct {
	Claims  []line  `json:"claims"`
	Summary summary `json:"summary"`
}

// line is one claim of a report.
type line struct {
	// Status is that of the API, or planned in a dry run.
	Status       string                `json:"status"`
	Hash         assertion.Hash        `json:"hash"`
	Subject      string                `json:"subject"`
	Predicate    string                `json:"predicate"`
	Object       assertion.ObjectValue `json:"object"`
	Confidence   float64               `json:"confidence"`
	SourceClass  assertion.SourceClass `json:"source_class"`
	Organisation string                `json:"organisation"`
	Conflict     bool                  `json:"conflict"`
	Citation     corpus.Citation       `json:"citation"`
	// Code, Field, Detail and Fix say why a claim was refused.
	Code   string `json:"code,omitempty"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail,omitempty"`
	Fix    string `json:"fix,omitempty"`
}

// summary counts the claims of a report by status.
type summary struct {
	Claims    int `json:"claims"`
	Conflicts int `json:"conflicts"`
	Planned   int `json:"planned"`
	Created   int `json:"created"`
	Exists    int `json:"exists"`
	Cosigned  int `json:"cosigned"`
	// Quarantined claims are stored and wait for a review.
	Quarantined int `json:"quarantined"`
	Refused     int `json:"refused"`
}

func lineOf(e corpus.Entry, status string) line {
	return line{
		Status: status, Hash: e.Claim.ContentHash(), Subject: e.Claim.Subject, Predicate: e.Claim.Predicate, Object: e.Claim.Object,
		Confidence: e.Claim.Confidence, SourceClass: e.Claim.SourceClass, Organisation: e.Organisation, Conflict: e.Conflict, Citation: e.Citation,
	}
}

func (r *report) add(l line) {
	r.Claims = append(r.Claims, l)
	r.Summary.Claims++
	if l.Conflict {
		r.Summary.Conflicts++
	}
	switch l.Status {
	case statusPlanned:
		r.Summary.Planned++
	case string(v1.StatusCreated):
		r.Summary.Created++
	case string(v1.StatusExists):
		r.Summary.Exists++
	case string(v1.StatusCosigned):
		r.Summary.Cosigned++
	case string(v1.StatusQuarantined):
		r.Summary.Quarantined++
	case string(v1.StatusRefused):
		r.Summary.Refused++
	}
}

// reportWriter returns what writes a report in a format.
func reportWriter(format string) (func(io.Writer, *report) error, error) {
	switch format {
	case formatTable:
		return writeTable, nil
	case formatJSON:
		return writeJSON, nil
	}
	return nil, fmt.Errorf("--format: there is no format %q: use %s or %s", format, formatTable, formatJSON)
}

func writeJSON(w io.Writer, r *report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func writeTable(w io.Writer, r *report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STATUS\tHASH\tSUBJECT\tPREDICATE\tVALUE\tCLASS\tSOURCE")
	for _, l := range r.Claims {
		const hashDigits = 12
		source := l.Citation.Identifier
		if l.Code != "" {
			source += "  " + l.Code + ": " + l.Detail
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Status, l.Hash.String()[:hashDigits], l.Subject, l.Predicate, shortened(l.Object.String()), l.SourceClass, source)
	}
	s := r.Summary
	fmt.Fprintf(t, "\n%d claims, %d of them written to disagree: ", s.Claims, s.Conflicts)
	if s.Planned > 0 {
		fmt.Fprintf(t, "%d planned, nothing sent\n", s.Planned)
	} else {
		fmt.Fprintf(t, "%d created, %d exist, %d cosigned, %d quarantined, %d refused\n", s.Created, s.Exists, s.Cosigned, s.Quarantined, s.Refused)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// shortened keeps a long text from pushing the other columns off the screen.
func shortened(s string) string {
	const most = 32
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	return string(runes[:most-1]) + "…"
}
