package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/index"
	"github.com/stemedb/stemedb/internal/unixtime"
	"github.com/stemedb/stemedb/node"
)

// restored is what a restore into a running cluster has done.
type restored struct {
	Added    int                 `json:"added"`
	Existing int                 `json:"existing"`
	Refused  int                 `json:"refused"`
	LeftOut  int                 `json:"left_out"`
	Index    uint64              `json:"index"`
	Refusals []v1.RestoreRefusal `json:"refusals"`
}

// keptRefusals bounds how many refusals are kept for the report.
const keptRefusals = 20

func restoreCommand(a *app) *cobra.Command {
	r := &restoring{app: a}
	var from place
	var toTime string
	cmd := &cobra.Command{
		Use: "restore BACKUP", Short: "Put what a backup holds into the log of the running cluster; it only adds",
		Long: `Put what a backup holds into the log of the running cluster. Needs a key with the role admin. It only adds: claims, signatures, votes and the like that
are missing; where the newest entry counts (sources and their status, aliases, labels, seeds, reviews), what the cluster has stays. API keys are left out unless --with-keys, and no
key that the cluster knows changes. What is added is committed now, and past states do not show it earlier.

A new cluster is made of a backup by 'stemedb restore' on stopped nodes instead. Exit code 6: some records were refused.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if toTime != "" {
				if r.request.Target.Time, err = unixtime.Parse(toTime); err != nil {
					return &usageError{fmt.Errorf("--to-time: %w", err)}
				}
			}
			if r.request.Keys, err = from.keys(); err != nil {
				return err
			}
			r.request.Path = args[0]
			r.request.Progress = func(what string) { fmt.Fprintln(cmd.ErrOrStderr(), what) }
			return r.run(cmd)
		},
	}
	from.addIdentity(cmd)
	cmd.Flags().BoolVar(&r.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&r.withKeys, "with-keys", false, "add the API keys of the backup that the cluster does not know")
	cmd.Flags().Uint64Var(&r.request.Target.Index, "to-index", 0, "the last log index to restore")
	cmd.Flags().StringVar(&toTime, "to-time", "", "the last time of commit to restore: unix seconds or RFC 3339")
	cmd.MarkFlagsMutuallyExclusive("to-index", "to-time")
	return cmd
}

// restoring is a restore that is under way.
type restoring struct {
	app           *app
	request       node.RestoreRequest
	yes, withKeys bool

	client  *client.Client
	last    map[string]assertion.Position // of what the newest counts, its place
	records [][]byte
	bytes   int
	done    restored
}

func (r *restoring) run(cmd *cobra.Command) (err error) {
	ctx := cmd.Context()
	if r.client, err = r.app.client(); err != nil {
		return err
	}
	defer r.client.Close()
	cluster, err := r.app.cluster(cmd)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "stemedb-restore-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	state, err := node.BackupState(ctx, filepath.Join(dir, "data"), r.request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	if err := r.agreed(cmd, state, cluster); err != nil {
		return err
	}
	view, err := state.View()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	if err := r.findLast(view); err != nil {
		return err
	}
	if err := r.walk(view, func(e assertion.Event) error { return r.take(ctx, e) }); err != nil {
		return err
	}
	if err := r.send(ctx); err != nil {
		return err
	}
	return r.report(cmd)
}

// agreed asks, unless --yes says so already.
func (r *restoring) agreed(cmd *cobra.Command, state *fsm.FSM, into *v1.Cluster) error {
	at, digest, count := state.Current()
	fmt.Fprintf(cmd.ErrOrStderr(), "the backup holds %d assertions at log index %d, digest %s\nthe cluster %s holds %d assertions; nothing that is added can be removed again\n", count, at, digest, into.ClusterID, into.AssertionsCount)
	if r.yes {
		return nil
	}
	fmt.Fprint(cmd.ErrOrStderr(), "Add what is missing? Type yes: ")
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was changed: --yes, or the answer yes, goes ahead")
	}
	return nil
}

// walk calls each for everything that the log has recorded, in order.
func (r *restoring) walk(view *index.View, each func(assertion.Event) error) error {
	const page = 500
	var after assertion.Position
	for {
		events, err := view.Records(after, page)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := each(e); err != nil {
				return err
			}
			after = e.Commit.Position
		}
		if len(events) < page {
			return nil
		}
	}
}

// newestCounts names what an entry is about, if of several only the newest counts.
func newestCounts(e assertion.Entry) (string, bool) {
	switch e := e.(type) {
	case *assertion.Source:
		return "source " + e.Hash.String(), true
	case *assertion.SourceStatus:
		return "status " + e.Source.String(), true
	case *assertion.Alias:
		return "alias " + e.Name + "\x00" + e.Canonical, true
	case *assertion.Label:
		return "label " + e.Subject + "\x00" + e.Predicate, true
	case *assertion.Seeds:
		return "seeds", true
	case *assertion.Decision:
		return "decision " + e.Claim.String(), true
	}
	return "", false
}

// findLast notes the place of each newest entry.
func (r *restoring) findLast(view *index.View) error {
	r.last = map[string]assertion.Position{}
	return r.walk(view, func(e assertion.Event) error {
		if about, counts := newestCounts(e.Entry); counts {
			r.last[about] = e.Commit.Position
		}
		return nil
	})
}

// take sends an event, together with others, or leaves it out.
func (r *restoring) take(ctx context.Context, e assertion.Event) error {
	entry, admission := e.Entry, assertion.Admission{Authority: e.Authority}
	switch e.Kind {
	case assertion.KindAssertion:
		entry = &e.Claim.Assertion
		admission = assertion.Admission{Authority: e.Claim.Authority, Findings: e.Claim.Findings, Quarantine: e.Claim.Review != assertion.NotQuarantined}
	case assertion.KindCosignature:
		if cosigned, ok := e.Entry.(*assertion.Cosignature); ok {
			entry = cosigned.Assertion
		}
	case assertion.KindNodeKey, assertion.KindTrust, assertion.KindTruth, assertion.KindClock: // the cluster makes its own
		return nil
	case assertion.KindAPIKey:
		if !r.withKeys {
			r.done.LeftOut++
			return nil
		}
	}
	if about, counts := newestCounts(entry); counts && r.last[about] != e.Commit.Position {
		return nil
	}
	if !admission.Plain() {
		entry = &assertion.Admitted{Entry: entry, Admission: admission}
	}
	record, err := assertion.AppendEntry(nil, entry)
	if err != nil {
		return err
	}
	const head = 4
	if len(r.records) == v1.MaxBatchClaims || r.bytes+head+len(record) > v1.MaxBatchBytes {
		if err := r.send(ctx); err != nil {
			return err
		}
	}
	r.records, r.bytes = append(r.records, record), r.bytes+head+len(record)
	return nil
}

// send sends what has gathered.
func (r *restoring) send(ctx context.Context) error {
	if len(r.records) == 0 {
		return nil
	}
	answer, err := r.client.Restore(ctx, r.records)
	if err != nil {
		return fmt.Errorf("%w: %d records were added before; repeating the command is safe", err, r.done.Added)
	}
	r.records, r.bytes = r.records[:0], 0
	r.done.Added += answer.Added
	r.done.Existing += answer.Existing
	r.done.Refused += len(answer.Refused)
	r.done.Index = max(r.done.Index, answer.Index)
	r.done.Refusals = append(r.done.Refusals, answer.Refused[:min(len(answer.Refused), keptRefusals-len(r.done.Refusals))]...)
	return nil
}

func (r *restoring) report(cmd *cobra.Command) error {
	d := r.done
	err := r.app.show(cmd, d, func(w io.Writer) {
		row(w, "added", d.Added)
		row(w, "there already", d.Existing)
		row(w, "API keys left out", d.LeftOut)
		row(w, "refused", d.Refused)
		for _, f := range d.Refusals {
			row(w, "  "+f.Code, f.Detail)
		}
	})
	if err == nil && d.Refused > 0 {
		return errPartial
	}
	return err
}
