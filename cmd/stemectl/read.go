package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// readFlags are the consistency of a read.
type readFlags struct {
	level    string
	maxStale time.Duration
	minIndex uint64
}

func (f *readFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.level, "consistency", "", "linearizable (default), bounded or local")
	cmd.Flags().DurationVar(&f.maxStale, "max-stale", 0, "how stale a bounded read may be")
	cmd.Flags().Uint64Var(&f.minIndex, "min-index", 0, "wait until the node has applied this log index")
}

func (f *readFlags) consistency() client.Consistency {
	return client.Consistency{Level: f.level, MaxStale: f.maxStale, MinIndex: f.minIndex}
}

// selectFlags select claims.
type selectFlags struct {
	readFlags
	subject, predicate, lifecycle, epoch, class, agent, source string
	minConfidence                                              float64
	limit                                                      int
	asOf, knownAt, include, tolerance                          string
	noAliases, hierarchy, explain, receipt                     bool
}

// past adds the flags that choose a past state.
func (f *selectFlags) past(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.asOf, "as-of", "", "only what was claimed by then, decayed to then: unix seconds or RFC 3339")
	cmd.Flags().StringVar(&f.knownAt, "known-at", "", "only what was committed by then: unix seconds or RFC 3339")
}

func (f *selectFlags) add(cmd *cobra.Command) {
	f.readFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.subject, "subject", "", "subject; a trailing * makes it a prefix where that is possible")
	flags.StringVar(&f.predicate, "predicate", "", "predicate")
	flags.StringVar(&f.lifecycle, "lifecycle", "", "stages, separated by commas (default: neither Deprecated nor Rejected)")
	flags.StringVar(&f.epoch, "epoch", "", "hash of an epoch")
	flags.StringVar(&f.class, "class", "", "source class")
	flags.StringVar(&f.agent, "agent", "", "agent id of a signer")
	flags.StringVar(&f.source, "source-hash", "", "source_hash")
	flags.Float64Var(&f.minConfidence, "min-confidence", 0, "least confidence")
	flags.IntVar(&f.limit, "limit", 0, "most claims or values in the answer (1 to 1000)")
	f.past(cmd)
	flags.StringVar(&f.include, "include", "", "superseded, retracted, or both separated by a comma")
	flags.BoolVar(&f.noAliases, "no-aliases", false, "read the question under the one name only")
	flags.StringVar(&f.tolerance, "tolerance", "", "numbers this far apart count as one value: 0.5 or 1%")
	flags.BoolVar(&f.hierarchy, "hierarchy", false, "a concept path does not contradict the paths below it")
	flags.BoolVar(&f.receipt, "receipt", false, "add the node's signed statement of the answer (with -o json; see verify-receipt)")
	flags.BoolVar(&f.explain, "explain", false, "list the voices behind the answer (with -o json)")
}

func (f *selectFlags) query() (client.Query, error) {
	q := client.Query{Subject: f.subject, Predicate: f.predicate, MinConfidence: f.minConfidence, Limit: f.limit, Consistency: f.consistency()}
	bad := func(flag string, err error) (client.Query, error) {
		return q, &usageError{fmt.Errorf("--%s: %w", flag, err)}
	}
	q.NoAliases, q.Tolerance, q.Hierarchy, q.Explain, q.Receipt = f.noAliases, f.tolerance, f.hierarchy, f.explain, f.receipt
	for _, t := range []struct {
		text string
		into **uint64
	}{{f.asOf, &q.AsOf}, {f.knownAt, &q.KnownAt}} {
		if t.text != "" {
			at, err := parseTime(t.text)
			if err != nil {
				return q, err
			}
			*t.into = &at
		}
	}
	if f.include != "" {
		for _, what := range strings.Split(f.include, ",") {
			switch what {
			case "superseded":
				q.IncludeSuperseded = true
			case "retracted":
				q.IncludeRetracted = true
			default:
				return bad("include", fmt.Errorf("%q cannot be included: use superseded or retracted", what))
			}
		}
	}
	if f.lifecycle != "" {
		for _, name := range strings.Split(f.lifecycle, ",") {
			stage, err := assertion.ParseLifecycle(name)
			if err != nil {
				return bad("lifecycle", err)
			}
			q.Lifecycles = append(q.Lifecycles, stage)
		}
	}
	if f.epoch != "" {
		h, err := assertion.ParseHash(f.epoch)
		if err != nil {
			return bad("epoch", err)
		}
		q.Epoch = &h
	}
	if f.class != "" {
		class, err := assertion.ParseSourceClass(f.class)
		if err != nil {
			return bad("class", err)
		}
		q.SourceClass = &class
	}
	if f.agent != "" {
		id, err := assertion.ParseAgentID(f.agent)
		if err != nil {
			return bad("agent", err)
		}
		q.Agent = &id
	}
	if f.source != "" {
		h, err := assertion.ParseHash(f.source)
		if err != nil {
			return bad("source-hash", err)
		}
		q.Source = &h
	}
	return q, nil
}

func getCommand(a *app) *cobra.Command {
	var f readFlags
	cmd := &cobra.Command{
		Use: "get HASH", Short: "Print one claim", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := assertion.ParseHash(args[0])
			if err != nil {
				return &usageError{err}
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.AssertionDetail, error) {
				return c.Get(ctx, h, f.consistency())
			}, func(w io.Writer, claim *v1.AssertionDetail) { claimDetails(w, &claim.Assertion) })
		},
	}
	f.add(cmd)
	return cmd
}

func claimDetails(w io.Writer, c *v1.Assertion) {
	row(w, "hash", c.Hash)
	row(w, "subject", c.Subject)
	row(w, "predicate", c.Predicate)
	row(w, "object", fmt.Sprintf("%s (%s)", c.Object, c.Object.Kind()))
	row(w, "confidence", c.Confidence)
	row(w, "source class", c.SourceClass)
	row(w, "source hash", c.SourceHash)
	if c.SourceMetadata != nil {
		row(w, "source", string(c.SourceMetadata))
	}
	row(w, "stage", fmt.Sprintf("%s (stated %s)", c.Lifecycle, c.StatedLifecycle))
	row(w, "timestamp", time.Unix(int64(c.Timestamp), 0).UTC().Format(time.RFC3339))
	row(w, "committed", fmt.Sprintf("%s at log index %d", time.Unix(int64(c.CommittedAt), 0).UTC().Format(time.RFC3339), c.LogIndex))
	if len(c.Findings) > 0 {
		row(w, "findings", findingList(c.Findings))
	}
	if c.Review != "" {
		row(w, "review", c.Review)
	}
	if c.ParentHash != nil {
		row(w, "parent", *c.ParentHash)
	}
	for _, h := range c.DerivedFrom {
		row(w, "derived from", h)
	}
	for _, s := range c.Signatures {
		row(w, "signer", fmt.Sprintf("%s (version %d)", s.AgentID, s.Version))
	}
}

func queryCommand(a *app) *cobra.Command {
	var f selectFlags
	var lens, cursor string
	var all bool
	cmd := &cobra.Command{
		Use: "query", Short: "List claims, newest first; with a lens, resolve one question", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query()
			if err != nil {
				return err
			}
			q.Lens, q.Cursor = lens, cursor
			c, err := a.client()
			if err != nil {
				return err
			}
			answer, err := c.Query(cmd.Context(), q)
			if err != nil {
				return err
			}
			for next := answer.NextCursor; all && next != ""; {
				q.Cursor = next
				page, err := c.Query(cmd.Context(), q)
				if err != nil {
					return err
				}
				answer.Assertions = append(answer.Assertions, page.Assertions...)
				next = page.NextCursor
				answer.NextCursor = next
			}
			return a.show(cmd, answer, func(w io.Writer) {
				if answer.Resolution != nil {
					resolution(w, answer.Resolution)
					row(w)
				}
				claimTable(w, answer.Assertions)
				if answer.NextCursor != "" {
					row(w, "more: --cursor "+answer.NextCursor)
				}
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&lens, "lens", "", "resolve by this lens (docs/lenses.md); needs --subject and --predicate")
	cmd.Flags().StringVar(&cursor, "cursor", "", "continue where another page ended")
	cmd.Flags().BoolVar(&all, "all", false, "fetch every page")
	return cmd
}

func resolution(w io.Writer, r *v1.Resolution) {
	row(w, "lens", r.Lens)
	if r.Winner == nil {
		row(w, "answer", "none: there is no claim")
		return
	}
	row(w, "answer", r.Winner.Object)
	row(w, "because", r.Explanation.Decision)
	row(w, "confidence", fmt.Sprintf("%.4f", r.Confidence))
	row(w, "status", fmt.Sprintf("%s (conflict %.3f, disagreement %.3f)", r.Status, r.ConflictScore, r.Disagreement))
	for _, c := range r.RunnersUp {
		row(w, "runner-up", fmt.Sprintf("%s (%s, %d voices)", c.Object, percent(c.Share), c.Voices))
	}
}

func skepticCommand(a *app) *cobra.Command {
	var f selectFlags
	cmd := &cobra.Command{
		Use: "skeptic", Short: "Show every value of one question and how contested it is", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query()
			if err != nil {
				return err
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.SkepticResponse, error) {
				return c.Skeptic(ctx, q)
			}, func(w io.Writer, answer *v1.SkepticResponse) {
				row(w, "status", answer.Status)
				row(w, "conflict score", fmt.Sprintf("%.4f", answer.ConflictScore))
				row(w, "disagreement", fmt.Sprintf("%.4f", answer.Disagreement))
				row(w, "voices", fmt.Sprintf("%d for %d values", answer.Voices, answer.Values))
				row(w)
				row(w, "VALUE", "SHARE", "SUPPORT", "VOICES", "CLASSES")
				for i := range answer.Claims {
					v := &answer.Claims[i]
					row(w, shorten(v.Object.String(), 60), percent(v.Share), fmt.Sprintf("%.4f", v.Support), v.Voices, classes(v.Tiers))
				}
			})
		},
	}
	f.add(cmd)
	return cmd
}

func classes(tiers []v1.TierSupport) string {
	var parts []string
	for _, t := range tiers {
		parts = append(parts, fmt.Sprintf("%s×%d", t.SourceClass, t.Voices))
	}
	return strings.Join(parts, " ")
}

func layeredCommand(a *app) *cobra.Command {
	var f selectFlags
	cmd := &cobra.Command{
		Use: "layered", Short: "Show the answer of each source class to one question", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query()
			if err != nil {
				return err
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.LayeredResponse, error) {
				return c.Layered(ctx, q)
			}, func(w io.Writer, answer *v1.LayeredResponse) {
				if answer.Winner != nil {
					row(w, "answer", answer.Winner.Object)
				}
				row(w, "cross-tier conflict", fmt.Sprintf("%.4f", answer.CrossTierConflict))
				row(w)
				row(w, "TIER", "CLASS", "ANSWER", "SHARE", "CONFLICT", "VALUES", "VOICES")
				for _, t := range answer.Tiers {
					row(w, t.Tier, t.SourceClass, shorten(t.Winner.Object.String(), 60), percent(t.Winner.Share), fmt.Sprintf("%.4f", t.ConflictScore), t.Values, t.Voices)
				}
			})
		},
	}
	f.add(cmd)
	return cmd
}
