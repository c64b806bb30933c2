package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/client"
)

func backupCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "backup", Short: "Take backups of a cluster, and look after a folder of them"}
	cmd.AddCommand(backupCreateCommand(a), backupListCommand(a), backupVerifyCommand(a), backupPruneCommand(a))
	return cmd
}

func addDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", backup.DefaultFolder, "folder of backups")
}

// backupDone is what a new backup prints.
type backupDone struct {
	Path string `json:"path"`
	*backup.Metadata
}

func backupCreateCommand(a *app) *cobra.Command {
	var dir string
	var logOnly bool
	var f readFlags
	cmd := &cobra.Command{
		Use: "create", Short: "Take a backup of the running cluster, from the first node that answers",
		Long: `Take a backup of the running cluster, from the first node that answers. Needs a key with the role admin. The backup is a new folder
in --dir, and is there only once it is whole, checked and on disk. With --log-only: the log's entries after the last backup in --dir of this cluster; without a full
backup there, everything that the log still holds.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, err := a.createBackup(cmd, dir, logOnly, f.consistency())
			var refusal *client.Error
			if errors.As(err, &refusal) && refusal.Code == v1.CodeLogUnchanged {
				return a.show(cmd, backupDone{}, func(w io.Writer) { row(w, "nothing new in the log since the last backup") })
			}
			if err != nil {
				return err
			}
			return a.show(cmd, done, func(w io.Writer) { row(w, done.Path); row(w, done.Summary()) })
		},
	}
	addDir(cmd, &dir)
	cmd.Flags().BoolVar(&logOnly, "log-only", false, "only the log after the last backup")
	f.add(cmd)
	return cmd
}

func (a *app) createBackup(cmd *cobra.Command, dir string, logOnly bool, want client.Consistency) (*backupDone, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	options := client.BackupOptions{LogOnly: logOnly, Consistency: want}
	if logOnly {
		if err := a.continueLast(cmd, dir, &options); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	stream, err := c.Backup(cmd.Context(), options)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	folder, err := backup.NewDir(dir, began)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	p := newProgress(cmd.ErrOrStderr(), stream.Size)
	m, err := backup.Receive(cmd.Context(), stream, folder, p.show)
	p.end()
	if err != nil {
		return nil, err
	}
	return &backupDone{folder.Path(), m}, nil
}

// continueLast makes a log backup begin where the last backup of this cluster
// ends.
func (a *app) continueLast(cmd *cobra.Command, dir string, o *client.BackupOptions) error {
	cluster, err := a.cluster(cmd)
	if err != nil {
		return err
	}
	all, err := backup.List(dir)
	if err != nil {
		return err
	}
	tip := backup.Tip(all, cluster.ClusterID)
	if tip == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "no full backup of cluster %s in %s: taking everything that its log still holds\n", cluster.ClusterID, dir)
		return nil
	}
	o.After, o.AfterTerm = tip.Metadata.Index, tip.Metadata.Term
	fmt.Fprintf(cmd.ErrOrStderr(), "continuing %s, which ends with log index %d\n", filepath.Base(tip.Path), o.After)
	return nil
}

// progress shows how much of a backup has come: on a terminal one line that
// changes, elsewhere a line for each tenth.
type progress struct {
	out      io.Writer
	terminal bool
	size     int64
	shown    int64 // tenths, or bytes where the size is not known
}

func newProgress(out io.Writer, size int64) *progress {
	file, ok := out.(*os.File)
	return &progress{out: out, size: size, terminal: ok && term.IsTerminal(int(file.Fd()))}
}

const mebibyte = 1 << 20

func (p *progress) show(bytes int64) {
	of := ""
	step := bytes / (64 * mebibyte)
	if p.size > 0 {
		of = fmt.Sprintf(" of %d MiB (%d %%)", p.size/mebibyte, 100*bytes/p.size)
		step = 10 * bytes / p.size
	}
	switch {
	case p.terminal:
		fmt.Fprintf(p.out, "\rreceived %d MiB%s", bytes/mebibyte, of)
	case step > p.shown:
		fmt.Fprintf(p.out, "received %d MiB%s\n", bytes/mebibyte, of)
	}
	p.shown = max(step, p.shown)
}

func (p *progress) end() {
	if p.terminal {
		fmt.Fprintln(p.out)
	}
}

// listed is a backup as `backup list` and `backup prune` show it.
type listed struct {
	Path     string           `json:"path"`
	Metadata *backup.Metadata `json:"metadata,omitempty"`
	Error    string           `json:"error,omitempty"`
}

func showListed(a *app, cmd *cobra.Command, found []backup.Found) error {
	all := make([]listed, len(found))
	for i, f := range found {
		all[i] = listed{Path: f.Path, Metadata: f.Metadata}
		if f.Err != nil {
			all[i].Error = f.Err.Error()
		}
	}
	return a.show(cmd, all, func(w io.Writer) {
		row(w, "BACKUP", "KIND", "CLUSTER", "LOG INDEX", "COMMITTED", "ASSERTIONS", "BYTES")
		for _, f := range all {
			m := f.Metadata
			if m == nil {
				row(w, filepath.Base(f.Path), "UNUSABLE: "+f.Error)
				continue
			}
			span := fmt.Sprint(m.Index)
			if m.Kind == backup.Log {
				span = fmt.Sprintf("%d-%d", m.FirstIndex, m.Index)
			}
			row(w, filepath.Base(f.Path), m.Kind, shorten(m.ClusterID, 12), span, moment(m.CommittedAt), m.AssertionCount, m.TotalBytes)
		}
	})
}

func backupListCommand(a *app) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "list", Short: "List the backups in a folder by their manifests; their files are not read", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := backup.List(dir)
			if err != nil {
				return err
			}
			return showListed(a, cmd, all)
		},
	}
	addDir(cmd, &dir)
	return cmd
}

func backupVerifyCommand(a *app) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "verify [BACKUP …]", Short: "Read whole backups and check every byte; all of --dir if none is named. Fails if one is not sound",
		RunE: func(cmd *cobra.Command, args []string) error {
			var found []backup.Found
			for _, path := range args {
				found = append(found, backup.Found{Path: path})
			}
			if len(args) == 0 {
				var err error
				if found, err = backup.List(dir); err != nil {
					return err
				}
			}
			if len(found) == 0 {
				return fmt.Errorf("there is no backup in %s", dir)
			}
			return verifyAll(cmd.Context(), a, cmd, found)
		},
	}
	addDir(cmd, &dir)
	return cmd
}

func verifyAll(ctx context.Context, a *app, cmd *cobra.Command, found []backup.Found) error {
	checked := make([]listed, len(found))
	unsound := 0
	for i, f := range found {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m, err := backup.Verify(f.FS())
		checked[i] = listed{Path: f.Path, Metadata: m}
		if err != nil {
			checked[i].Error = err.Error()
			unsound++
		}
	}
	err := a.show(cmd, checked, func(w io.Writer) {
		for _, c := range checked {
			if c.Error != "" {
				row(w, c.Path, "NOT SOUND: "+c.Error)
				continue
			}
			row(w, c.Path, "sound: "+c.Metadata.Summary())
		}
	})
	if err == nil && unsound > 0 {
		err = fmt.Errorf("%d of %d backups are not sound", unsound, len(found))
	}
	return err
}

func backupPruneCommand(a *app) *cobra.Command {
	var dir string
	var keep int
	var within time.Duration
	var dry bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove old backups; the newest full one, and what a kept one needs, always stay",
		Long: `Remove the backups in a folder that are old. Of each cluster the newest --keep full backups stay, and those younger than
--keep-within; log backups stay as long as a full backup that they continue does. The newest full backup always stays. Unusable backups are not touched. What interrupted
backups left behind goes too when it is older than a day.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(keep >= 1 && within >= 0, "--keep must be at least 1 and --keep-within not negative"); err != nil {
				return err
			}
			all, err := backup.List(dir)
			if err != nil {
				return err
			}
			now := time.Now()
			gone := backup.Prune(all, backup.Keep{Full: keep, Since: now.Add(-within)})
			left, err := backup.Leftovers(dir, now.Add(-24*time.Hour))
			if err != nil {
				return err
			}
			for _, path := range left {
				gone = append(gone, backup.Found{Path: path, Err: errors.New("unfinished")})
			}
			if !dry {
				for _, f := range gone {
					if err := backup.Remove(f.Path); err != nil {
						return err
					}
				}
			}
			return showListed(a, cmd, gone)
		},
	}
	addDir(cmd, &dir)
	cmd.Flags().IntVar(&keep, "keep", 7, "how many full backups of each cluster stay")
	cmd.Flags().DurationVar(&within, "keep-within", 0, "keep all that are younger than this, too")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only list what would be removed")
	return cmd
}
