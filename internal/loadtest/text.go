package loadtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// measurementHead is the head of a table of measurements, of which row is a row.
var measurementHead = []string{"scenario", "load", "claims or reads", "per second", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "longest gap ms", "failed", "unsent"}

// measurementRows are the rows of every measurement of a scenario.
func (r *Result) measurementRows() [][]string {
	var rows [][]string
	for _, p := range r.Phases {
		for _, m := range p.measurements() {
			rows = append(rows, []string{
				r.Scenario, m.describe(p.Name), strconv.FormatUint(m.Operations*uint64(m.ItemsPerOperation), 10), fmt.Sprintf("%.0f", m.PerSecond),
				number(m.P50), number(m.P90), number(m.P99), number(m.P999), number(m.Max), number(m.LongestGapMS),
				strconv.FormatUint(m.Failed, 10), strconv.FormatUint(m.Unsent, 10),
			})
		}
	}
	return rows
}

// describe says what kind of load it was.
func (m *Measurement) describe(phase string) string {
	text := fmt.Sprintf("%ss, %s loop, %d workers", m.Kind, m.Loop, m.Workers)
	if m.AskedPerSecond > 0 {
		text += fmt.Sprintf(", %.0f/s asked", m.AskedPerSecond)
	}
	if m.ItemsPerOperation > 1 {
		text += fmt.Sprintf(", %d a request", m.ItemsPerOperation)
	}
	if phase != "" {
		text += ", " + phase
	}
	return text
}

// number has three significant digits, and no fewer than all before the point.
func number(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

var targetHead = []string{"scenario", "target", "limit", "measured", "result", "note"}

func (r *Result) targetRows() [][]string {
	var rows [][]string
	for _, t := range r.Targets {
		rows = append(rows, []string{r.Scenario, t.Name, t.limit(), strings.TrimSpace(number(t.Value) + " " + t.Unit), t.verdict(), t.Note})
	}
	return rows
}

func (t Target) limit() string {
	sign := "<= "
	switch {
	case t.AtLeast:
		sign = ">= "
	case t.Below:
		sign = "< "
	}
	return strings.TrimSpace(sign + number(t.Limit) + " " + t.Unit)
}

func (t Target) verdict() string {
	if t.Met {
		return "met"
	}
	return "MISSED"
}

// flags are settings as a command line has them.
func flags(settings map[string]string) string {
	var text []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		text = append(text, "--"+name+"="+settings[name])
	}
	return strings.Join(text, " ")
}

// facts are the lines that say what was measured, where and how.
func (r *Report) facts() [][2]string {
	where := "a running cluster"
	if r.Cluster.Own {
		where = "started by this program on the same machine, fsync on"
		if r.Cluster.FileSystem != "" {
			where += ", data on " + r.Cluster.FileSystem
		}
	}
	var described []string
	for _, n := range r.Cluster.Nodes {
		described = append(described, fmt.Sprintf("%s (%s, version %s, %d claims before)", n.Node, n.Role, n.Version, n.Claims))
	}
	facts := [][2]string{
		{"started", r.Started.Format(time.RFC3339)},
		{"program", fmt.Sprintf("load-test %s, commit %s, %s", r.Program.Version, r.Program.Commit, r.Program.Go)},
		{"machine of the client", r.Machine.String()},
		{"cluster", where},
		{"nodes", strings.Join(described, ", ")},
		{"metering", meterText(r.Cluster.Metering)},
	}
	if len(r.Cluster.Settings) > 0 {
		facts = append(facts, [2]string{"settings of the nodes", flags(r.Cluster.Settings) + ", else the defaults"})
	}
	if len(r.Settings) > 0 {
		facts = append(facts, [2]string{"flags", flags(r.Settings)})
	}
	for _, note := range r.Notes {
		facts = append(facts, [2]string{"note", note})
	}
	return facts
}

// details are the lines about one scenario that no table has.
func (r *Result) details() []string {
	lines := []string{
		fmt.Sprintf("Values of %d bytes, by %d agents, signed %s (Ed25519). Reads are %s.", r.ValueBytes, r.Agents, r.Signing, r.Consistency),
		r.Verification.text(),
	}
	if f := r.Verification.FirstFault; f != "" {
		lines = append(lines, "First fault in reading back: "+f)
	}
	for _, p := range r.Phases {
		for _, m := range p.measurements() {
			if m.FirstFailure != "" {
				lines = append(lines, fmt.Sprintf("First %s that failed: %s", m.Kind, m.FirstFailure))
			}
			if m.LongestGapMS > 0 && m.Kind == KindWrite {
				lines = append(lines, fmt.Sprintf("Longest time without an acknowledged write%s: %s ms, from %.1f s on.", comma(p.Name), number(m.LongestGapMS), m.LongestGapAtSeconds))
			}
		}
	}
	for _, e := range r.Events {
		lines = append(lines, fmt.Sprintf("After %.1f s: %s.", e.AtSeconds, e.What))
	}
	for _, m := range r.Memory {
		if n := len(m.Samples); n > 0 {
			lines = append(lines, fmt.Sprintf("Resident memory of %s: %.0f MiB at the beginning, %.0f MiB at the end, %d samples.",
				m.URL, m.Samples[0].Bytes/(1<<20), m.Samples[n-1].Bytes/(1<<20), n))
		}
	}
	if line := processorLine(r.Processors); line != "" {
		lines = append(lines, line)
	}
	return lines
}

func comma(name string) string {
	if name == "" {
		return ""
	}
	return ", " + name
}

func (v Verification) text() string {
	from := "one node each"
	if v.EveryNode {
		from = "every node"
	}
	return fmt.Sprintf("%d claims acknowledged; read back from %s in %.1f s: %d lost, %d could not be read.", v.Acknowledged, from, v.Seconds, v.Lost, v.Unread)
}

// outcome is the report in a few words.
func (r *Report) outcome() string {
	missed := 0
	for _, s := range r.Results {
		for _, t := range s.Targets {
			if !t.Met {
				missed++
			}
		}
	}
	switch {
	case r.Lost() > 0:
		return fmt.Sprintf("FAILED: %d acknowledged claims are LOST", r.Lost())
	case missed > 0:
		return fmt.Sprintf("FAILED: %d targets missed", missed)
	}
	return "passed: every target met"
}

// WriteTable writes the report for people at a terminal.
func (r *Report) WriteTable(w io.Writer) error {
	tabs := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.facts() {
		fmt.Fprintf(tabs, "%s\t%s\n", f[0], f[1])
	}
	if err := tabs.Flush(); err != nil {
		return err
	}
	for _, table := range r.tables() {
		fmt.Fprintln(tabs)
		for _, row := range append([][]string{table.head}, table.rows...) {
			fmt.Fprintln(tabs, strings.Join(row, "\t"))
		}
		if err := tabs.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	for _, s := range r.Results {
		for _, line := range s.details() {
			fmt.Fprintf(w, "%s: %s\n", s.Scenario, line)
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.outcome())
	return err
}

type table struct {
	head []string
	rows [][]string
}

// tables are the measurements and the targets of all scenarios.
func (r *Report) tables() []table {
	measurements, targets := table{head: measurementHead}, table{head: targetHead}
	for _, s := range r.Results {
		measurements.rows = append(measurements.rows, s.measurementRows()...)
		targets.rows = append(targets.rows, s.targetRows()...)
	}
	return []table{measurements, targets}
}

// WriteMarkdown writes the report as a page for a repository.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Load test, %s\n\n%s.\n\n| | |\n|---|---|\n", r.Started.Format("2006-01-02 15:04 MST"), capital(r.outcome()))
	for _, f := range r.facts() {
		markdownRow(&b, f[:])
	}
	for _, t := range r.tables() {
		b.WriteString("\n")
		markdownRow(&b, t.head)
		b.WriteString(strings.Repeat("|---", len(t.head)) + "|\n")
		for _, row := range t.rows {
			markdownRow(&b, row)
		}
	}
	for _, s := range r.Results {
		fmt.Fprintf(&b, "\n## %s\n\n", s.Scenario)
		for _, line := range s.details() {
			fmt.Fprintf(&b, "- %s\n", markdownText(line))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownRow(b *strings.Builder, cells []string) {
	for _, c := range cells {
		b.WriteString("| " + markdownText(c) + " ")
	}
	b.WriteString("|\n")
}

// markdownText keeps text from being taken for markup.
func markdownText(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(text)
}

func capital(text string) string {
	return strings.ToUpper(text[:1]) + text[1:]
}
