package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/internal/exitcode"
	"github.com/stemedb/stemedb/internal/settings"
	"github.com/stemedb/stemedb/node"
)

func compactCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Give the free space in a stopped node's raft log back to the file system",
		Long: `Give the free space in a stopped node's raft log back to the file system. The log's file (raft.db) keeps the size that it once
needed: entries that snapshots have let go leave room for later ones in it. Takes the flags of 'stemedb serve', of which it needs
data-dir. It needs room on the disk for a copy of what is left. It may be interrupted at any point, and repeated.

stemedb_log_store_size_bytes and stemedb_log_store_free_bytes say beforehand whether it is worth while. With log-compact-percent a
node does the same when it starts.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, s, err := readSettings(cmd)
			if err != nil {
				return err
			}
			c, err := node.CompactLog(s.Node)
			if err != nil {
				return &exitcode.Error{Code: exitError, Err: err}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "raft log: %d bytes before, %d bytes after\n", c.Before, c.After)
			return err
		},
	}
	settings.AddFlags(cmd.Flags())
	return cmd
}
