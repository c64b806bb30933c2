package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/client"
)

// membershipCommands are the commands of stemectl cluster that change the
// membership, and the one that shows what the leader thinks of it.
func membershipCommands(a *app) []*cobra.Command {
	join := changeCommand(a, "join", "join NODE", "Add a node that runs at --cluster-addr; one that is started with --join adds itself", cobra.ExactArgs(1))
	join.cmd.Flags().StringVar(&join.change.ClusterAddr, "cluster-addr", "", "node-to-node address of the node (host:port)")
	if err := join.cmd.MarkFlagRequired("cluster-addr"); err != nil {
		panic(err) // a flag that was never declared
	}
	return []*cobra.Command{
		membersCommand(a), join.cmd,
		changeCommand(a, "remove", "remove NODE", "Remove a node for good; refused where it would cost the quorum", cobra.ExactArgs(1)).cmd,
		changeCommand(a, "promote", "promote NODE", "Make a non-voter a voter now", cobra.ExactArgs(1)).cmd,
		changeCommand(a, "demote", "demote NODE", "Make a voter a non-voter until it is promoted", cobra.ExactArgs(1)).cmd,
		changeCommand(a, "transfer", "transfer [NODE]", "Hand the leadership to a voter, the best one if none is named", cobra.MaximumNArgs(1)).cmd,
		changeCommand(a, "snapshot", "snapshot [NODE]", "Take a snapshot on a node, the answering one if none is named", cobra.MaximumNArgs(1)).cmd,
		autopilotCommand(a),
	}
}

// change is one of these commands with what its flags fill in.
type change struct {
	cmd    *cobra.Command
	change v1.ClusterChange
}

func changeCommand(a *app, action, use, short string, args cobra.PositionalArgs) *change {
	c := &change{}
	c.cmd = &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				c.change.Node = args[0]
			}
			return fetch(a, cmd, func(ctx context.Context, db *client.Client) (*v1.ClusterChanged, error) {
				return db.ChangeCluster(ctx, action, c.change)
			}, func(w io.Writer, got *v1.ClusterChanged) {
				row(w, got.Action, got.Node, got.Status, fmt.Sprintf("log index %d", got.Index))
				if got.Detail != "" && got.Status == v1.ChangeDone {
					row(w, got.Detail)
				}
			})
		},
	}
	if action != "snapshot" {
		c.cmd.Flags().BoolVar(&c.change.Force, "force", false, "skip the guards, but for the one that keeps the last voter: this may cost the quorum")
	}
	return c
}

func membersCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "members", Short: "List the members of the cluster", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := a.cluster(cmd)
			if err != nil {
				return err
			}
			return a.show(cmd, answer.Members, func(w io.Writer) { memberTable(w, answer) })
		},
	}
}

func autopilotCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "autopilot", Short: "Show what the leader thinks of the members: health, stability, how many may be lost", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.Autopilot, error) { return c.Autopilot(ctx) }, autopilotTable)
		},
	}
}

func autopilotTable(w io.Writer, p *v1.Autopilot) {
	row(w, "healthy", p.Healthy)
	row(w, "voters that may be lost", p.FailureTolerance)
	row(w, "leader", p.Leader)
	row(w, "promotes after", seconds(p.StabilizationSeconds))
	removes := "never"
	if p.DeadAfterSeconds > 0 {
		removes = fmt.Sprintf("%v, not below %d voters", seconds(p.DeadAfterSeconds), p.MinQuorum)
	}
	row(w, "removes the dead after", removes)
	row(w)
	row(w, "NODE", "STATE", "SUFFRAGE", "HEALTHY", "SINCE", "LAST CONTACT", "INDEX")
	for _, s := range p.Servers {
		suffrage := s.Suffrage
		if s.ReadReplica {
			suffrage += " (stays)"
		}
		row(w, s.Node, s.State, suffrage, s.Healthy, time.Unix(int64(s.StableSince), 0).UTC().Format(time.RFC3339), seconds(s.LastContactSeconds), s.LastIndex)
	}
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}
