package readiness

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const root = "../.."

// testsOf are the tests of a room, by its sources.
func testsOf(t *testing.T, room string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, room, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

func TestRowsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rows() {
		if seen[r.Name] || !slices.Contains(areas, r.Area) || r.Shows == "" || (len(r.Tests) > 0) == (r.Script != "") {
			t.Errorf("row %q: its name, area, what it shows and its one command: %+v", r.Name, r)
		}
		seen[r.Name] = true
		for _, name := range r.Tests {
			if !slices.Contains(testsOf(t, r.Room), name) {
				t.Errorf("row %s runs %s of %s, which does not exist", r.Name, name, r.Room)
			}
		}
		if r.Script == "" {
			continue
		}
		for word := range strings.FieldsSeq(r.Script) {
			if strings.HasSuffix(word, ".sh") {
				if info, err := os.Stat(filepath.Join(root, word)); err != nil || info.Mode()&0o100 == 0 {
					t.Errorf("row %s runs %s, which is not there or cannot be run: %v", r.Name, word, err)
				}
			}
		}
	}
	for _, area := range areas {
		if len(rowsOf(area)) == 0 {
			t.Errorf("%s has no row", area)
		}
	}
}

// Every fault can still be put into the tree: the self-test itself takes too long
// to run with every change of the code.
func TestFaultsFitTheCode(t *testing.T) {
	for _, r := range Rows() {
		if r.Fault.what == "" || r.Fault.shows == "" || len(r.Fault.edits) == 0 {
			t.Errorf("row %s has no whole fault: %+v", r.Name, r.Fault)
		}
		copied := t.TempDir()
		for _, e := range r.Fault.edits {
			if err := copyFile(filepath.Join(root, e.file), filepath.Join(copied, e.file)); err != nil {
				t.Fatal(err)
			}
		}
		undo, err := r.Fault.apply(copied)
		if err != nil {
			t.Errorf("row %s: %v", r.Name, err)
			continue
		}
		for _, e := range r.Fault.edits {
			if changed := mustRead(t, filepath.Join(copied, e.file)); changed == mustRead(t, filepath.Join(root, e.file)) {
				t.Errorf("row %s: the fault leaves %s as it is", r.Name, e.file)
			}
		}
		if err := undo(); err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Fault.edits {
			if mustRead(t, filepath.Join(copied, e.file)) != mustRead(t, filepath.Join(root, e.file)) {
				t.Errorf("row %s: the fault in %s is not undone", r.Name, e.file)
			}
		}
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestFaultsThatDoNotFitAreRefused(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, "a.go", "one two two")
	good, twice, gone := edit{"a.go", "one", "1"}, edit{"a.go", "two", "2"}, edit{"a.go", "three", "3"}
	for _, f := range []fault{{edits: []edit{good, twice}}, {edits: []edit{good, gone}}, {edits: []edit{good, {"b.go", "x", "y"}}}} {
		if _, err := f.apply(dir); err == nil {
			t.Errorf("%+v was put into the tree", f)
		}
		if got := mustRead(t, filepath.Join(dir, "a.go")); got != "one two two" {
			t.Errorf("%+v has left %q behind", f, got)
		}
	}
}

func mustWrite(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAllPassed(t *testing.T) {
	const a, b = "--- PASS: TestA (0.00s)\n", "--- PASS: TestB (0.10s)\n"
	for name, tc := range map[string]struct {
		output string
		says   string // "" if all passed
	}{
		"both":                     {"=== RUN   TestA\n" + a + b + "PASS\n", ""},
		"parts that passed":        {"=== RUN   TestA\n" + a + "    --- PASS: TestA/x (0.00s)\n" + b, ""},
		"nothing":                  {"testing: warning: no tests to run\nPASS\nok  \tx\t0.1s [no tests to run]\n", "TestA did not run"},
		"one of two":               {a, "TestB did not run"},
		"a longer name":            {a + "--- PASS: TestBelow (0.00s)\n", "TestB did not run"},
		"skipped":                  {a + "--- SKIP: TestB (0.00s)\n", "TestB was skipped"},
		"a part that was skipped":  {a + b + "    --- SKIP: TestB/x (0.00s)\n", "TestB/x was skipped"},
		"failed":                   {a + "--- FAIL: TestB (0.00s)\n", "TestB failed"},
		"a test that logs a claim": {a + "    x_test.go:1: --- PASS: TestB (0.00s)\n", "TestB did not run"},
	} {
		t.Run(name, func(t *testing.T) {
			err := allPassed([]byte(tc.output), []string{"TestA", "TestB"})
			if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want %q", err, tc.says)
			}
		})
	}
}

func TestRunsAreJudged(t *testing.T) {
	r := runner{dir: t.TempDir(), env: os.Environ(), load: load(time.Second), log: io.Discard}
	for name, tc := range map[string]struct {
		script string
		passed bool
		output string
	}{
		"good":            {"echo fine", true, "fine"},
		"bad":             {"echo so and so >&2; exit 3", false, "so and so"},
		"not there":       {"./nothing-is-here", false, "nothing-is-here"},
		"of load":         {"echo {sustained} {others}", true, "1s 1s"},
		"ended by signal": {"kill -KILL $$", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := r.run(t.Context(), &Row{Name: name, Script: tc.script})
			if o.Passed != tc.passed || o.Passed != (o.Reason == "") || !strings.Contains(o.Output, tc.output) {
				t.Errorf("%+v", o)
			}
		})
	}
}

// An interrupted run ends what the command has started, in good order.
func TestAnInterruptReachesTheWholeCommand(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := runner{dir: t.TempDir(), env: os.Environ(), log: onLine{"begun", cancel}}
	o := r.run(ctx, &Row{Script: "(trap 'echo ended in good order; exit 0' TERM; echo begun; while :; do sleep 0.05; done) & wait $!; wait $!"})
	if o.Passed || !strings.Contains(o.Output, "ended in good order") {
		t.Errorf("%+v", o)
	}
}

// onLine calls do when a text is written.
type onLine struct {
	text string
	do   func()
}

func (l onLine) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(l.text)) {
		l.do()
	}
	return len(p), nil
}

func TestAFaultMustBeNoticedForItsOwnSake(t *testing.T) {
	for name, tc := range map[string]struct {
		script, says string
	}{
		"noticed":           {"grep -q good state || { echo 'FAILED: the state'; exit 1; }", ""},
		"not noticed":       {"test -e state", "green all the same"},
		"for another cause": {"echo no such compiler; exit 1", "another reason"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			mustWrite(t, dir, "state", "good")
			r := runner{dir: dir, env: os.Environ(), log: io.Discard}
			err := r.notices(t.Context(), &Row{Name: "x", Script: tc.script, Fault: fault{"a bad state", []edit{{"state", "good", "bad"}}, "FAILED: the state"}})
			if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want %q", err, tc.says)
			}
			if got := mustRead(t, filepath.Join(dir, "state")); got != "good" {
				t.Errorf("the fault was left in the tree: %q", got)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	if _, err := Choose([]string{"restart", "nothing"}); err == nil || !strings.Contains(err.Error(), "nothing") || !strings.Contains(err.Error(), "wal-recovery") {
		t.Errorf("an unknown row: %v", err)
	}
	rows, err := Choose([]string{"restart", "port"})
	if err != nil || len(rows) != 2 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if rows, err = Choose(nil); err != nil || len(rows) != len(Rows()) {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}
