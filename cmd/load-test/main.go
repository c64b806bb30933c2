package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/exitcode"
	"github.com/stemedb/stemedb/internal/loadtest"
	"github.com/stemedb/stemedb/internal/version"
)

// The exit codes.
const (
	exitError       = 1 // something failed that is none of the below
	exitUsage       = 2 // the command line is wrong
	exitMissed      = 3 // a target was missed
	exitLost        = 4 // an acknowledged claim is lost
	exitUnavailable = 5 // no node answered
	exitMetered     = 6 // quotas are on
)

const apiKeyVar = "STEMEDB_API_KEY"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "load-test:", err)
	os.Exit(exitCode(err))
}

// exitCode is that of an error; one without a code comes from reading the
// command line.
func exitCode(err error) int { return exitcode.Of(err, exitUsage) }

// asCoded gives an error of a run its exit code.
func asCoded(err error) error {
	code := exitError
	switch {
	case errors.Is(err, loadtest.ErrMetered):
		code = exitMetered
	case errors.Is(err, client.ErrUnreachable):
		code = exitUnavailable
	}
	return &exitcode.Error{Code: code, Err: err}
}

// verdict is the error of a report that does not pass, nil if it does.
func verdict(r *loadtest.Report) error {
	switch {
	case r.Lost() > 0:
		return &exitcode.Error{Code: exitLost, Err: fmt.Errorf("%d acknowledged claims are lost", r.Lost())}
	case !r.Passed():
		return &exitcode.Error{Code: exitMissed, Err: errors.New("targets were missed: the report names them")}
	}
	return nil
}

func rootCommand() *cobra.Command {
	o := loadtest.Defaults()
	var ca string
	var durations, outputs []string
	cmd := &cobra.Command{
		Use:   "load-test",
		Short: "Measure a StemeDB cluster under load, and check that it loses nothing",
		Long: `Measure a StemeDB cluster under load, and check that it loses nothing.

Without --api-url it starts three nodes of its own on this machine, with data in
a new folder that it removes at the end.

Scenarios, with what they choose themselves and are held to:
  baseline    10,000 claims in a closed loop; p99 < 200 ms
  sustained   1,000 claims a second for 5 minutes; p99 < 200 ms throughout, the
              rate held, memory flat, no 400 ms without an acknowledgement
  concurrent  1,000 claims a second, 100 readers with 1,000 reads a second, each
              alone and both together for 30 s; p99 of both less than doubles
  mixed       one write in five operations, closed loop, 30 s; p99 < 200 ms
  hotspot     every claim on one (subject, predicate), closed loop, 30 s; p99 < 200 ms
  failover    500 claims a second for 20 s, the leader killed after half of it;
              acknowledged again within 1.2 s; only on a cluster of its own
In each no request may fail, and every acknowledged claim is read back.

Exit codes: 0 every target met, 1 error, 2 wrong command line, 3 a target
missed, 4 an acknowledged claim is lost, 5 cluster unavailable, 6 sustained was
asked for and quotas are on.`,
		Version:       version.Number(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, err := openOutputs(outputs, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			if ca != "" {
				if o.RootCAs, err = client.ReadRootCAs(ca); err != nil {
					return fmt.Errorf("--ca: %w", err)
				}
			}
			if err := o.SetDurations(durations); err != nil {
				return err
			}
			if o.APIKey == "" {
				o.APIKey = os.Getenv(apiKeyVar)
			}
			complete := o // Run completes its own copy
			if _, err := complete.Check(); err != nil {
				return err
			}
			o.Progress, o.Terminal = cmd.ErrOrStderr(), term.IsTerminal(int(os.Stderr.Fd()))
			if !cmd.Flags().Changed("progress") && o.Terminal {
				o.ProgressEvery = time.Second
			}
			report, err := loadtest.Run(cmd.Context(), o)
			report.Settings = settings(cmd.Flags())
			if cmd.Context().Err() != nil {
				err = fmt.Errorf("interrupted: %w", err)
			}
			if err != nil {
				err = asCoded(err)
			}
			if len(report.Results) > 0 {
				err = errors.Join(err, write(report), verdict(report))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.URLs, "api-url", nil, "base URL of a node; repeat it for several nodes of one cluster (default: start three nodes)")
	f.StringVar(&o.APIKey, "api-key", "", "API key, sent as X-API-Key (default: the variable "+apiKeyVar+")")
	f.StringVar(&ca, "ca", "", "PEM file of the only authorities that count for https nodes (default: those of the system)")
	f.StringSliceVar(&o.Scenarios, "scenario", o.Scenarios, "baseline, sustained, concurrent, mixed, hotspot, failover or all; several in a list")
	chosen(f, func() {
		f.StringSliceVar(&durations, "duration", nil, "how long each phase runs (baseline ends by --assertions); SCENARIO=DURATION for one of several")
	})
	chosen(f, func() {
		f.Float64Var(&o.Rate, "rate", o.Rate, "claims a second of all writers together (open loop); 0: closed loop")
	})
	chosen(f, func() {
		f.Float64Var(&o.ReadRate, "read-rate", o.ReadRate, "reads a second of all readers together (open loop); 0: closed loop")
	})
	chosen(f, func() {
		f.IntVar(&o.Assertions, "assertions", o.Assertions, "end each phase after so many claims")
	})
	chosen(f, func() { f.IntVar(&o.Readers, "readers", o.Readers, "readers beside the writers") })
	f.IntVar(&o.Batch, "batch", o.Batch, "claims in a request")
	chosen(f, func() {
		f.IntVar(&o.Concurrency, "concurrency", o.Concurrency, "requests of writers under way at most; 16 in a closed loop, 256 in an open one")
	})
	f.IntVar(&o.Agents, "agents", o.Agents, "agents that sign the claims in turn, each with a new key")
	f.IntVar(&o.ValueBytes, "value-bytes", o.ValueBytes, "size of each claim's value")
	f.StringVar(&o.Consistency, "consistency", o.Consistency, "of reads: linearizable, bounded or local")
	f.DurationVar(&o.MaxStale, "max-stale", o.MaxStale, "bound on the staleness of bounded reads")
	f.BoolVar(&o.Metered, "metered", false, "run sustained although quotas are on; a cluster of its own then has them on")
	f.StringArrayVar(&outputs, "output", []string{formTable}, "table, json (both to standard output), or a file FILE.json, FILE.html or FILE.md; repeat it for several")
	f.DurationVar(&o.ProgressEvery, "progress", 30*time.Second, "how often a progress line is shown; 0: never; on a terminal each second")
	f.StringVar(&o.Server, "server", serverBeside(), "program of the nodes of a cluster of its own")
	f.StringVar(&o.Dir, "dir", "", "folder for the data of a cluster of its own (default: that for temporary files)")
	return cmd
}

// byScenario is what a flag without a default of its own shows.
const byScenario = "by the scenario"

// chosen defines a flag whose default is the scenario's choice.
func chosen(f *pflag.FlagSet, define func()) {
	known := map[string]bool{}
	f.VisitAll(func(g *pflag.Flag) { known[g.Name] = true })
	define()
	f.VisitAll(func(g *pflag.Flag) {
		if !known[g.Name] {
			g.DefValue = byScenario
		}
	})
}

// serverBeside is the server's program in the folder of this one.
func serverBeside() string {
	self, err := os.Executable()
	if err != nil {
		return "stemedb"
	}
	return filepath.Join(filepath.Dir(self), "stemedb")
}

// settings are the flags as they were in effect, without secrets and places.
func settings(f *pflag.FlagSet) map[string]string {
	in := map[string]string{}
	f.VisitAll(func(g *pflag.Flag) {
		switch g.Name {
		case "api-key", "ca", "output", "progress", "server", "dir", "help", "version":
			return
		}
		if value := g.Value.String(); g.Changed || g.DefValue != byScenario && value != "[]" {
			in[g.Name] = strings.Trim(value, "[]") // of lists
		}
	})
	return in
}

const (
	formTable = "table"
	formJSON  = "json"
)

// forms are the forms of the report that go to a file, by its ending.
var forms = map[string]func(*loadtest.Report, io.Writer) error{
	".json": (*loadtest.Report).WriteJSON,
	".html": (*loadtest.Report).WritePage,
	".md":   (*loadtest.Report).WriteMarkdown,
}

// openOutputs checks where the report is to go before anything is measured.
func openOutputs(outputs []string, stdout io.Writer) (write func(*loadtest.Report) error, err error) {
	var writers []func(*loadtest.Report) error
	for _, output := range outputs {
		form, isFile := forms[filepath.Ext(output)]
		switch {
		case output == formTable:
			writers = append(writers, func(r *loadtest.Report) error { return r.WriteTable(stdout) })
		case output == formJSON:
			writers = append(writers, func(r *loadtest.Report) error { return r.WriteJSON(stdout) })
		case !isFile:
			return nil, fmt.Errorf("--output %q is none of table, json, FILE.json, FILE.html, FILE.md", output)
		default:
			if info, err := os.Stat(filepath.Dir(output)); err != nil || !info.IsDir() {
				return nil, fmt.Errorf("--output %s: there is no folder %s: make it first", output, filepath.Dir(output))
			}
			writers = append(writers, func(r *loadtest.Report) error { return writeFile(output, r, form) })
		}
	}
	return func(r *loadtest.Report) error {
		var errs []error
		for _, w := range writers {
			errs = append(errs, w(r))
		}
		return errors.Join(errs...)
	}, nil
}

func writeFile(path string, r *loadtest.Report, form func(*loadtest.Report, io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return errors.Join(form(r, file), file.Close())
}
