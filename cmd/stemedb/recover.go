package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/internal/exitcode"
	"github.com/stemedb/stemedb/internal/settings"
	"github.com/stemedb/stemedb/node"
)

// lossStatement is what an operator agrees to with --yes.
const lossStatement = `This makes a NEW cluster of this node's data alone. It is for when the majority of the old one is lost for good.

  - Lost: whatever the other nodes acknowledged that this node's log does not hold. Nobody can tell how much that is. Of several
    nodes that are left, take the one with the highest last term, then last index: run this command without --yes on each.
  - Kept: every entry in this node's log, also entries whose outcome no client has ever learnt.
  - The cluster gets a new id. Every other node of the old cluster, also one that comes back later, is refused until its data
    directory is emptied; then it joins as a newcomer.
`

func recoverCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Make a new cluster of one node that is left when the majority is lost for good",
		Long: `Make a new cluster of one node that is left when the majority is lost for good. Takes the flags of 'stemedb serve', of which it
needs data-dir and the addresses that the node will have. The node must not run. Without --yes it only prints what the directory
holds. docs/runbooks/quorum-lost.md has the whole procedure.

` + lossStatement,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, s, err := readSettings(cmd)
			if err != nil {
				return err
			}
			r, err := node.Recover(offline(cmd, s), yes)
			if err != nil {
				return &exitcode.Error{Code: exitError, Err: err}
			}
			return printRecovery(cmd, r)
		},
	}
	settings.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&yes, "yes", false, "do it: what it says about loss is understood")
	return cmd
}

func printRecovery(cmd *cobra.Command, r node.Recovery) error {
	out := cmd.OutOrStdout()
	_, err := fmt.Fprintf(out, "%s\nnode        %s\ncluster     %s\nmembers     %s\nlast term   %d\nlast index  %d\nassertions  %d (applied up to log index %d)\n",
		lossStatement, r.NodeID, r.ClusterID, strings.Join(r.Members, ", "), r.LastTerm, r.LastIndex, r.Assertions, r.Applied)
	if err != nil {
		return err
	}
	if r.NewClusterID == "" {
		return &exitcode.Error{Code: exitError, Err: errors.New("nothing was changed: repeat the command with --yes to go ahead")}
	}
	_, err = fmt.Fprintf(out, "\nrecovered as cluster %s, of node %s at %s alone: start it with the command line that it always had\n", r.NewClusterID, r.NodeID, r.Address)
	return err
}
