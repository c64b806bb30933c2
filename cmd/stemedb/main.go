package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/internal/exitcode"
	"github.com/stemedb/stemedb/internal/version"
)

// The exit codes, documented in docs/settings.md. Those after which a restart is of
// no use are none that Go's runtime ends a process with, as 2 after a panic: 78 is
// EX_CONFIG of sysexits.h.
const (
	exitError  = 1  // start or stop failed
	exitUsage  = 78 // the command line or the settings are wrong
	exitFailed = 79 // the node failed while it ran; its data needs attention
)

// exitCode is what the process ends with after err. What carries no code of
// its own comes from parsing the command line or the settings.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	return exitcode.Of(err, exitUsage)
}

func main() {
	err := rootCommand().Execute()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stemedb:", err)
	}
	os.Exit(exitCode(err))
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "stemedb",
		Short:         "A replicated database of signed claims that may contradict each other",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(serveCommand(), devCommand(), configCommand(), certsCommand(), backupCommand(), restoreCommand(), recoverCommand(), compactCommand(), convertLogCommand(), versionCommand())
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit, Go version and the highest command format understood",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "stemedb %s (commit %s, %s, command format %d)\n",
				version.Number(), version.Commit(), version.Go(), fsm.FormatVersion)
			return err
		},
	}
}
