package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/client"
)

func logLevelCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "log-level [LEVEL]", Short: "Show what a node logs, or change it until it starts again: debug, info, warn or error", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(len(a.urls) == 1, "name the one node that is meant with --url"); err != nil {
				return err
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.LogLevel, error) {
				if len(args) == 0 {
					return c.LogLevel(ctx)
				}
				return c.SetLogLevel(ctx, args[0])
			}, func(w io.Writer, got *v1.LogLevel) { row(w, "level", got.Level) })
		},
	}
}
