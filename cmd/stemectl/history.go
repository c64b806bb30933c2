package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// The commands that read beside claims and their answers.

func constraintsCommand(a *app) *cobra.Command {
	var f selectFlags
	cmd := &cobra.Command{
		Use: "constraints", Short: "Show what a subject must use, must not use and requires", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query()
			if err != nil {
				return err
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.ConstraintsResponse, error) {
				return c.Constraints(ctx, q)
			}, func(w io.Writer, got *v1.ConstraintsResponse) {
				row(w, "VERDICT", "THING", "CONFLICT", "BECAUSE")
				for _, c := range got.Constraints {
					for i, reason := range c.Reasons {
						if i == 0 {
							row(w, c.Verdict, c.Object, fmt.Sprintf("%.4f", c.ConflictScore), reason)
							continue
						}
						row(w, "", "", "", reason)
					}
				}
			})
		},
	}
	f.readFlags.add(cmd)
	f.past(cmd)
	cmd.Flags().StringVar(&f.subject, "subject", "", "subject")
	return cmd
}

// pageFlags are those of a list in pages.
type pageFlags struct {
	readFlags
	cursor string
	limit  int
}

func (f *pageFlags) add(cmd *cobra.Command) {
	f.readFlags.add(cmd)
	cmd.Flags().StringVar(&f.cursor, "cursor", "", "continue where another page ended")
	cmd.Flags().IntVar(&f.limit, "limit", 0, "most entries in the answer (1 to 1000)")
}

func (f *pageFlags) query() client.Query {
	return client.Query{Limit: f.limit, Cursor: f.cursor, Consistency: f.consistency()}
}

func more(w io.Writer, cursor string) {
	if cursor != "" {
		row(w, "more: --cursor "+cursor)
	}
}

func conflictsCommand(a *app) *cobra.Command {
	var f pageFlags
	cmd := &cobra.Command{
		Use: "conflicts", Short: "List the most contested questions", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.ConflictsResponse, error) {
				return c.Conflicts(ctx, f.query())
			}, func(w io.Writer, got *v1.ConflictsResponse) {
				row(w, "SUBJECT", "PREDICATE", "CONFLICT", "STATUS", "LEADING", "SHARE", "VALUES", "VOICES")
				for _, q := range got.Questions {
					row(w, q.Subject, q.Predicate, fmt.Sprintf("%.4f", q.ConflictScore), q.Status, shorten(q.Leading.String(), 60), percent(q.Share), q.Values, q.Voices)
				}
				more(w, got.NextCursor)
			})
		},
	}
	f.add(cmd)
	return cmd
}

func subjectsCommand(a *app) *cobra.Command {
	var f pageFlags
	var prefix string
	cmd := &cobra.Command{
		Use: "subjects", Short: "List the subjects and their predicates", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.SubjectsResponse, error) {
				return c.Subjects(ctx, prefix, f.query())
			}, func(w io.Writer, got *v1.SubjectsResponse) {
				row(w, "SUBJECT", "PREDICATES")
				for _, s := range got.Subjects {
					row(w, s.Subject, fmt.Sprint(s.Predicates))
				}
				more(w, got.NextCursor)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&prefix, "prefix", "", "what the subjects begin with")
	return cmd
}

func lensesCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "lenses", Short: "List the lenses with their rules and formulas", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.LensesResponse, error) {
				return c.Lenses(ctx)
			}, func(w io.Writer, got *v1.LensesResponse) {
				for _, l := range got.Lenses {
					row(w, l.Name, l.Rule)
					row(w, "", l.Formula)
				}
			})
		},
	}
}

func traceCommand(a *app) *cobra.Command {
	var f selectFlags
	var depth int
	cmd := &cobra.Command{
		Use: "trace HASH", Short: "Show where a claim comes from and what became of it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := hashArg(args[0])
			if err != nil {
				return err
			}
			q, err := f.query()
			if err != nil {
				return err
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.TraceResponse, error) {
				return c.Trace(ctx, h, depth, q)
			}, func(w io.Writer, got *v1.TraceResponse) { printTrace(w, got) })
		},
	}
	f.readFlags.add(cmd)
	f.past(cmd)
	cmd.Flags().IntVar(&depth, "depth", 8, "how far to follow the chain")
	return cmd
}

func printTrace(w io.Writer, got *v1.TraceResponse) {
	relations := map[assertion.Hash]string{}
	for _, e := range got.Edges {
		if _, known := relations[e.To]; !known {
			relations[e.To] = fmt.Sprintf("%s of %s", e.Relation, brief(e.From))
		}
	}
	row(w, "DEPTH", "HASH", "CLAIM", "RELATION", "STAGE", "VOTES", "SOURCE")
	for _, n := range got.Nodes {
		text, stage, source := "not kept here", "", ""
		if c := n.Assertion; c != nil {
			text = shorten(fmt.Sprintf("%s %s %s", c.Subject, c.Predicate, c.Object), 60)
			stage = c.Lifecycle.String()
			if c.Superseded {
				stage += ", superseded"
			}
			source = brief(c.SourceHash)
			if n.Source != nil {
				source = fmt.Sprintf("%s (%s)", shorten(n.Source.Title, 30), n.Source.Status)
			}
		}
		row(w, n.Depth, brief(n.Hash), text, relations[n.Hash], stage, len(n.Votes), source)
	}
}

func diffCommand(a *app) *cobra.Command {
	var f selectFlags
	var from, to, lens string
	var asOf bool
	cmd := &cobra.Command{
		Use: "diff", Short: "Show what changed on a subject between two times", Args: cobra.NoArgs,
		Example: "  stemectl diff --subject Semaglutide --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z",
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query()
			if err != nil {
				return err
			}
			q.Lens = lens
			if err := required(from != "", "--from is missing: give unix seconds or an RFC 3339 time"); err != nil {
				return err
			}
			begin, err := parseTime(from)
			if err != nil {
				return err
			}
			end := uint64(time.Now().Unix())
			if to != "" {
				if end, err = parseTime(to); err != nil {
					return err
				}
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.DiffResponse, error) {
				return c.Diff(ctx, q, begin, end, asOf)
			}, func(w io.Writer, got *v1.DiffResponse) {
				row(w, "PREDICATE", "BEFORE", "AFTER", "ADDED", "REMOVED")
				for _, d := range got.Questions {
					row(w, d.Predicate, value(d.Before.Winner), value(d.After.Winner), len(d.Added), len(d.Removed))
				}
				row(w, fmt.Sprintf("%d predicates unchanged", got.Unchanged))
				if got.Truncated {
					row(w, "there is more than is listed: name a --predicate")
				}
			})
		},
	}
	f.readFlags.add(cmd)
	cmd.Flags().StringVar(&f.subject, "subject", "", "subject")
	cmd.Flags().StringVar(&f.predicate, "predicate", "", "one predicate (default: every one of the subject)")
	cmd.Flags().StringVar(&from, "from", "", "unix seconds or RFC 3339")
	cmd.Flags().StringVar(&to, "to", "", "unix seconds or RFC 3339 (default: now)")
	cmd.Flags().StringVar(&lens, "lens", "", "the lens that resolves (default consensus)")
	cmd.Flags().BoolVar(&asOf, "by-timestamp", false, "compare what was claimed by then, as known now, instead of what was known")
	return cmd
}

func conceptCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "concept NAME", Short: "Show one entity: its names, predicates and place", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.ConceptResponse, error) {
				return c.Concept(ctx, args[0], client.Query{})
			}, func(w io.Writer, got *v1.ConceptResponse) {
				row(w, "canonical", got.Canonical)
				row(w, "names", fmt.Sprint(got.Names))
				row(w, "predicates", fmt.Sprint(got.Predicates))
				if got.Path {
					row(w, "parent", got.Parent)
					row(w, "children", fmt.Sprint(got.Children))
				}
			})
		},
	}
}

func trustCommand(a *app) *cobra.Command {
	var predicate string
	cmd := &cobra.Command{
		Use: "trust AGENT", Short: "Show how far an agent is trusted, and why", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			agent, err := assertion.ParseAgentID(args[0])
			if err != nil {
				return &usageError{err}
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.TrustResponse, error) {
				return c.Trust(ctx, agent, client.Query{Predicate: predicate})
			}, func(w io.Writer, got *v1.TrustResponse) {
				row(w, "trust", fmt.Sprintf("%.4f (%s)", got.Trust, got.Basis))
				row(w, "TrustRank", fmt.Sprintf("%.4f", got.TrustRank))
				row(w, "gold labels", fmt.Sprintf("%d right, %d wrong", got.Right, got.Wrong))
				for _, p := range got.Predicates {
					row(w, p.Predicate, fmt.Sprintf("%.4f (%d right, %d wrong)", p.Trust, p.Right, p.Wrong))
				}
			})
		},
	}
	cmd.Flags().StringVar(&predicate, "predicate", "", "the predicate that the trust is for")
	return cmd
}

func feedCommand(a *app) *cobra.Command {
	var f readFlags
	var after string
	var limit int
	cmd := &cobra.Command{
		Use: "feed", Short: "List changes in the order of the log", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.FeedResponse, error) {
				return c.Feed(ctx, after, limit, f.consistency())
			}, func(w io.Writer, got *v1.FeedResponse) {
				row(w, "POSITION", "COMMITTED", "KIND", "WHAT")
				for i := range got.Events {
					e := &got.Events[i]
					row(w, e.Position, day(e.CommittedAt), e.Kind, eventText(e))
				}
				row(w, "next: --after "+got.Next)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&after, "after", "", "position to continue after (default: the beginning)")
	cmd.Flags().IntVar(&limit, "limit", 0, "most changes in the answer (1 to 1000)")
	return cmd
}

func eventText(e *v1.Event) string {
	switch {
	case e.Assertion != nil:
		return shorten(fmt.Sprintf("%s %s %s", e.Assertion.Subject, e.Assertion.Predicate, e.Assertion.Object), 60)
	case e.Vote != nil:
		return fmt.Sprintf("%g on %s", e.Vote.Weight, brief(e.Vote.AssertionHash))
	case e.Supersession != nil:
		return fmt.Sprintf("%s %s", e.Supersession.Type, brief(e.Supersession.Superseded))
	case e.SourceStatus != nil:
		return fmt.Sprintf("%s, retracted: %t", brief(e.SourceStatus.Source), e.SourceStatus.Retracted)
	case e.Alias != nil:
		return fmt.Sprintf("%s = %s", e.Alias.Name, e.Alias.Canonical)
	}
	return ""
}

func watchCommand(a *app) *cobra.Command {
	var f selectFlags
	var after, lens string
	cmd := &cobra.Command{
		Use: "watch", Short: "Follow changes, one JSON object a line; with a lens, those of one answer", Args: cobra.NoArgs,
		Long: `Follow changes as they are committed, one JSON object a line, until interrupted. When a node is lost
the watch goes on at the next of --url, and misses and repeats nothing.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query()
			if err != nil {
				return err
			}
			q.Lens = lens
			if err := required(lens == "" || q.Subject != "" && q.Predicate != "", "--lens needs --subject and --predicate"); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			for change, err := range c.Watch(cmd.Context(), after, q) {
				if err != nil {
					return err
				}
				var line any = change.Event
				if change.Resolution != nil {
					line = change.Resolution
				}
				if err := out.Encode(line); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&f.subject, "subject", "", "claims on this subject, or prefix with *")
	cmd.Flags().StringVar(&f.predicate, "predicate", "", "claims on this predicate")
	cmd.Flags().StringVar(&after, "after", "", "position to continue after (default: now)")
	cmd.Flags().StringVar(&lens, "lens", "", "tell of changes of the answer under this lens only")
	return cmd
}
