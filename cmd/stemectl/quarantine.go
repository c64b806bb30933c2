package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

func quarantineCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "quarantine", Short: "Review what the content defence keeps out of answers"}
	cmd.AddCommand(quarantineListCommand(a), approveClaimCommand(a), rejectClaimCommand(a))
	return cmd
}

func quarantineListCommand(a *app) *cobra.Command {
	var state, cursor string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the claims that the content defence keeps out of answers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var review assertion.Review
			if err := review.UnmarshalText([]byte(state)); err != nil || review == assertion.NotQuarantined {
				return &usageError{fmt.Errorf("--state %q: use pending, approved or rejected", state)}
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.QuarantineResponse, error) {
				return c.Quarantine(ctx, review, cursor, limit)
			}, quarantineTable)
		},
	}
	cmd.Flags().StringVar(&state, "state", "pending", "pending, approved or rejected")
	cmd.Flags().StringVar(&cursor, "cursor", "", "continue after the page that printed this")
	cmd.Flags().IntVar(&limit, "limit", 0, "most claims to list (default: the node's)")
	return cmd
}

func quarantineTable(w io.Writer, got *v1.QuarantineResponse) {
	row(w, "HASH", "SUBJECT", "PREDICATE", "VALUE", "SIGNERS", "FINDINGS", "DECIDED")
	for i := range got.Claims {
		c := &got.Claims[i]
		decided := "–"
		if n := len(c.Decisions); n > 0 {
			decided = c.Review + " by " + c.Decisions[n-1].Reviewer
		}
		row(w, c.Hash, c.Subject, c.Predicate, c.Object, signerList(c.Signatures), findingList(c.Findings), decided)
	}
	row(w, "pending in all", got.Pending)
	if got.NextCursor != "" {
		row(w, "more with", "--cursor "+got.NextCursor)
	}
}

// signerList names the first signer and counts the others: an approval makes each
// of them a voice.
func signerList(all []v1.Signature) string {
	name := all[0].AgentID.String()[:12]
	if len(all) > 1 {
		name += fmt.Sprintf(" + %d", len(all)-1)
	}
	return name
}

func findingList(all []assertion.Finding) string {
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.String()
	}
	return strings.Join(names, ", ")
}

func quarantineDecisionCommand(a *app, verb, short string, decide func(c *client.Client, ctx context.Context, claim assertion.Hash, reason string) (*v1.DecisionResponse, error)) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: verb + " HASH", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			hash, err := assertion.ParseHash(args[0])
			if err != nil {
				return &usageError{fmt.Errorf("%q: %w", args[0], err)}
			}
			if reason == "" {
				return &usageError{errors.New("--reason is missing: say why, for those who ask later")}
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.DecisionResponse, error) {
				return decide(c, ctx, hash, reason)
			}, func(w io.Writer, got *v1.DecisionResponse) {
				row(w, got.Hash, got.Review)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why (required)")
	return cmd
}

func approveClaimCommand(a *app) *cobra.Command {
	return quarantineDecisionCommand(a, "approve", "Let answers show a quarantined claim", (*client.Client).ApproveClaim)
}

func rejectClaimCommand(a *app) *cobra.Command {
	return quarantineDecisionCommand(a, "reject", "Confirm that answers leave a quarantined claim out", (*client.Client).RejectClaim)
}
