package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

func keysCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Make and show signing keys, and manage the API keys of a cluster"}
	cmd.AddCommand(
		&cobra.Command{
			Use: "generate FILE", Short: "Make a signing key (Ed25519, PKCS #8 PEM); an existing file is never overwritten", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				key, err := client.GenerateKey()
				if err != nil {
					return err
				}
				if err := client.SaveKey(args[0], key); err != nil {
					return err
				}
				return a.showKey(cmd, args[0], assertion.AgentOf(key))
			},
		},
		&cobra.Command{
			Use: "show FILE", Short: "Print the agent id (public key) of a signing key", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				key, err := client.LoadKey(args[0])
				if err != nil {
					return err
				}
				return a.showKey(cmd, args[0], assertion.AgentOf(key))
			},
		},
		apiKeysCommand(a), createKeyCommand(a), updateKeyCommand(a), rotateKeyCommand(a), revokeKeyCommand(a),
	)
	return cmd
}

func (a *app) showKey(cmd *cobra.Command, file string, id assertion.AgentID) error {
	return a.show(cmd, map[string]string{"file": file, "agent_id": id.String()}, func(w io.Writer) {
		fmt.Fprintf(w, "agent id\t%s\nfile\t%s\n", id, file)
	})
}
