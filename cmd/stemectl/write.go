package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// The commands that store what is no claim.

// store runs a write and shows what became of it.
func (a *app) store(cmd *cobra.Command, write func(context.Context, *client.Client) (*v1.AssertResponse, error)) error {
	return fetch(a, cmd, write, func(w io.Writer, answer *v1.AssertResponse) {
		row(w, "status", answer.Status)
		row(w, "hash", answer.Hash)
		row(w, "index", answer.Index)
		if len(answer.Findings) > 0 {
			row(w, "findings", findingList(answer.Findings))
		}
	})
}

// signFlags are the key of what is signed by one agent, and its time.
type signFlags struct{ key, timestamp string }

func (f *signFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.key, "key", "", "signing key")
	cmd.Flags().StringVar(&f.timestamp, "timestamp", "", "unix seconds or RFC 3339 (default: now)")
}

func (f *signFlags) read() (key assertion.PrivateKey, timestamp uint64, err error) {
	if err := required(f.key != "", "this needs a signature: give --key"); err != nil {
		return nil, 0, err
	}
	timestamp = uint64(time.Now().Unix())
	if f.timestamp != "" {
		if timestamp, err = parseTime(f.timestamp); err != nil {
			return nil, 0, err
		}
	}
	key, err = client.LoadKey(f.key)
	return key, timestamp, err
}

func hashArg(text string) (assertion.Hash, error) {
	h, err := assertion.ParseHash(text)
	if err != nil {
		return h, &usageError{fmt.Errorf("%.80q: %w", text, err)}
	}
	return h, nil
}

func optionalHash(flag, text string) (*assertion.Hash, error) {
	if text == "" {
		return nil, nil
	}
	h, err := assertion.ParseHash(text)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--%s: %w", flag, err)}
	}
	return &h, nil
}

func voteCommand(a *app) *cobra.Command {
	var f signFlags
	var weight float64
	cmd := &cobra.Command{
		Use: "vote HASH", Short: "Sign a vote on a claim and store it", Args: cobra.ExactArgs(1),
		Example: "  stemectl vote --key me.pem --weight 0.8 HASH",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := hashArg(args[0])
			if err != nil {
				return err
			}
			key, timestamp, err := f.read()
			if err != nil {
				return err
			}
			v := &assertion.Vote{AssertionHash: h, Weight: weight, Timestamp: timestamp}
			v.Sign(key)
			return a.store(cmd, func(ctx context.Context, c *client.Client) (*v1.AssertResponse, error) { return c.Vote(ctx, v) })
		},
	}
	f.add(cmd)
	cmd.Flags().Float64Var(&weight, "weight", 1, "0 to 1")
	return cmd
}

func supersedeCommand(a *app) *cobra.Command {
	var f signFlags
	var by, reason string
	var refines bool
	cmd := &cobra.Command{
		Use: "supersede HASH", Short: "Retract a claim of yours, or replace or refine it by another", Args: cobra.ExactArgs(1),
		Example: `  stemectl supersede --key me.pem --reason "typing error" HASH
  stemectl supersede --key me.pem --by BETTER --reason "new table" HASH`,
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := hashArg(args[0])
			if err != nil {
				return err
			}
			s := &assertion.Supersession{Superseded: h, Type: assertion.Retracts, Reason: reason}
			if s.By, err = optionalHash("by", by); err != nil {
				return err
			}
			if err := required(!refines || s.By != nil, "--refines needs --by"); err != nil {
				return err
			}
			switch {
			case refines:
				s.Type = assertion.Refines
			case s.By != nil:
				s.Type = assertion.Replaces
			}
			key, timestamp, err := f.read()
			if err != nil {
				return err
			}
			s.Timestamp = timestamp
			if err := s.Normalize(); err != nil {
				return &usageError{err}
			}
			s.Sign(key)
			return a.store(cmd, func(ctx context.Context, c *client.Client) (*v1.AssertResponse, error) { return c.Supersede(ctx, s) })
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&by, "by", "", "claim that takes its place")
	cmd.Flags().BoolVar(&refines, "refines", false, "the other claim narrows this one, which stays")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	return cmd
}

func epochCommand(a *app) *cobra.Command {
	var f signFlags
	var supersedes, kind string
	cmd := &cobra.Command{
		Use: "epoch NAME", Short: "Declare an epoch, which claims then name by its hash", Args: cobra.ExactArgs(1),
		Example: `  stemectl epoch --key me.pem "guideline 2026" --supersedes OLD`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			e := &assertion.Epoch{Name: args[0]}
			if e.Supersedes, err = optionalHash("supersedes", supersedes); err != nil {
				return err
			}
			if e.Supersedes != nil {
				if e.SupersessionType, err = assertion.ParseSupersessionType(kind); err != nil {
					return &usageError{fmt.Errorf("--type: %w", err)}
				}
			}
			key, timestamp, err := f.read()
			if err != nil {
				return err
			}
			e.Timestamp = timestamp
			if err := e.Normalize(); err != nil {
				return &usageError{err}
			}
			e.Sign(key)
			return a.store(cmd, func(ctx context.Context, c *client.Client) (*v1.AssertResponse, error) { return c.Epoch(ctx, e) })
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&supersedes, "supersedes", "", "hash of an earlier epoch of yours")
	cmd.Flags().StringVar(&kind, "type", "Replaces", "Replaces, Refines or Retracts")
	return cmd
}

func aliasCommand(a *app) *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use: "alias NAME CANONICAL", Short: "Join two names of one entity, or part them", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			alias := &assertion.Alias{Name: args[0], Canonical: args[1], Removed: remove}
			return a.store(cmd, func(ctx context.Context, c *client.Client) (*v1.AssertResponse, error) { return c.SetAlias(ctx, alias) })
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "part the names again")
	return cmd
}

func endorseCommand(a *app) *cobra.Command {
	var f signFlags
	var weight float64
	cmd := &cobra.Command{
		Use: "endorse AGENT", Short: "Sign an endorsement of another agent and store it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			agent, err := assertion.ParseAgentID(args[0])
			if err != nil {
				return &usageError{err}
			}
			key, timestamp, err := f.read()
			if err != nil {
				return err
			}
			e := &assertion.Endorsement{Endorsed: agent, Weight: weight, Timestamp: timestamp}
			e.Sign(key)
			return a.store(cmd, func(ctx context.Context, c *client.Client) (*v1.AssertResponse, error) { return c.Endorse(ctx, e) })
		},
	}
	f.add(cmd)
	cmd.Flags().Float64Var(&weight, "weight", 1, "0 to 1; 0 takes the endorsement back")
	return cmd
}

func goldCommand(a *app) *cobra.Command {
	var subject, predicate, object string
	var remove bool
	cmd := &cobra.Command{
		Use: "gold", Short: "List the gold labels, or state the right answer to a question", Args: cobra.NoArgs,
		Example: `  stemectl gold
  stemectl gold --subject Semaglutide --predicate nausea_rate --object '{"Number":44.2}'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if subject == "" && predicate == "" && object == "" {
				return a.gold(cmd)
			}
			if err := required(subject != "" && predicate != "" && object != "", "a gold label needs --subject, --predicate and --object"); err != nil {
				return err
			}
			l := &assertion.Label{Subject: subject, Predicate: predicate, Removed: remove}
			if err := l.Object.UnmarshalJSON([]byte(object)); err != nil {
				return &usageError{fmt.Errorf("--object: %w", err)}
			}
			return a.store(cmd, func(ctx context.Context, c *client.Client) (*v1.AssertResponse, error) { return c.SetGold(ctx, l) })
		},
	}
	cmd.Flags().StringVar(&subject, "subject", "", "subject")
	cmd.Flags().StringVar(&predicate, "predicate", "", "predicate")
	cmd.Flags().StringVar(&object, "object", "", `the right value, as in '{"Number":44.2}'`)
	cmd.Flags().BoolVar(&remove, "remove", false, "take the label back")
	return cmd
}

func (a *app) gold(cmd *cobra.Command) error {
	return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.GoldResponse, error) {
		return c.Gold(ctx, client.Query{})
	}, func(w io.Writer, answer *v1.GoldResponse) {
		row(w, "SUBJECT", "PREDICATE", "RIGHT", "INDEX")
		for _, l := range answer.Labels {
			row(w, l.Subject, l.Predicate, l.Object, l.LogIndex)
		}
		row(w, fmt.Sprintf("trust computed from log index %d", answer.ComputedIndex))
	})
}

func sourceCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "source", Short: "Describe sources, retract and reinstate them, and see what rests on them"}
	cmd.AddCommand(sourceRegisterCommand(a), sourceStatusCommand(a, true), sourceStatusCommand(a, false), sourceShowCommand(a), sourceImpactCommand(a))
	return cmd
}

func sourceRegisterCommand(a *app) *cobra.Command {
	var hash, uri, title, class, file string
	cmd := &cobra.Command{
		Use: "register", Short: "Describe a source", Args: cobra.NoArgs,
		Example: `  stemectl source register --file label.txt --title "Prescribing information" --uri fda://label/215256`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := &assertion.Source{URI: uri, Title: title, SourceClass: assertion.Anecdotal}
			if err := required(hash != "" || file != "", "give --source-hash, --file or both"); err != nil {
				return err
			}
			h, err := optionalHash("source-hash", hash)
			if err != nil {
				return err
			}
			if h != nil {
				s.Hash = *h
			}
			if byScheme, ok := assertion.SchemeClass(uri); ok {
				s.SourceClass = byScheme
			}
			if class != "" {
				if s.SourceClass, err = assertion.ParseSourceClass(class); err != nil {
					return &usageError{fmt.Errorf("--class: %w", err)}
				}
			}
			if file != "" {
				content, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				s.Content = string(content)
			}
			return a.store(cmd, func(ctx context.Context, c *client.Client) (*v1.AssertResponse, error) {
				return c.RegisterSource(ctx, s)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&hash, "source-hash", "", "source_hash of the claims (default: that of the content)")
	flags.StringVar(&uri, "uri", "", "where the source is")
	flags.StringVar(&title, "title", "", "title")
	flags.StringVar(&class, "class", "", "source class (default: that of the URI's scheme)")
	flags.StringVar(&file, "file", "", "file with the source's text")
	return cmd
}

func sourceStatusCommand(a *app, retract bool) *cobra.Command {
	var reason string
	use, short := "reinstate HASH", "Take back the retraction of a source"
	if retract {
		use, short = "retract HASH", "Retract a source: every claim on it leaves the answers"
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := hashArg(args[0])
			if err != nil {
				return err
			}
			s := &assertion.SourceStatus{Source: h, Retracted: retract, Reason: reason}
			return a.store(cmd, func(ctx context.Context, c *client.Client) (*v1.AssertResponse, error) {
				return c.SetSourceStatus(ctx, s)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	return cmd
}

func sourceShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show HASH", Short: "Print what is known of a source", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := hashArg(args[0])
			if err != nil {
				return err
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.SourceResponse, error) {
				return c.Source(ctx, h, client.Query{})
			}, func(w io.Writer, answer *v1.SourceResponse) {
				row(w, "hash", answer.Hash)
				row(w, "title", answer.Title)
				row(w, "uri", answer.URI)
				row(w, "status", answer.Status)
				for _, change := range answer.Changes {
					row(w, change.Status, day(change.CommittedAt)+" "+change.Reason)
				}
			})
		},
	}
}

func sourceImpactCommand(a *app) *cobra.Command {
	var lens string
	cmd := &cobra.Command{
		Use: "impact HASH", Short: "Show what rests on a source, and which answers depend on it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := hashArg(args[0])
			if err != nil {
				return err
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.ImpactResponse, error) {
				return c.Impact(ctx, h, client.Query{Lens: lens})
			}, func(w io.Writer, answer *v1.ImpactResponse) {
				row(w, "claims", fmt.Sprintf("%d by %d agents; %d derived from them elsewhere", answer.Claims, answer.Agents, answer.Derived))
				row(w, "answers", fmt.Sprintf("%d of %d depend on it", answer.Changed, len(answer.Questions)))
				row(w)
				row(w, "SUBJECT", "PREDICATE", "WITH", "WITHOUT")
				for _, q := range answer.Questions {
					row(w, q.Subject, q.Predicate, value(q.With), value(q.Without))
				}
			})
		},
	}
	cmd.Flags().StringVar(&lens, "lens", "", "the lens that resolves (default consensus)")
	return cmd
}

// value is a value for a table, a dash where there is none.
func value(v *assertion.ObjectValue) string {
	if v == nil {
		return "–"
	}
	return shorten(v.String(), 60)
}
