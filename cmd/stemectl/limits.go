package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

func admissionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "admission AGENT", Short: "Show what an agent may do: trust, proof of work, quota, circuit breaker", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			agent, err := assertion.ParseAgentID(args[0])
			if err != nil {
				return &usageError{fmt.Errorf("%q: %w", args[0], err)}
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.AdmissionStatus, error) {
				return c.AdmissionStatus(ctx, agent)
			}, admissionTable)
		},
	}
}

func admissionTable(w io.Writer, s *v1.AdmissionStatus) {
	row(w, "trust", s.Trust)
	row(w, "tier", fmt.Sprintf("%s (quota × %v)", s.Tier, s.Multiplier))
	row(w, "assertions", s.Assertions)
	work, quota, breaker := "none", "not metered", "none"
	if s.Work != nil {
		work = fmt.Sprintf("%d leading zero bits for the next assertion", s.Work.Bits)
	}
	if s.Quota != nil {
		quota = fmt.Sprintf("%d of %d units left until %s", s.Quota.Remaining, s.Quota.Limit, moment(s.Quota.Reset))
	}
	if s.Breaker != "" {
		breaker = s.Breaker
	}
	row(w, "proof of work", work)
	row(w, "quota", quota)
	row(w, "circuit breaker", breaker)
}

func moment(at uint64) string { return time.Unix(int64(at), 0).UTC().Format(time.RFC3339) }

func breakersCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "breakers", Short: "Circuit breakers: who is kept out for failing too often"}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the circuit breakers that a node knows", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.CircuitBreakersResponse, error) {
					return c.CircuitBreakers(ctx)
				},
					func(w io.Writer, got *v1.CircuitBreakersResponse) {
						row(w, "WHO", "STATE", "UNTIL", "FAILURES")
						for _, b := range got.Breakers {
							until := "–"
							if b.Until != 0 {
								until = moment(b.Until)
							}
							row(w, b.Principal, b.State, until, failureList(b.Failures))
						}
					})
			},
		},
		&cobra.Command{
			Use: "reset WHO", Short: "Close a circuit breaker on every node", Args: cobra.ExactArgs(1),
			Long: "Close a circuit breaker on every node. WHO is an agent id, or as the list has it: agent:HEX, key:ID, address:IP.",
			RunE: func(cmd *cobra.Command, args []string) error {
				return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.CircuitBreakerReset, error) {
					return c.ResetCircuitBreaker(ctx, args[0])
				}, func(w io.Writer, got *v1.CircuitBreakerReset) {
					state := "was closed"
					if got.Reset {
						state = "closed"
					}
					row(w, got.Principal, state)
				})
			},
		},
	)
	return cmd
}

func failureList(by map[string]int) string {
	var out []string
	for _, reason := range slices.Sorted(maps.Keys(by)) {
		out = append(out, fmt.Sprintf("%d %s", by[reason], reason))
	}
	return strings.Join(out, ", ")
}

func workCommand() *cobra.Command {
	var agent string
	var bits int
	cmd := &cobra.Command{
		Use: "work", Short: "Make a proof of work and print it as HTTP headers", Args: cobra.NoArgs,
		Long: "Make a proof of work and print it as HTTP headers, for clients without the SDK: assert and import make theirs by themselves. A proof is good for one request within 5 minutes.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			id, err := assertion.ParseAgentID(agent)
			if err != nil {
				return &usageError{fmt.Errorf("--agent: %w", err)}
			}
			if bits < 0 || bits > assertion.MaxWorkBits {
				return &usageError{fmt.Errorf("--bits %d: 0 to %d are possible", bits, assertion.MaxWorkBits)}
			}
			work, err := assertion.SolveWork(cmd.Context(), id, uint64(time.Now().Unix()), bits)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d\n%s: %d\n", v1.HeaderPoWNonce, work.Nonce, v1.HeaderPoWTimestamp, work.Timestamp)
			return nil
		},
	}
	cmd.Flags().StringVar(&agent, "agent", "", "agent id that the refusal names in work.agent_id (required)")
	cmd.Flags().IntVar(&bits, "bits", 16, "leading zero bits, as the node's refusal says")
	return cmd
}
