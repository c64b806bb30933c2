package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/exitcode"
	"github.com/stemedb/stemedb/internal/version"
)

// The exit codes.
const (
	exitError       = 1 // something failed that is none of the below
	exitUsage       = 2 // the command line is wrong
	exitRefused     = 4 // the cluster refused some of the claims
	exitUnavailable = 5 // no node answered, or none could take a write
)

const (
	defaultURL = "http://localhost:18180"
	apiKeyVar  = "STEMEDB_API_KEY"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "pharma-ingest:", err)
	os.Exit(exitCode(err))
}

// exitCode is that of an error; one without a code comes from reading the
// command line.
func exitCode(err error) int { return exitcode.Of(err, exitUsage) }

type options struct {
	urls          []string
	apiKey        string
	keyring       string
	withConflicts bool
	dryRun        bool
	format        string
}

func rootCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "pharma-ingest",
		Short: "Load a demonstration corpus of pharmacological claims into a StemeDB cluster",
		Long: `Load a demonstration corpus of pharmacological claims into a StemeDB cluster.

Every claim has its citation and is signed by the key of the organisation that
stands behind the source. Running it twice adds nothing.

The corpus is a demonstration. Nobody has checked it; it is no medical advice.

Exit codes: 0 done, 1 error, 2 wrong command line, 4 some claims refused,
5 cluster unavailable.`,
		Version:       version.Number(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, err := reportWriter(o.format)
			if err != nil {
				return err
			}
			if !o.dryRun {
				if o, err = o.complete(); err != nil {
					return err
				}
			}
			r, err := ingest(cmd.Context(), o)
			if r != nil {
				err = errors.Join(err, write(cmd.OutOrStdout(), r))
			}
			return asCoded(err)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.urls, "api-url", []string{defaultURL}, "base URL of a node; repeat it for several nodes of one cluster")
	f.StringVar(&o.apiKey, "api-key", "", "API key, sent as X-API-Key (default: the variable "+apiKeyVar+")")
	f.StringVar(&o.keyring, "keyring", "", "folder of the signing keys, made at the first run (default: stemedb/pharma-keyring in the user's configuration folder)")
	f.BoolVar(&o.withConflicts, "with-conflicts", false, "also send the claims that disagree with the others")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the claims, send nothing, make no keys")
	f.StringVar(&o.format, "format", formatTable, "form of the report: "+formatTable+" or "+formatJSON)
	return cmd
}

// complete fills in what the command line leaves to the environment, and checks
// the rest before any key is made.
func (o options) complete() (options, error) {
	if o.apiKey == "" {
		o.apiKey = os.Getenv(apiKeyVar)
	}
	if o.keyring == "" {
		base, err := os.UserConfigDir()
		if err != nil {
			return o, fmt.Errorf("there is no place for the keys: %w; give a folder with --keyring", err)
		}
		o.keyring = filepath.Join(base, "stemedb", "pharma-keyring")
	}
	if _, err := client.New(o.urls); err != nil {
		return o, fmt.Errorf("--api-url: %w", err)
	}
	return o, nil
}
