package readiness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// fault is a change of the tree that a row must notice.
type fault struct {
	// what is wrong with the tree.
	what  string
	edits []edit
	// shows is in the output of the row's command when it has noticed the fault
	// itself, and has not failed on the way to it: a tree that does not compile is
	// red too.
	shows string
}

// edit replaces a text that stands in a file exactly once.
type edit struct{ file, before, after string }

// apply changes the file below a root and returns how to undo it.
func (e edit) apply(root string) (undo func() error, err error) {
	path := filepath.Join(root, e.file)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(raw, []byte(e.before)); n != 1 {
		return nil, fmt.Errorf("%s has the text of the fault %d times, not once: adapt the fault to the code\n%s", e.file, n, e.before)
	}
	changed := bytes.Replace(raw, []byte(e.before), []byte(e.after), 1)
	return func() error { return os.WriteFile(path, raw, info.Mode()) }, os.WriteFile(path, changed, info.Mode())
}

// apply makes every edit; undo takes them back.
func (f fault) apply(root string) (undo func() error, err error) {
	var undos []func() error
	undo = func() error {
		var errs []error
		for _, u := range slices.Backward(undos) {
			errs = append(errs, u())
		}
		return errors.Join(errs...)
	}
	for _, e := range f.edits {
		u, err := e.apply(root)
		if err != nil {
			return nil, errors.Join(err, undo())
		}
		undos = append(undos, u)
	}
	return undo, nil
}

// SelfTest puts each row's fault into a copy of the tree and runs the row's command
// there, which must be red because of the fault. It returns the names of the rows
// that were not.
func SelfTest(ctx context.Context, o Options) (blind []string, err error) {
	// One place for each checkout, so that programs that are built of it have one
	// too, and the cache of go build is of use the next time.
	scratch := filepath.Join(o.Root, "bin", "self-test")
	if err := os.RemoveAll(scratch); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := copyTree(ctx, o.Root, scratch); err != nil {
		return nil, err
	}
	// Built as the programs of the checkout are, so that all share one cache: most
	// of the time would go into compiling else.
	env := cleanEnv("LOAD_TEST_RESULTS=bin/results", "CGO_ENABLED=0", "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -trimpath"))
	r := runner{dir: scratch, env: env, load: load(o.Load), log: o.Log}
	for _, row := range o.Rows {
		fmt.Fprintf(o.Out, "%-18s fault: %s\n", row.Name, row.Fault.what)
		began := time.Now()
		err := r.notices(ctx, &row)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("interrupted while %s ran", row.Name)
		}
		if err != nil {
			blind = append(blind, row.Name)
			fmt.Fprintf(o.Out, "%-18s NOT RED AS IT SHOULD BE: %v\n", row.Name, err)
			continue
		}
		fmt.Fprintf(o.Out, "%-18s red as it should be (%q) after %.1f s\n", row.Name, row.Fault.shows, time.Since(began).Seconds())
	}
	return blind, nil
}

// notices says why a row's command does not notice the fault in the runner's tree,
// nil if it does.
func (r *runner) notices(ctx context.Context, row *Row) (err error) {
	undo, err := row.Fault.apply(r.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, undo()) }()
	outcome := r.run(ctx, row)
	switch {
	case outcome.Passed:
		return fmt.Errorf("green all the same: %s\n%s", outcome.Command, indent(outcome.Output))
	case !bytes.Contains(outcome.whole, []byte(row.Fault.shows)):
		return fmt.Errorf("red, but %q is not in its output: is it red for another reason?\n  %s\n%s", row.Fault.shows, outcome.Reason, indent(outcome.Output))
	}
	return nil
}

// copyTree copies what git knows or would add, as it is in the working tree, and
// links the cache of programs that some rows need.
func copyTree(ctx context.Context, from, to string) error {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the files of the tree: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		err := copyFile(filepath.Join(from, name), filepath.Join(to, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // removed, and not committed yet
			return fmt.Errorf("copy the tree: %w", err)
		}
	}
	cache := filepath.Join(from, ".cache")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	return os.Symlink(cache, filepath.Join(to, ".cache"))
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
