package readiness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stemedb/stemedb/internal/loadtest"
)

// RewritePage makes the generated parts of the page anew: the quick reference and
// the archive of the reports in the folder results, which the page links to, and
// the checklist of the rows.
func RewritePage(page, results string, usual time.Duration) error {
	raw, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("the page of the checklist: %w", err)
	}
	archive, err := readArchive(results)
	if err != nil {
		return err
	}
	folder, err := filepath.Rel(filepath.Dir(page), results)
	if err != nil {
		return err
	}
	text := string(raw)
	for name, part := range map[string]string{
		"quick reference": quickReference(archive, filepath.ToSlash(folder)),
		"checklist":       checklist(load(usual)),
		"archive":         archiveTable(archive, filepath.ToSlash(folder)),
	} {
		if text, err = replacePart(text, name, part); err != nil {
			return fmt.Errorf("%s: %w", page, err)
		}
	}
	if text == string(raw) {
		return nil
	}
	return os.WriteFile(page, []byte(text), 0o644)
}

// replacePart puts a part between its marks.
func replacePart(page, name, part string) (string, error) {
	begin, end := fmt.Sprintf("<!-- %s: written by scripts/verify-production-readiness.sh -->\n", name), fmt.Sprintf("<!-- end of %s -->", name)
	before, rest, found := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("the lines %q and %q must enclose the %s", strings.TrimSpace(begin), end, name)
	}
	return before + begin + part + end + after, nil
}

// entry is one report of the archive.
type entry struct {
	file    string // of the Markdown
	date    string
	summary string
	report  *Report // nil if it is of another kind
}

var dated = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})-.+\.md$`)

// readArchive reads the reports of a folder, the newest first.
func readArchive(results string) ([]entry, error) {
	files, err := os.ReadDir(results)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the archive of reports: %w", err)
	}
	var archive []entry
	for _, f := range files {
		m := dated.FindStringSubmatch(f.Name())
		if m == nil {
			continue
		}
		e := entry{file: f.Name(), date: m[1]}
		if err := e.read(filepath.Join(results, f.Name())); err != nil {
			return nil, fmt.Errorf("the report %s: %w", f.Name(), err)
		}
		archive = append(archive, e)
	}
	// Names begin with the date; of one day the time of day decides where it is in
	// the name.
	slices.SortStableFunc(archive, func(a, b entry) int {
		if a.date != b.date {
			return -strings.Compare(a.date, b.date)
		}
		return -strings.Compare(timeOfDay(a.file), timeOfDay(b.file))
	})
	return archive, nil
}

var clock = regexp.MustCompile(`-(\d{6})\.md$`)

func timeOfDay(file string) string {
	if m := clock.FindStringSubmatch(file); m != nil {
		return m[1]
	}
	return ""
}

// read finds out what a report is about: from the JSON beside it if it is of a
// kind that has one, else from its heading.
func (e *entry) read(path string) error {
	if strings.Contains(e.file, reportStem) {
		e.report = &Report{}
		if err := readJSON(path, e.report); err != nil {
			return err
		}
		e.summary = e.report.summary()
		return nil
	}
	if strings.Contains(e.file, "-load-test-") {
		var r loadtest.Report
		if err := readJSON(path, &r); err != nil {
			return err
		}
		e.summary = loadSummary(&r)
		return nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	heading, _, _ := strings.Cut(string(raw), "\n")
	if e.summary = strings.TrimSpace(strings.TrimLeft(heading, "#")); e.summary == "" {
		return errors.New("its first line is to be a heading that says what it is about")
	}
	return nil
}

func readJSON(page string, into any) error {
	raw, err := os.ReadFile(strings.TrimSuffix(page, ".md") + ".json")
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// loadSummary tells what a load test came to.
func loadSummary(r *loadtest.Report) string {
	var names, missed []string
	for _, result := range r.Results {
		names = append(names, result.Scenario)
		if slices.ContainsFunc(result.Targets, func(t loadtest.Target) bool { return !t.Met }) {
			missed = append(missed, result.Scenario)
		}
	}
	text := "load test at " + r.Program.Commit + ": " + strings.Join(names, ", ")
	if len(missed) > 0 {
		return text + "; targets missed: " + strings.Join(missed, ", ")
	}
	return text + "; every target met"
}

// quickReference tells for each area what its rows came to when they last ran, and
// when a run last saw all of them green.
func quickReference(archive []entry, folder string) string {
	var b strings.Builder
	b.WriteString("\n| area | status | last verified |\n|---|---|---|\n")
	for _, area := range areas {
		status, verified := areaStatus(area, archive, folder)
		fmt.Fprintf(&b, "| %s | %s | %s |\n", area, status, verified)
	}
	return b.String() + "\n"
}

func areaStatus(area string, archive []entry, folder string) (status, verified string) {
	verified = "never"
	newest := map[string]*Outcome{}
	for _, e := range archive {
		if e.report == nil {
			continue
		}
		green := map[string]bool{}
		for _, o := range e.report.Outcomes {
			if newest[o.Row] == nil {
				newest[o.Row] = o
			}
			green[o.Row] = o.Passed
		}
		all := true
		for _, r := range rowsOf(area) {
			all = all && green[r.Name]
		}
		if all && verified == "never" {
			verified = fmt.Sprintf("[%s](%s/%s)", e.date, folder, e.file)
		}
	}
	var red, missing []string
	rows := rowsOf(area)
	for _, r := range rows {
		switch o := newest[r.Name]; {
		case o == nil:
			missing = append(missing, r.Name)
		case !o.Passed:
			red = append(red, r.Name)
		}
	}
	switch {
	case len(red) > 0:
		return "red: " + strings.Join(red, ", "), verified
	case len(missing) == len(rows):
		return "not run", verified
	case len(missing) > 0:
		return "not run: " + strings.Join(missing, ", "), verified
	}
	return "green", verified
}

func rowsOf(area string) []Row {
	return slices.DeleteFunc(Rows(), func(r Row) bool { return r.Area != area })
}

// checklist lists the rows with the commands behind them.
func checklist(d load) string {
	var b strings.Builder
	b.WriteString("\n| area | row | what is seen | command |\n|---|---|---|---|\n")
	for _, r := range Rows() {
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", r.Area, r.Name, r.Shows, code(r.command(d)))
	}
	return b.String() + "\n"
}

func archiveTable(archive []entry, folder string) string {
	var b strings.Builder
	b.WriteString("\n| date | report | summary |\n|---|---|---|\n")
	for _, e := range archive {
		fmt.Fprintf(&b, "| %s | [%s](%s/%s) | %s |\n", e.date, strings.TrimSuffix(e.file[len(e.date)+1:], ".md"), folder, e.file, strings.ReplaceAll(e.summary, "|", `\|`))
	}
	return b.String() + "\n"
}
