package readiness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/stemedb/stemedb/internal/loadtest"
)

// Report is a run of the checklist.
type Report struct {
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	// Commit is that of the tree; Changed says that files differ from it.
	Commit   string           `json:"commit"`
	Changed  bool             `json:"changed"`
	Go       string           `json:"go"`
	Machine  loadtest.Machine `json:"machine"`
	Outcomes []*Outcome       `json:"outcomes"`
}

func newReport(ctx context.Context, root string) (*Report, error) {
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("git %s: %w: a report names the commit that it is about", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	commit, err := git("rev-parse", "--short=12", "HEAD")
	if err != nil {
		return nil, err
	}
	// Reports of before, and the page that is made of them, are no part of what is
	// judged.
	changes, err := git("status", "--porcelain", "--", ".", ":!uat/production-readiness/results", ":!uat/production-readiness/README.md")
	if err != nil {
		return nil, err
	}
	return &Report{Started: now(), Commit: commit, Changed: changes != "", Go: runtime.Version(), Machine: loadtest.ThisMachine()}, nil
}

// Red are the rows that did not pass.
func (r *Report) Red() []string {
	var names []string
	for _, o := range r.Outcomes {
		if !o.Passed {
			names = append(names, o.Row)
		}
	}
	return names
}

// summary is the report in one line.
func (r *Report) summary() string {
	text := fmt.Sprintf("production readiness at %s: %d of %d rows green", r.tree(), len(r.Outcomes)-len(r.Red()), len(r.Outcomes))
	if red := r.Red(); len(red) > 0 {
		text += "; red: " + strings.Join(red, ", ")
	}
	return text
}

// tree names what was judged.
func (r *Report) tree() string {
	if r.Changed {
		return r.Commit + " with changes"
	}
	return r.Commit
}

// reportStem is in the name of every report of this kind.
const reportStem = "-production-readiness-"

// Write writes the report into a folder, as Markdown and as JSON beside it, and
// returns the path of the former.
func (r *Report) Write(folder string) (string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make the folder of the reports: %w", err)
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", err
	}
	base := filepath.Join(folder, r.Started.Format("2006-01-02")+reportStem+r.Started.Format("150405"))
	return base + ".md", errors.Join(
		os.WriteFile(base+".md", []byte(r.markdown()), 0o644),
		os.WriteFile(base+".json", append(raw, '\n'), 0o644))
}

// markdown is the report for people.
func (r *Report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Production readiness, %s\n\n", r.Started.Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(&b, "%d of %d rows are green", len(r.Outcomes)-len(r.Red()), len(r.Outcomes))
	if red := r.Red(); len(red) > 0 {
		fmt.Fprintf(&b, ". Red: %s", strings.Join(red, ", "))
	}
	fmt.Fprintf(&b, ".\n\n| | |\n|---|---|\n| commit | %s |\n| took | %v |\n| machine | %s |\n| software | %s |\n\n",
		r.tree(), r.Ended.Sub(r.Started), r.Machine, r.Go)
	b.WriteString("| area | row | result | s | command |\n|---|---|---|---|---|\n")
	rows := rowsByName()
	for _, o := range r.Outcomes {
		fmt.Fprintf(&b, "| %s | %s | %s | %.1f | %s |\n", rows[o.Row].Area, o.Row, o.verdict(), o.Seconds, code(o.Command))
	}
	b.WriteString("\nWhat the commands wrote last:\n")
	for _, o := range r.Outcomes {
		fmt.Fprintf(&b, "\n## %s\n\n%s: %s.\n\n", o.Row, o.verdict(), rows[o.Row].Shows)
		if !o.Passed {
			fmt.Fprintf(&b, "Why it is red:\n\n```text\n%s\n```\n\n", fenced(o.Reason))
		}
		fmt.Fprintf(&b, "```text\n%s\n```\n", fenced(o.Output))
	}
	return b.String()
}

func rowsByName() map[string]Row {
	byName := map[string]Row{}
	for _, r := range Rows() {
		byName[r.Name] = r
	}
	return byName
}

// code is a command within a table.
func code(command string) string { return "`" + strings.ReplaceAll(command, "|", `\|`) + "`" }

// fenced is text that cannot end its fence.
func fenced(text string) string { return strings.ReplaceAll(text, "```", "'''") }
