package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/client"
)

func clusterCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "cluster", Short: "Look after the cluster"}
	cmd.AddCommand(&cobra.Command{
		Use: "status", Short: "Show the cluster as the first node that answers sees it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := a.cluster(cmd)
			if err != nil {
				return err
			}
			return a.show(cmd, answer, func(w io.Writer) { clusterTable(w, answer) })
		},
	})
	cmd.AddCommand(nodeKeysCommand(a))
	cmd.AddCommand(membershipCommands(a)...)
	return cmd
}

// cluster is the cluster as the first node that answers sees it.
func (a *app) cluster(cmd *cobra.Command) (answer *v1.Cluster, err error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	for i := range c.Endpoints() {
		if answer, err = c.Cluster(cmd.Context(), i); err == nil {
			return answer, nil
		}
	}
	return nil, err
}

// nodeKeysCommand lists the keys that receipts are checked against.
func nodeKeysCommand(a *app) *cobra.Command {
	var f readFlags
	cmd := &cobra.Command{
		Use: "keys", Short: "List the keys that the nodes sign receipts with", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.NodeKeysResponse, error) {
				return c.NodeKeys(ctx, f.consistency())
			}, func(w io.Writer, got *v1.NodeKeysResponse) {
				row(w, "NODE", "KEY", "REGISTERED")
				for _, k := range got.Keys {
					row(w, k.NodeID, k.Key, fmt.Sprintf("at log index %d", k.LogIndex))
				}
			})
		},
	}
	f.add(cmd)
	return cmd
}

func clusterTable(w io.Writer, c *v1.Cluster) {
	row(w, "cluster", c.ClusterID)
	row(w, "seen by", c.Node)
	row(w, "leader", orNone(c.Leader))
	row(w, "term", c.Term)
	row(w, "applied", fmt.Sprintf("%d of %d", c.AppliedIndex, c.CommitIndex))
	row(w, "assertions", c.AssertionsCount)
	row(w, "digest", c.Digest)
	row(w, "converged", c.Converged)
	row(w)
	memberTable(w, c)
}

func memberTable(w io.Writer, c *v1.Cluster) {
	row(w, "NODE", "STATE", "SUFFRAGE", "LEADER", "APPLIED", "LAG", "DIGEST", "DISK", "HTTP", "CLUSTER", "VERSION")
	for _, m := range c.Members {
		digest := "agrees"
		if !m.DigestAgrees {
			digest = "DIFFERS"
		}
		leader := ""
		if m.Leader {
			leader = "leader"
		}
		row(w, m.Node, m.State, m.Suffrage, leader, m.AppliedIndex, m.LagEntries, digest, orNone(m.Disk), m.HTTPAddr, m.ClusterAddr, m.Version)
	}
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// perNode makes a command that asks every endpoint by itself and prints a row
// for each. It fails with the last error if one did not answer well.
func perNode[T any](a *app, use, short string, header []any, ask func(*cobra.Command, int) (*T, error), cells func(*T) []any) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			answers := map[string]*T{}
			var failed error
			for i, url := range c.Endpoints() {
				answer, err := ask(cmd, i)
				if err != nil {
					failed = err
					continue
				}
				answers[url] = answer
			}
			err = a.show(cmd, answers, func(w io.Writer) {
				row(w, append([]any{"URL"}, header...)...)
				for _, url := range c.Endpoints() {
					if answer := answers[url]; answer != nil {
						row(w, append([]any{url}, cells(answer)...)...)
					}
				}
			})
			if failed != nil {
				return failed
			}
			return err
		},
	}
}

func healthCommand(a *app) *cobra.Command {
	return perNode(a, "health", "Show the state of each node given by --url",
		[]any{"NODE", "STATUS", "ROLE", "LEADER", "ASSERTIONS", "INDEX"},
		func(cmd *cobra.Command, i int) (*v1.Health, error) {
			c, err := a.client()
			if err != nil {
				return nil, err
			}
			return c.Health(cmd.Context(), i)
		},
		func(h *v1.Health) []any {
			return []any{h.Node, h.Status, orNone(h.Role), orNone(h.Leader), h.AssertionsCount, h.Index}
		})
}

func readyCommand(a *app) *cobra.Command {
	return perNode(a, "ready", "Show whether each node given by --url should receive requests; fails if one should not",
		[]any{"READY", "CHECKS"},
		func(cmd *cobra.Command, i int) (*v1.Readiness, error) {
			c, err := a.client()
			if err != nil {
				return nil, err
			}
			return c.Ready(cmd.Context(), i)
		},
		func(r *v1.Readiness) []any { return []any{r.Ready, len(r.Checks)} })
}

func liveCommand(a *app) *cobra.Command {
	return perNode(a, "live", "Show whether the process of each node given by --url answers",
		[]any{"ALIVE"},
		func(cmd *cobra.Command, i int) (*v1.Liveness, error) {
			c, err := a.client()
			if err != nil {
				return nil, err
			}
			return c.Live(cmd.Context(), i)
		},
		func(l *v1.Liveness) []any { return []any{l.Alive} })
}

// document makes a command that prints a document of the first node that
// answers.
func document(a *app, use, short string, path string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var body []byte
			for i := range c.Endpoints() {
				if body, err = c.Document(cmd.Context(), i, path); err == nil {
					break
				}
			}
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(body)
			return err
		},
	}
}

func metricsCommand(a *app) *cobra.Command {
	return document(a, "metrics", "Print a node's metrics in Prometheus' text format", "/metrics")
}

func openapiCommand(a *app) *cobra.Command {
	return document(a, "openapi", "Print the OpenAPI document of the HTTP API", "/openapi.json")
}
