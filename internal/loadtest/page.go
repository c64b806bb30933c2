package loadtest

import (
	_ "embed" // of the page
	"html/template"
	"io"
)

//go:embed page.html
var pageText string

type pageTable struct {
	Head []string
	Rows [][]string
}

type pageResult struct {
	Scenario string
	Details  []string
	Plots    []template.HTML
}

// WritePage writes the report as one HTML page, which needs nothing else to be
// shown: no script, no network.
func (r *Report) WritePage(w io.Writer) error {
	page, err := template.New("page").Parse(pageText)
	if err != nil {
		return err
	}
	view := struct {
		Started, Outcome string
		Passed           bool
		Facts            [][2]string
		Tables           []pageTable
		Results          []pageResult
	}{Started: r.Started.Format("2006-01-02 15:04 MST"), Outcome: capital(r.outcome()), Passed: r.Passed(), Facts: r.facts()}
	for _, t := range r.tables() {
		view.Tables = append(view.Tables, pageTable{t.head, t.rows})
	}
	for _, s := range r.Results {
		view.Results = append(view.Results, pageResult{s.Scenario, s.details(), s.plots()})
	}
	return page.Execute(w, view)
}
