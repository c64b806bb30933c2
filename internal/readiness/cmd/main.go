// Command cmd runs the production-readiness checklist and writes its report, or
// tests the checklist itself. scripts/verify-production-readiness.sh describes it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stemedb/stemedb/internal/readiness"
)

const (
	page         = "uat/production-readiness/README.md"
	usualResults = "uat/production-readiness/results"

	// What a self-test breaks shows at once.
	selfTestLoad = 10 * time.Second

	exitRed   = 1
	exitUsage = 2
)

// errRed is not told: the lines of the rows were.
var errRed = errors.New("rows are red")

// names are a flag that may be repeated.
type names []string

func (n *names) String() string { return strings.Join(*n, ",") }

func (n *names) Set(value string) error {
	*n = append(*n, strings.Split(value, ",")...)
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	switch {
	case errors.Is(err, errRed):
		os.Exit(exitRed)
	case err != nil:
		fmt.Fprintln(os.Stderr, "verify-production-readiness:", err)
		os.Exit(exitUsage)
	}
}

func run(ctx context.Context) error {
	var chosen names
	flag.Var(&chosen, "row", "run this row only; may be repeated, or hold several separated by commas")
	list := flag.Bool("list", false, "list the rows with their commands, and run none")
	selfTest := flag.Bool("self-test", false, "break the tree for each row, in a copy, and see the row red")
	length := flag.Duration("load-duration", 0, "how long the scenario sustained runs; the others no longer than 20s a phase (default 30s, with --self-test 10s)")
	results := flag.String("results", usualResults, "folder of the reports; the page is made anew only for the usual one")
	pageOnly := flag.Bool("page", false, "make the page anew of the rows and the reports, and run nothing")
	verbose := flag.Bool("verbose", false, "show what the commands write while they run")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q: rows are named by --row", flag.Arg(0))
	}
	if *length < 0 {
		return fmt.Errorf("--load-duration %v is not positive", *length)
	}
	rows, err := readiness.Choose(chosen)
	if err != nil {
		return err
	}
	o := readiness.Options{Rows: rows, Load: readiness.UsualLoad, Log: io.Discard, Out: os.Stdout}
	if *selfTest {
		o.Load = selfTestLoad
	}
	if *length > 0 {
		o.Load = *length
	}
	if *verbose {
		o.Log = os.Stderr
	}
	if o.Root, err = os.Getwd(); err != nil {
		return err
	}
	if o.Results, err = filepath.Abs(*results); err != nil {
		return err
	}
	switch {
	case *list:
		return readiness.List(os.Stdout, o)
	case *pageOnly:
		return readiness.RewritePage(filepath.Join(o.Root, page), filepath.Join(o.Root, usualResults), readiness.UsualLoad)
	case *selfTest:
		return testItself(ctx, o)
	}
	return verify(ctx, o)
}

func testItself(ctx context.Context, o readiness.Options) error {
	began := time.Now()
	blind, err := readiness.SelfTest(ctx, o)
	if err != nil {
		return err
	}
	took := time.Since(began).Round(time.Second)
	if len(blind) > 0 {
		fmt.Printf("\n%d of %d rows do not notice their fault: %s (%v)\n", len(blind), len(o.Rows), strings.Join(blind, ", "), took)
		return errRed
	}
	fmt.Printf("\nall %d rows were red as they should be (%v)\n", len(o.Rows), took)
	return nil
}

func verify(ctx context.Context, o readiness.Options) error {
	report, err := readiness.Run(ctx, o)
	if err != nil {
		return err
	}
	path, err := report.Write(o.Results)
	if err != nil {
		return err
	}
	if o.Results == filepath.Join(o.Root, usualResults) {
		if err := readiness.RewritePage(filepath.Join(o.Root, page), o.Results, readiness.UsualLoad); err != nil {
			return err
		}
	}
	fmt.Printf("\nreport: %s\n", path)
	if red := report.Red(); len(red) > 0 {
		fmt.Printf("%d of %d rows are red: %s\n", len(red), len(o.Rows), strings.Join(red, ", "))
		return errRed
	}
	fmt.Printf("all %d rows are green\n", len(o.Rows))
	return nil
}
