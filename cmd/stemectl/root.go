package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/version"
)

const defaultURL = "http://localhost:18180"

// app holds what every command shares: the flags of the root.
type app struct {
	urls    []string
	apiKey  string
	ca      string
	output  string
	timeout time.Duration
	cancel  context.CancelFunc // ends the bound on the command
}

func rootCommand() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:   "stemectl",
		Short: "Write to, ask and look after a StemeDB cluster",
		Long: `Write to, ask and look after a StemeDB cluster.

Exit codes: 0 done, 1 error, 2 wrong usage, 3 no such claim, 4 refused by the server, 5 no node could answer,
6 an import or a restore left something out, 7 doctor found something that fails.`,
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if a.timeout > 0 {
				var ctx context.Context
				ctx, a.cancel = context.WithTimeout(cmd.Context(), a.timeout)
				cmd.SetContext(ctx)
			}
			return a.check()
		},
		PersistentPostRun: func(*cobra.Command, []string) {
			if a.cancel != nil {
				a.cancel()
			}
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	flags := root.PersistentFlags()
	flags.StringSliceVar(&a.urls, "url", nil, "node to talk to; several are tried in turn (STEMEDB_URL, default "+defaultURL+")")
	flags.StringVar(&a.apiKey, "api-key", os.Getenv("STEMEDB_API_KEY"), "API key (STEMEDB_API_KEY)")
	flags.StringVar(&a.ca, "ca", os.Getenv("STEMECTL_CA"), "PEM file of the only authorities that count for https nodes (STEMECTL_CA, default: those of the system)")
	flags.StringVarP(&a.output, "output", "o", "table", "table for people, json for programs")
	flags.DurationVar(&a.timeout, "timeout", 0, "bound on the whole command (default: none)")
	flags.Lookup("api-key").DefValue, flags.Lookup("ca").DefValue = "", ""
	root.AddCommand(
		keysCommand(a), assertCommand(a), prepareCommand(a), importCommand(a), exportCommand(a), verifyCommand(a),
		voteCommand(a), supersedeCommand(a), epochCommand(a), aliasCommand(a), sourceCommand(a), endorseCommand(a), goldCommand(a),
		getCommand(a), queryCommand(a), skepticCommand(a), layeredCommand(a), constraintsCommand(a), lensesCommand(a),
		conflictsCommand(a), subjectsCommand(a), conceptCommand(a), trustCommand(a),
		traceCommand(a), diffCommand(a), feedCommand(a), watchCommand(a),
		verifyReceiptCommand(a), mcpCommand(a), admissionCommand(a), breakersCommand(a), workCommand(), logLevelCommand(a), quarantineCommand(a), clusterCommand(a), backupCommand(a), restoreCommand(a), doctorCommand(a), debugCommand(a), healthCommand(a), readyCommand(a), liveCommand(a), metricsCommand(a), openapiCommand(a),
		versionCommand(),
	)
	usageErrors(root)
	return root
}

// usageErrors marks what cobra says about arguments as faults of usage.
func usageErrors(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &usageError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageErrors(sub)
	}
}

func (a *app) check() error {
	if a.output != "table" && a.output != "json" {
		return &usageError{fmt.Errorf("--output %q is neither table nor json", a.output)}
	}
	if len(a.urls) == 0 {
		for _, u := range strings.Split(os.Getenv("STEMEDB_URL"), ",") {
			if u = strings.TrimSpace(u); u != "" {
				a.urls = append(a.urls, u)
			}
		}
	}
	if len(a.urls) == 0 {
		a.urls = []string{defaultURL}
	}
	return nil
}

// client connects to the nodes that the flags name.
func (a *app) client() (*client.Client, error) {
	options := []client.Option{}
	if a.apiKey != "" {
		options = append(options, client.WithAPIKey(a.apiKey))
	}
	if a.ca != "" {
		roots, err := client.ReadRootCAs(a.ca)
		if err != nil {
			return nil, &usageError{fmt.Errorf("--ca: %w", err)}
		}
		options = append(options, client.WithRootCAs(roots))
	}
	c, err := client.New(a.urls, options...)
	if err != nil {
		return nil, &usageError{err}
	}
	return c, nil
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "stemectl %s (commit %s, %s)\n", version.Number(), version.Commit(), version.Go())
		},
	}
}

// required marks a wrong combination of flags.
func required(ok bool, what string) error {
	if ok {
		return nil
	}
	return &usageError{errors.New(what)}
}
