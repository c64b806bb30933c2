package tutorial

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stemedb/stemedb/internal/clustertest"
	"github.com/stemedb/stemedb/internal/localcluster"
)

var update = flag.Bool("update", false, "write what the commands print into the pages")

const pages = "../../docs/tutorials"

// step is one command of a page with what it should print.
type step struct {
	command, output string
	line            int // of the page, from 1
}

// A console block holds commands behind "$ ", continued while a line ends in a
// backslash, each followed by its output.
const (
	opening = "```console"
	closing = "```"
	prompt  = "$ "
)

// parse reads the steps of a page.
func parse(page string) (steps []step) {
	inside, continued := false, false
	for i, line := range strings.Split(page, "\n") {
		switch {
		case !inside:
			inside = line == opening
		case line == closing:
			inside = false
		case continued:
			steps[len(steps)-1].command += "\n" + line
			continued = strings.HasSuffix(line, `\`)
		case strings.HasPrefix(line, prompt):
			steps = append(steps, step{command: strings.TrimPrefix(line, prompt), line: i + 1})
			continued = strings.HasSuffix(line, `\`)
		default:
			steps[len(steps)-1].output += line + "\n"
		}
	}
	return steps
}

// render puts outputs in the place of those of a page.
func render(page string, outputs []string) string {
	var out []string
	at, inside, continued := -1, false, false
	end := func() {
		if inside && at >= 0 && outputs[at] != "" {
			out = append(out, strings.TrimSuffix(outputs[at], "\n"))
			outputs[at] = ""
		}
	}
	for _, line := range strings.Split(page, "\n") {
		switch {
		case !inside:
			inside = line == opening
			out = append(out, line)
		case line == closing:
			end()
			inside = false
			out = append(out, line)
		case continued:
			continued = strings.HasSuffix(line, `\`)
			out = append(out, line)
		case strings.HasPrefix(line, prompt):
			end()
			at++
			continued = strings.HasSuffix(line, `\`)
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// What differs with each run is shown by a name.
var (
	hash     = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	brief    = regexp.MustCompile(`\b[0-9a-f]{12}\b`)
	logIndex = regexp.MustCompile(`(log index|^index) +\d+`)
	today    = time.Now().UTC().Format(time.DateOnly)
)

func normalise(output string) string {
	var lines []string
	for _, line := range strings.Split(output, "\n") {
		line = hash.ReplaceAllString(line, "<hash>")
		line = brief.ReplaceAllString(line, "<hash>")
		line = logIndex.ReplaceAllString(line, "$1 <n>")
		lines = append(lines, strings.TrimRight(strings.ReplaceAll(line, today, "<today>"), " "))
	}
	return strings.Join(lines, "\n")
}

// run runs the commands in one shell and returns what each prints.
func run(t *testing.T, steps []step, bin, url string) []string {
	t.Helper()
	const mark = "---- step %d ----\n"
	var script strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&script, "printf -- '"+strings.ReplaceAll(mark, "\n", `\n`)+"'\n%s\n", i, s.command)
	}
	fmt.Fprintf(&script, "printf -- '"+strings.ReplaceAll(mark, "\n", `\n`)+"'\n", len(steps))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-e", "-o", "pipefail")
	shell.Stdin = strings.NewReader(script.String())
	shell.Dir = t.TempDir()
	shell.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "STEMEDB_URL="+url, "TZ=UTC", "LC_ALL=C")
	raw, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, raw)
	}
	outputs := make([]string, len(steps))
	for i := range steps {
		_, rest, _ := bytes.Cut(raw, fmt.Appendf(nil, mark, i))
		output, _, found := bytes.Cut(rest, fmt.Appendf(nil, mark, i+1))
		if !found {
			t.Fatalf("step %d did not end:\n%s", i, raw)
		}
		outputs[i] = normalise(string(output))
	}
	return outputs
}

func TestTutorials(t *testing.T) {
	bin := filepath.Dir(clustertest.Binary(t, "stemectl"))
	found, err := filepath.Glob(filepath.Join(pages, "*.md"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no tutorials: %v", err)
	}
	for _, path := range found {
		t.Run(filepath.Base(path), func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			steps := parse(string(raw))
			if len(steps) == 0 {
				t.Fatal("the page has no commands")
			}
			cluster, err := localcluster.Temporary(t.Context(), 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			outputs := run(t, steps, bin, cluster.URLs()[0])
			if *update {
				if err := os.WriteFile(path, []byte(render(string(raw), outputs)), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for i, s := range steps {
				if diff := cmp.Diff(s.output, outputs[i]); diff != "" {
					t.Errorf("%s:%d: %s prints something else (-page +run); go test ./internal/tutorial -update writes the page anew:\n%s", path, s.line, s.command, diff)
				}
			}
		})
	}
}

// A page is read and written as its format says, so that a command without its
// output, or with another one, is found.
func TestParseAndRender(t *testing.T) {
	page := "text\n```console\n$ one\nout 1\n$ two \\\n  more\n```\n```\n$ not run\n```\nend"
	steps := parse(page)
	want := []step{{"one", "out 1\n", 3}, {"two \\\n  more", "", 5}}
	if diff := cmp.Diff(want, steps, cmp.AllowUnexported(step{})); diff != "" {
		t.Error(diff)
	}
	got := render(page, []string{"new 1\nnew 2\n", "new 3\n"})
	if want := "text\n```console\n$ one\nnew 1\nnew 2\n$ two \\\n  more\nnew 3\n```\n```\n$ not run\n```\nend"; got != want {
		t.Errorf("rendered %q", got)
	}
}
