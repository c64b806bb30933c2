package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/api/export"
	"github.com/stemedb/stemedb/client"
)

func exportCommand(a *app) *cobra.Command {
	var f readFlags
	var q client.ExportQuery
	cmd := &cobra.Command{
		Use: "export FILE", Short: "Write everything signed, at one log index, to a file that verifies offline (- for standard output)", Args: cobra.ExactArgs(1),
		Long: `Writes the claims with all signatures, and what else answers rest on, to a
file: NDJSON that "stemectl verify" checks without a node and "stemectl import"
takes into another cluster. The file is there only once it is whole. It takes an
admin key.

What is printed is the content digest: two clusters that hold the same have the
same. To compare them without files, export to - and send that nowhere.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Consistency = f.consistency()
			c, err := a.client()
			if err != nil {
				return err
			}
			body, err := c.Export(cmd.Context(), q)
			if err != nil {
				return err
			}
			defer body.Close()
			if args[0] == "-" {
				report, err := receive(cmd, cmd.OutOrStdout(), body)
				if err == nil {
					err = a.showReport(cmd, cmd.ErrOrStderr(), report)
				}
				return err
			}
			report, err := writeExport(cmd, args[0], body)
			if err != nil {
				return err
			}
			return a.showReport(cmd, cmd.OutOrStdout(), report)
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&q.Subject, "subject", "", "only claims on this subject, or on those that begin with it if it ends in *, and what bears on them")
	flags.StringVar(&q.Predicate, "predicate", "", "only claims on this predicate, and what bears on them")
	flags.Uint64Var(&q.Since, "since", 0, "only what was committed after this log index, such as that of an earlier export")
	return cmd
}

// receive copies an export and checks that it is whole. Its signatures are those
// that the cluster has verified.
func receive(cmd *cobra.Command, to io.Writer, from io.Reader) (*export.Report, error) {
	counted := progressOf(cmd.ErrOrStderr(), "records")
	defer counted.finish()
	report, err := export.Read(io.TeeReader(from, to), export.Options{Trusted: true, Each: func(_ []export.Record, through int) error {
		counted.show(through - 1)
		return nil
	}})
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("receive the export: %w", err)
	}
	return report, nil
}

// writeExport receives into a file beside path and puts it in its place when it
// is whole and on disk.
func writeExport(cmd *cobra.Command, path string, from io.Reader) (*export.Report, error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".partial-*")
	if err != nil {
		return nil, err
	}
	report, err := receive(cmd, file, from)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(file.Name()))
	}
	return report, nil
}

func verifyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "verify FILE", Short: "Check an export without any node: every hash, signature and line (- for standard input)", Args: cobra.ExactArgs(1),
		Long: `Checks a file that "stemectl export" wrote without asking any node: the hash and
signatures of every claim, vote, epoch, supersession and endorsement, the order of
the lines, their number and the hash over them. It fails with the line of the
first fault and the number of all.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, _, err := openInput(cmd, args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			counted := progressOf(cmd.ErrOrStderr(), "records")
			report, err := export.Read(in, export.Options{Each: func(_ []export.Record, through int) error {
				counted.show(through - 1)
				return cmd.Context().Err()
			}})
			counted.finish()
			if err == nil {
				err = report.Err()
			}
			if err != nil {
				return err
			}
			return a.showReport(cmd, cmd.OutOrStdout(), report)
		},
	}
}

// exportSummary is what export and verify print as JSON.
type exportSummary struct {
	export.Header
	Records    map[string]int `json:"records"`
	Signatures int            `json:"signatures"`
	// Legacy counts signatures that do not cover the object.
	Legacy int    `json:"legacy_signatures"`
	Digest string `json:"content_digest"`
}

func (a *app) showReport(cmd *cobra.Command, to io.Writer, r *export.Report) error {
	cmd.SetOut(to)
	summary := exportSummary{Header: r.Header, Records: r.Trailer.Records, Signatures: r.Trailer.Signatures, Legacy: r.Legacy, Digest: r.Trailer.Digest.String()}
	return a.show(cmd, summary, func(w io.Writer) {
		row(w, "cluster", r.Header.ClusterID)
		row(w, "log index", r.Header.Index)
		row(w, "state of", time.Unix(int64(r.Header.CommittedAt), 0).UTC().Format(time.RFC3339))
		if s := r.Header.Selection; s != nil {
			row(w, "selection", fmt.Sprintf("partial: subject %q, predicate %q, since log index %d", s.Subject, s.Predicate, s.Since))
		}
		for _, kind := range slices.Sorted(maps.Keys(r.Trailer.Records)) {
			row(w, kind, r.Trailer.Records[kind])
		}
		row(w, "signatures", r.Trailer.Signatures)
		if r.Legacy > 0 {
			row(w, "beware", fmt.Sprintf("%d signatures are of version 1 and do not cover the value", r.Legacy))
		}
		row(w, "content digest", r.Trailer.Digest)
	})
}

// counter keeps one line on a terminal up to date; elsewhere it is silent.
type counter struct {
	file  *os.File // nil if it is silent
	what  string
	began time.Time
	last  time.Time
}

func progressOf(w io.Writer, what string) *counter {
	return &counter{file: terminal(w), what: what, began: time.Now()}
}

// show writes a number and its rate, not more often than anyone reads it.
func (c *counter) show(n int) {
	const pause = 100 * time.Millisecond
	if c.file == nil || time.Since(c.last) < pause {
		return
	}
	c.last = time.Now()
	fmt.Fprintf(c.file, "\r%d %s, %.0f/s ", n, c.what, float64(n)/max(time.Since(c.began).Seconds(), 0.001))
}

func (c *counter) finish() {
	if c.file != nil && !c.last.IsZero() {
		fmt.Fprintln(c.file)
	}
}

// spool copies what can be read only once into a file that goes away with the
// returned function.
func spool(in io.Reader) (*os.File, func(), error) {
	file, err := os.CreateTemp("", "stemectl-import-*")
	if err != nil {
		return nil, nil, err
	}
	drop := func() {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}
	if _, err = io.Copy(file, in); err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		drop()
		return nil, nil, fmt.Errorf("keep the input: %w", err)
	}
	return file, drop, nil
}
