package main

import (
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/internal/exitcode"
	"github.com/stemedb/stemedb/internal/settings"
	"github.com/stemedb/stemedb/internal/unixtime"
	"github.com/stemedb/stemedb/internal/version"
	"github.com/stemedb/stemedb/node"
)

func restoreCommand() *cobra.Command {
	var r node.RestoreRequest
	var toTime string
	cmd := &cobra.Command{
		Use:   "restore BACKUP",
		Short: "Make the data directory of one stopped node of a backup: a new cluster, which others join",
		Long: `Make the data directory of one stopped node of a backup: a new cluster of this node alone, with a new id. Takes the flags of
'stemedb serve', of which it needs data-dir and the addresses that the node will have. The other nodes start with empty data directories and join.

BACKUP is the folder of a backup, or s3://BUCKET/PREFIX/NAME; an encrypted one needs --backup-age-identity-file. With --to-index or --to-time the log backups beside it are applied up to that point; of a log backup, the full
one that it builds on is found beside it. Everything is read and checked before anything is written. The data directory must be empty; --force renames it. An
interrupted restore leaves what was there before, or is recognised and must be run again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, s, err := readSettings(cmd)
			if err != nil {
				return err
			}
			if toTime != "" {
				if r.Target.Time, err = unixtime.Parse(toTime); err != nil {
					return fmt.Errorf("--to-time: %w", err)
				}
			}
			r.Path, r.Keys = args[0], s.BackupKeys
			r.Progress = func(what string) { fmt.Fprintln(cmd.ErrOrStderr(), what) }
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			out, err := node.Restore(ctx, offline(cmd, s), r)
			if err != nil {
				return &exitcode.Error{Code: exitError, Err: err}
			}
			return printRestored(cmd, out)
		},
	}
	settings.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&r.Replace, "force", false, "rename a data directory that is not empty")
	cmd.Flags().Uint64Var(&r.Target.Index, "to-index", 0, "the last log index to restore")
	cmd.Flags().StringVar(&toTime, "to-time", "", "the last time of commit to restore: unix seconds or RFC 3339")
	cmd.MarkFlagsMutuallyExclusive("to-index", "to-time")
	return cmd
}

// offline is the configuration for work on a data directory without a server: it
// logs what is wrong only.
func offline(cmd *cobra.Command, s *settings.Server) node.Config {
	s.LogLevel.Set(max(s.LogLevel.Level(), slog.LevelWarn))
	config := s.Node
	config.Logger, config.NoFsync, config.Version = s.Logger(cmd.ErrOrStderr()), noFsync, version.Number()
	return config
}

func printRestored(cmd *cobra.Command, r node.Restored) error {
	out := cmd.OutOrStdout()
	for _, path := range r.Backups {
		if _, err := fmt.Fprintf(out, "backup      %s\n", path); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "from        cluster %s\nlog index   %d\ncommitted   %s\nassertions  %d\ndigest      %s\nnode        %s at %s\ncluster     %s\n",
		r.From, r.Index, time.Unix(int64(r.CommittedAt), 0).UTC().Format(time.RFC3339), r.Assertions, r.Digest, r.NodeID, r.Address, r.ClusterID)
	for _, k := range r.Keys {
		if err == nil {
			_, err = fmt.Fprintf(out, "API key     %s (%s, %q) is good, also if it was revoked after the backup\n", k.ID, k.Role, k.Name)
		}
	}
	if err == nil && r.Replaced != "" {
		_, err = fmt.Fprintf(out, "replaced    %s\n", r.Replaced)
	}
	if err == nil {
		_, err = fmt.Fprintln(out, "\nstart this node first, then the others with empty data directories: they join it")
	}
	return err
}

func backupCommand() *cobra.Command {
	var output string
	var logOnly bool
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Take a backup of the data directory of a stopped node; of a running one, stemectl does",
		Long: `Take a backup of the data directory of a stopped node. Takes the flags of 'stemedb serve', of which it needs data-dir. A running cluster is backed
up by 'stemectl backup create'. The backup holds all entries in the node's log, also those whose outcome no client has ever learnt; what other nodes acknowledged
without this one is not in it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, s, err := readSettings(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			store, err := backup.OpenStore(output, s.BackupKeys)
			if err != nil {
				return err
			}
			made, m, err := node.BackupStopped(ctx, offline(cmd, s), store, logOnly)
			if err != nil {
				return &exitcode.Error{Code: exitError, Err: err}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n", made, m.Summary())
			return err
		},
	}
	settings.AddFlags(cmd.Flags())
	cmd.Flags().StringVar(&output, "output", backup.DefaultFolder, "folder of backups, or s3://BUCKET/PREFIX")
	cmd.Flags().BoolVar(&logOnly, "log-only", false, "only the log after the last backup in --output")
	return cmd
}
