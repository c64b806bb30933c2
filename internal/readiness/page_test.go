package readiness

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// reportOf is a report in which the named rows are red, and all others of the areas
// green.
func reportOf(day int, red []string, only ...string) *Report {
	at := time.Date(2026, 3, day, 10, 20, 30, 0, time.UTC)
	r := &Report{Started: at, Ended: at.Add(time.Minute), Commit: "0123456789ab", Go: "go1.26"}
	for _, row := range Rows() {
		if len(only) == 0 || slices.Contains(only, row.Name) {
			o := &Outcome{Row: row.Name, Command: row.command(load(time.Second)), Passed: !slices.Contains(red, row.Name), Output: "```\nlast words"}
			if !o.Passed {
				o.Reason = "exit status 1"
			}
			r.Outcomes = append(r.Outcomes, o)
		}
	}
	return r
}

// pageWith makes a page and an archive, and returns the page as it was rewritten.
func pageWith(t *testing.T, reports ...*Report) string {
	t.Helper()
	dir := t.TempDir()
	var text strings.Builder
	for _, part := range []string{"quick reference", "checklist", "archive"} {
		text.WriteString("before " + part + "\n<!-- " + part + ": written by scripts/verify-production-readiness.sh -->\nSTALE " + part + "\n<!-- end of " + part + " -->\n")
	}
	mustWrite(t, dir, "README.md", text.String())
	for _, r := range reports {
		if _, err := r.Write(filepath.Join(dir, "results")); err != nil {
			t.Fatal(err)
		}
	}
	if err := RewritePage(filepath.Join(dir, "README.md"), filepath.Join(dir, "results"), time.Second); err != nil {
		t.Fatal(err)
	}
	first := mustRead(t, filepath.Join(dir, "README.md"))
	if err := RewritePage(filepath.Join(dir, "README.md"), filepath.Join(dir, "results"), time.Second); err != nil {
		t.Fatal(err)
	}
	if again := mustRead(t, filepath.Join(dir, "README.md")); again != first {
		t.Errorf("the page changes when it is made again:\n%s\n%s", first, again)
	}
	if strings.Contains(first, "STALE") || !strings.Contains(first, "before archive\n") {
		t.Errorf("the page keeps what it must not, or loses what it must:\n%s", first)
	}
	return first
}

func TestQuickReference(t *testing.T) {
	const at5, at6 = "[2026-03-05](results/2026-03-05-production-readiness-102030.md)", "[2026-03-06](results/2026-03-06-production-readiness-102030.md)"
	all := func() *Report { return reportOf(5, nil) }
	for name, tc := range map[string]struct {
		reports []*Report
		want    string
	}{
		"nothing has run":        {nil, "| Crash recovery | not run | never |"},
		"all green":              {[]*Report{all()}, "| Crash recovery | green | " + at5 + " |"},
		"then one red":           {[]*Report{all(), reportOf(6, []string{"restart"})}, "| Crash recovery | red: restart | " + at5 + " |"},
		"then only others":       {[]*Report{all(), reportOf(6, nil, "port")}, "| Crash recovery | green | " + at5 + " |"},
		"then one red, alone":    {[]*Report{all(), reportOf(6, []string{"restart"}, "restart")}, "| Crash recovery | red: restart | " + at5 + " |"},
		"a red one mended alone": {[]*Report{reportOf(5, []string{"restart"}), reportOf(6, nil, "restart")}, "| Crash recovery | green | never |"},
		"green again":            {[]*Report{reportOf(5, []string{"restart"}), reportOf(6, nil)}, "| Crash recovery | green | " + at6 + " |"},
		"a part of it":           {[]*Report{reportOf(5, nil, "load")}, "| Load testing | not run: load-failover | never |"},
	} {
		t.Run(name, func(t *testing.T) {
			if page := pageWith(t, tc.reports...); !strings.Contains(page, tc.want+"\n") {
				t.Errorf("want the line\n%s\nin\n%s", tc.want, page)
			}
		})
	}
}

func TestArchive(t *testing.T) {
	dir := t.TempDir()
	for _, r := range []*Report{reportOf(5, nil), reportOf(6, []string{"port", "restart"})} {
		if _, err := r.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(t, dir, "2026-03-06-load-test-235959.md", "# Load test\n")
	mustWrite(t, dir, "2026-03-06-load-test-235959.json", `{"program":{"commit":"abc"},"results":[{"scenario":"baseline","targets":[{"met":true}]},{"scenario":"sustained","targets":[{"met":true},{"met":false}]}]}`)
	mustWrite(t, dir, "2026-03-04-writes.md", "# Writes | measured\n\nmore\n")
	mustWrite(t, dir, "notes.md", "no report")
	archive, err := readArchive(dir)
	if err != nil {
		t.Fatal(err)
	}
	total := len(Rows())
	got := archiveTable(archive, "results")
	want := strings.NewReplacer("{n}", strconv.Itoa(total), "{m}", strconv.Itoa(total-2)).Replace(`
| date | report | summary |
|---|---|---|
| 2026-03-06 | [load-test-235959](results/2026-03-06-load-test-235959.md) | load test at abc: baseline, sustained; targets missed: sustained |
| 2026-03-06 | [production-readiness-102030](results/2026-03-06-production-readiness-102030.md) | production readiness at 0123456789ab: {m} of {n} rows green; red: restart, port |
| 2026-03-05 | [production-readiness-102030](results/2026-03-05-production-readiness-102030.md) | production readiness at 0123456789ab: {n} of {n} rows green |
| 2026-03-04 | [writes](results/2026-03-04-writes.md) | Writes \| measured |

`)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	mustWrite(t, dir, "2026-03-07-load-test-000000.md", "# Load test\n")
	if _, err := readArchive(dir); err == nil {
		t.Error("a load test without its JSON is listed")
	}
}

func TestAPageWithoutMarksIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, "README.md", "# Nothing to write\n")
	if err := RewritePage(filepath.Join(dir, "README.md"), filepath.Join(dir, "results"), time.Second); err == nil {
		t.Error("parts were written into a page that has no place for them")
	}
	if got := mustRead(t, filepath.Join(dir, "README.md")); got != "# Nothing to write\n" {
		t.Errorf("the page is now %q", got)
	}
}

func TestReportsReadBack(t *testing.T) {
	dir := t.TempDir()
	r := reportOf(5, []string{"restart"})
	path, err := r.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	page := mustRead(t, path)
	for _, want := range []string{"Red: restart.", "0123456789ab", "## wal-recovery", "last words", "exit status 1", `TestCrashRecoveryWithoutSnapshot\|`} {
		if !strings.Contains(page, want) {
			t.Errorf("the report does not have %q:\n%s", want, page)
		}
	}
	if strings.Count(page, "```")%2 != 0 {
		t.Error("what a command has written ends its fence")
	}
	var back Report
	if err := readJSON(path, &back); err != nil || len(back.Outcomes) != len(Rows()) || !slices.Equal(back.Red(), []string{"restart"}) {
		t.Errorf("%+v, %v", back, err)
	}
}

// The page in the repository is what the script would write.
func TestThePageIsCurrent(t *testing.T) {
	dir := t.TempDir()
	const place = root + "/uat/production-readiness"
	page := mustRead(t, place+"/README.md")
	mustWrite(t, dir, "README.md", page)
	if err := os.CopyFS(filepath.Join(dir, "results"), os.DirFS(place+"/results")); err != nil {
		t.Fatal(err)
	}
	if err := RewritePage(filepath.Join(dir, "README.md"), filepath.Join(dir, "results"), UsualLoad); err != nil {
		t.Fatal(err)
	}
	if mustRead(t, filepath.Join(dir, "README.md")) != page {
		t.Error("uat/production-readiness/README.md differs from what its rows and reports make of it: run scripts/verify-production-readiness.sh --page")
	}
}
