package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/internal/exitcode"
	"github.com/stemedb/stemedb/internal/settings"
	"github.com/stemedb/stemedb/node"
)

func convertLogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "convert-log",
		Short: "Convert a stopped node's raft log to the other log store",
		Long: `Convert a stopped node's raft log to the log store that log-store names: boltdb or wal. Takes the flags of 'stemedb serve', of
which it needs data-dir and log-store. It needs room on the disk for a copy of the log. The copy is compared with the log before
that is removed. It may be interrupted at any point, and repeated.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, s, err := readSettings(cmd)
			if err != nil {
				return err
			}
			entries, err := node.ConvertLog(offline(cmd, s))
			if err != nil {
				return &exitcode.Error{Code: exitError, Err: err}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "raft log: %d entries, now in %s; start the node with log-store=%s\n", entries, s.Node.LogStore, s.Node.LogStore)
			return err
		},
	}
	settings.AddFlags(cmd.Flags())
	return cmd
}
