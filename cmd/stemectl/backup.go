package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/client"
)

func backupCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "backup", Short: "Take backups of a cluster, and look after them"}
	cmd.AddCommand(backupCreateCommand(a), backupListCommand(a), backupVerifyCommand(a), backupPruneCommand(a))
	return cmd
}

// place is where backups are, by the flags of a command.
type place struct {
	dir, identity string
	recipients    []string
}

func (p *place) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.dir, "dir", backup.DefaultFolder, "folder of backups, or s3://BUCKET/PREFIX; endpoint, region and credentials come from the AWS_… variables")
}

// addIdentity adds the flag of commands that read what is encrypted.
func (p *place) addIdentity(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.identity, "identity", "", "file with the age identities that open encrypted backups")
}

func (p *place) keys() (backup.Keys, error) { return backup.ParseKeys(p.recipients, p.identity) }

func (p *place) open() (backup.Store, error) {
	keys, err := p.keys()
	if err != nil {
		return nil, err
	}
	return backup.OpenStore(p.dir, keys)
}

// list returns the backups there.
func (p *place) list(ctx context.Context) ([]backup.Found, error) {
	store, err := p.open()
	if err != nil {
		return nil, err
	}
	return backup.List(ctx, store)
}

// backupDone is what a new backup prints.
type backupDone struct {
	Path string `json:"path"`
	*backup.Metadata
}

func backupCreateCommand(a *app) *cobra.Command {
	var p place
	var logOnly bool
	var f readFlags
	cmd := &cobra.Command{
		Use: "create", Short: "Take a backup of the running cluster, from the first node that answers",
		Long: `Take a backup of the running cluster, from the first node that answers. Needs a key with the role admin. The backup is a new folder
in --dir, and is there only once it is whole, checked and stored. With --log-only: the log's entries after the last backup in --dir of this cluster; without a full
backup there, everything that the log still holds; where there are none, nothing is written and the exit code is 0.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, err := a.createBackup(cmd, &p, logOnly, f.consistency())
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
	p.add(cmd)
	cmd.Flags().StringSliceVar(&p.recipients, "recipient", nil, "age recipient (age1…) to encrypt it for; several are possible")
	cmd.Flags().BoolVar(&logOnly, "log-only", false, "only the log after the last backup")
	f.add(cmd)
	return cmd
}

func (a *app) createBackup(cmd *cobra.Command, into *place, logOnly bool, want client.Consistency) (*backupDone, error) {
	store, err := into.open()
	if err != nil {
		return nil, err
	}
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	options := client.BackupOptions{LogOnly: logOnly, Consistency: want}
	if logOnly {
		if err := a.continueLast(cmd, store, into.dir, &options); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	stream, err := c.Backup(cmd.Context(), options)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	folder, err := store.Create(cmd.Context(), began)
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
func (a *app) continueLast(cmd *cobra.Command, store backup.Store, dir string, o *client.BackupOptions) error {
	cluster, err := a.cluster(cmd)
	if err != nil {
		return err
	}
	all, err := backup.List(cmd.Context(), store)
	if err != nil {
		return err
	}
	tip := backup.Tip(all, cluster.ClusterID)
	if tip == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "no full backup of cluster %s in %s: taking everything that its log still holds\n", cluster.ClusterID, dir)
		return nil
	}
	o.After, o.AfterTerm = tip.Metadata.Index, tip.Metadata.Term
	fmt.Fprintf(cmd.ErrOrStderr(), "continuing %s, which ends with log index %d\n", tip.Name, o.After)
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
	return &progress{out: out, size: size, terminal: terminal(out) != nil}
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
				row(w, path.Base(f.Path), "UNUSABLE: "+f.Error)
				continue
			}
			span := fmt.Sprint(m.Index)
			if m.Kind == backup.Log {
				span = fmt.Sprintf("%d-%d", m.FirstIndex, m.Index)
			}
			row(w, path.Base(f.Path), m.Kind, shorten(m.ClusterID, 12), span, moment(m.CommittedAt), m.AssertionCount, m.TotalBytes)
		}
	})
}

func backupListCommand(a *app) *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use: "list", Short: "List the backups in a folder or bucket by their manifests; their files are not read", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := p.list(cmd.Context())
			if err != nil {
				return err
			}
			return showListed(a, cmd, all)
		},
	}
	p.add(cmd)
	return cmd
}

func backupVerifyCommand(a *app) *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use: "verify [BACKUP …]", Short: "Read whole backups and check every byte; all of --dir if none is named. Fails if one is not sound",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := p.find(cmd.Context(), args)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return fmt.Errorf("there is no backup in %s", p.dir)
			}
			return verifyAll(cmd.Context(), a, cmd, found)
		},
	}
	p.add(cmd)
	p.addIdentity(cmd)
	return cmd
}

// find returns the backups that are named, or all if none is.
func (p *place) find(ctx context.Context, locations []string) (found []backup.Found, err error) {
	if len(locations) == 0 {
		return p.list(ctx)
	}
	keys, err := p.keys()
	if err != nil {
		return nil, err
	}
	for _, location := range locations {
		store, name, err := backup.Locate(location, keys)
		if err != nil {
			return nil, err
		}
		found = append(found, backup.Find(ctx, store, name))
	}
	return found, nil
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
	var p place
	var keep int
	var within time.Duration
	var dry bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove old backups; the newest full one, and what a kept one needs, always stay",
		Long: `Remove the backups in a folder or bucket that are old. Of each cluster the newest --keep full backups stay, and those younger than
--keep-within; log backups stay as long as a full backup that they continue does. The newest full backup always stays. Unusable backups are not touched. What interrupted
backups left behind goes too when it is older than a day.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(keep >= 1 && within >= 0, "--keep must be at least 1 and --keep-within not negative"); err != nil {
				return err
			}
			store, err := p.open()
			if err != nil {
				return err
			}
			all, err := backup.List(cmd.Context(), store)
			if err != nil {
				return err
			}
			now := time.Now()
			gone := backup.Prune(all, backup.Keep{Full: keep, Since: now.Add(-within)})
			left, err := store.Leftovers(cmd.Context(), now.Add(-24*time.Hour))
			if err != nil {
				return err
			}
			for _, name := range left {
				gone = append(gone, backup.Found{Path: store.Path(name), Name: name, Err: errors.New("unfinished")})
			}
			if !dry {
				for _, f := range gone {
					if err := store.Remove(cmd.Context(), f.Name); err != nil {
						return err
					}
				}
			}
			return showListed(a, cmd, gone)
		},
	}
	p.add(cmd)
	cmd.Flags().IntVar(&keep, "keep", 7, "how many full backups of each cluster stay")
	cmd.Flags().DurationVar(&within, "keep-within", 0, "keep all that are younger than this, too")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only list what would be removed")
	return cmd
}
