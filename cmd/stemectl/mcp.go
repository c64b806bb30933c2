package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/cmd/stemectl/mcpserver"
)

func mcpCommand(a *app) *cobra.Command {
	var keyFile string
	var readOnly bool
	cmd := &cobra.Command{
		Use: "mcp", Short: "Offer the cluster to an AI agent: a Model Context Protocol server on standard input and output", Args: cobra.NoArgs,
		Long: `Serves the Model Context Protocol on standard input and output until the
input ends. The tools are assert, query, skeptic, layered, trace and conflicts;
what the agent asserts is signed with --key (docs/mcp.md).`,
		Example: `  stemectl mcp --key agent.pem
  stemectl mcp --read-only`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (keyFile == "") != readOnly {
				return &usageError{errors.New("give --key for the agent to sign with, or --read-only")}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			cfg := mcpserver.Config{Client: c, Logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
			if !readOnly {
				var key ed25519.PrivateKey
				if key, err = client.LoadKey(keyFile); err != nil {
					return err
				}
				cfg.Key = key
			}
			err = mcpserver.New(cfg).Run(cmd.Context(), &mcp.StdioTransport{})
			if errors.Is(err, context.Canceled) {
				return nil // a signal ends it, as the end of the input does
			}
			return err
		},
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "signing key of the agent")
	cmd.Flags().BoolVar(&readOnly, "read-only", false, "leave the tool assert out")
	return cmd
}
