package readiness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stemedb/stemedb/internal/localcluster"
)

// UsualLoad is how long the scenario sustained runs, unless a run says otherwise.
const UsualLoad = 30 * time.Second

const (
	// rowTime bounds one row; go test has its own, shorter bound.
	rowTime = 20 * time.Minute
	// stopTime is how long a command has to stop its nodes when it is interrupted.
	stopTime = 15 * time.Second
	// keptLines is how much of a command's output a report shows.
	keptLines = 40
)

// Outcome is what a row came to.
type Outcome struct {
	Row     string `json:"row"`
	Command string `json:"command"`
	Passed  bool   `json:"passed"`
	// Reason says why it did not pass.
	Reason  string  `json:"reason,omitempty"`
	Seconds float64 `json:"seconds"`
	// Output is the end of what the command wrote.
	Output string `json:"output"`

	whole []byte
}

// runner runs rows.
type runner struct {
	dir  string // the tree
	env  []string
	load load
	log  io.Writer // receives all output
}

// run runs a row's command and judges it.
func (r *runner) run(ctx context.Context, row *Row) *Outcome {
	o := &Outcome{Row: row.Name, Command: row.command(r.load)}
	ctx, cancel := context.WithTimeout(ctx, rowTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", o.Command)
	cmd.Dir, cmd.Env = r.dir, r.env
	// A group of its own: whatever the command has started hears of the end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	var output bytes.Buffer
	both := io.MultiWriter(&output, r.log)
	cmd.Stdout, cmd.Stderr = both, both
	began := time.Now()
	err := cmd.Run()
	o.Seconds = time.Since(began).Round(100 * time.Millisecond).Seconds()
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	o.whole = output.Bytes()
	if err == nil && len(row.Tests) > 0 {
		err = allPassed(o.whole, row.Tests)
	}
	o.Output = tail(o.whole, keptLines)
	if o.Passed = err == nil; !o.Passed {
		o.Reason = err.Error()
	}
	return o
}

// verdictLine is how `go test -v` tells what became of a test, indented for a part
// of one.
var verdictLine = regexp.MustCompile(`(?m)^( *)--- (PASS|FAIL|SKIP): (\S+) \(`)

// allPassed tells whether the output of `go test -v` shows that each of the tests
// has run and passed, with no part skipped. `go test` itself is content with a
// pattern that matches nothing, and with tests that are skipped.
func allPassed(output []byte, tests []string) error {
	passed := map[string]bool{}
	var errs []error
	for _, m := range verdictLine.FindAllSubmatch(output, -1) {
		name := string(m[3])
		switch string(m[2]) {
		case "PASS":
			passed[name] = true
		case "SKIP":
			errs = append(errs, fmt.Errorf("%s was skipped: nothing is known of it", name))
		case "FAIL":
			errs = append(errs, fmt.Errorf("%s failed", name))
		}
	}
	for _, name := range tests {
		if !passed[name] && !bytes.Contains(output, []byte("--- SKIP: "+name+" ")) && !bytes.Contains(output, []byte("--- FAIL: "+name+" ")) {
			errs = append(errs, fmt.Errorf("%s did not run: is it still called so?", name))
		}
	}
	return errors.Join(errs...)
}

// tail is the last lines of an output.
func tail(output []byte, most int) string {
	lines := strings.Split(strings.TrimRight(string(output), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

// cleanEnv is the environment of this process without what would change a node,
// a load test or a test.
func cleanEnv(extra ...string) []string {
	env := slices.DeleteFunc(localcluster.CleanEnv(), func(pair string) bool {
		return strings.HasPrefix(pair, "LOAD_TEST_") || strings.HasPrefix(pair, "STEMECTL_")
	})
	return append(env, extra...)
}

// Choose are the rows of the given names, all of them without any.
func Choose(names []string) ([]Row, error) {
	all := Rows()
	var known []string
	for _, r := range all {
		known = append(known, r.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("--row %s is none of %s", name, strings.Join(known, ", "))
		}
	}
	if len(names) == 0 {
		return all, nil
	}
	return slices.DeleteFunc(all, func(r Row) bool { return !slices.Contains(names, r.Name) }), nil
}

// Options say what is run, and where.
type Options struct {
	// Root is the checkout.
	Root string
	Rows []Row
	// Load is how long the scenario sustained runs; the others run as long, but no
	// longer than 20 s a phase.
	Load time.Duration
	// Results is the folder of the reports.
	Results string
	// Log receives the output of the commands, Out a line for each row.
	Log, Out io.Writer
}

// Run runs rows one after the other. A row that is red does not end it; the end of
// ctx does, and leaves the rows after it out.
func Run(ctx context.Context, o Options) (*Report, error) {
	report, err := newReport(ctx, o.Root)
	if err != nil {
		return nil, err
	}
	r := runner{dir: o.Root, env: cleanEnv("LOAD_TEST_RESULTS=" + o.Results), load: load(o.Load), log: o.Log}
	for _, row := range o.Rows {
		fmt.Fprintf(o.Out, "%-18s %s\n", row.Name, row.command(r.load))
		outcome := r.run(ctx, &row)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("interrupted while %s ran: no report is written", row.Name)
		}
		report.Outcomes = append(report.Outcomes, outcome)
		fmt.Fprintf(o.Out, "%-18s %s after %.1f s\n", row.Name, outcome.verdict(), outcome.Seconds)
		if !outcome.Passed {
			fmt.Fprintf(o.Out, "  %s\n%s\n", strings.ReplaceAll(outcome.Reason, "\n", "\n  "), indent(outcome.Output))
		}
	}
	report.Ended = now()
	return report, nil
}

func (o *Outcome) verdict() string {
	if o.Passed {
		return "green"
	}
	return "RED"
}

func indent(text string) string { return "  | " + strings.ReplaceAll(text, "\n", "\n  | ") }

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// List writes the rows with their commands.
func List(w io.Writer, o Options) error {
	for _, row := range o.Rows {
		if _, err := fmt.Fprintf(w, "%-18s %s: %s\n%18s %s\n", row.Name, row.Area, row.Shows, "", row.command(load(o.Load))); err != nil {
			return err
		}
	}
	return nil
}
