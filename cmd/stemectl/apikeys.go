package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

func apiKeysCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the API keys of the cluster", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.KeysResponse, error) { return c.APIKeys(ctx) },
				func(w io.Writer, got *v1.KeysResponse) {
					row(w, "ID", "NAME", "ROLE", "STATE", "AGENT", "SUBJECTS", "RATE", "LAST USED")
					for _, k := range got.Keys {
						keyRow(w, k)
					}
				})
		},
	}
}

func keyRow(w io.Writer, k v1.Key) {
	state, agent, used := "valid", "any", "–"
	switch {
	case k.Revoked:
		state = "revoked"
	case k.ExpiresAt != 0:
		state = "until " + time.Unix(int64(k.ExpiresAt), 0).UTC().Format(time.RFC3339)
	}
	if k.AgentID != nil {
		agent = k.AgentID.String()[:12]
	}
	if k.LastUsedAt != 0 {
		used = time.Unix(int64(k.LastUsedAt), 0).UTC().Format(time.RFC3339)
	}
	row(w, k.ID, k.Name, k.Role, state, agent, k.SubjectPrefix+"*", k.RatePerSecond, used)
}

// keyFlags are what a key may do.
type keyFlags struct {
	name, role, agent, subjects string
	expires                     time.Duration
	rate, quota                 uint64
}

func (f *keyFlags) add(cmd *cobra.Command, role string) {
	cmd.Flags().StringVar(&f.name, "name", "", "name for people")
	cmd.Flags().StringVar(&f.role, "role", role, "read-only, write or admin")
	cmd.Flags().DurationVar(&f.expires, "expires-in", 0, "how long the key is valid, as in 720h (default: for ever)")
	cmd.Flags().Uint64Var(&f.quota, "quota", 0, "units an hour where requests are charged to the key (default: what everybody has)")
	cmd.Flags().Uint64Var(&f.rate, "rate", 0, "requests a second over the whole cluster (default: no bound)")
}

func (f *keyFlags) expiresAt() (uint64, error) {
	switch {
	case f.expires < 0:
		return 0, &usageError{fmt.Errorf("--expires-in %v is in the past", f.expires)}
	case f.expires == 0:
		return 0, nil
	}
	return uint64(time.Now().Add(f.expires).Unix()), nil
}

func createKeyCommand(a *app) *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use: "create", Short: "Make an API key and print its secret, once", Args: cobra.NoArgs,
		Example: "  stemectl keys create --name ingest --role write --subjects Semaglutide",
		RunE: func(cmd *cobra.Command, _ []string) error {
			expires, err := f.expiresAt()
			if err != nil {
				return err
			}
			want := v1.KeyRequest{Name: f.name, ExpiresAt: expires, SubjectPrefix: f.subjects, RatePerSecond: f.rate, QuotaPerHour: f.quota}
			if err := want.Role.UnmarshalText([]byte(f.role)); err != nil {
				return &usageError{fmt.Errorf("--role: %w", err)}
			}
			if f.agent != "" {
				agent, err := assertion.ParseAgentID(f.agent)
				if err != nil {
					return &usageError{fmt.Errorf("--agent: %w", err)}
				}
				want.AgentID = &agent
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.KeySecret, error) { return c.CreateAPIKey(ctx, want) }, secretTable)
		},
	}
	f.add(cmd, "")
	cmd.Flags().StringVar(&f.agent, "agent", "", "agent id that must sign what the key writes")
	cmd.Flags().StringVar(&f.subjects, "subjects", "", "restrict the key to subjects that begin with this")
	return cmd
}

func secretTable(w io.Writer, k *v1.KeySecret) {
	row(w, "id", k.ID)
	row(w, "role", k.Role)
	row(w, "secret", k.Secret)
	row(w, "", "Keep it now: nobody can show it again.")
}

func updateKeyCommand(a *app) *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use: "update ID", Short: "Change the name, role, expiry, rate or quota of an API key", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var want v1.KeyUpdate
			given := cmd.Flags().Changed
			if given("name") {
				want.Name = &f.name
			}
			if given("role") {
				want.Role = new(assertion.Role)
				if err := want.Role.UnmarshalText([]byte(f.role)); err != nil {
					return &usageError{fmt.Errorf("--role: %w", err)}
				}
			}
			if given("expires-in") {
				at, err := f.expiresAt()
				if err != nil {
					return err
				}
				want.ExpiresAt = &at
			}
			if given("quota") {
				want.QuotaPerHour = &f.quota
			}
			if given("rate") {
				want.RatePerSecond = &f.rate
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.KeyResponse, error) {
				return c.UpdateAPIKey(ctx, args[0], want)
			}, keyTable)
		},
	}
	f.add(cmd, "")
	return cmd
}

func keyTable(w io.Writer, k *v1.KeyResponse) { keyRow(w, k.Key) }

func rotateKeyCommand(a *app) *cobra.Command {
	var overlap time.Duration
	cmd := &cobra.Command{
		Use: "rotate ID", Short: "Give an API key a new secret and print it, once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if overlap < 0 {
				return &usageError{fmt.Errorf("--overlap %v is negative", overlap)}
			}
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.KeySecret, error) {
				return c.RotateAPIKey(ctx, args[0], uint64(overlap/time.Second))
			}, secretTable)
		},
	}
	cmd.Flags().DurationVar(&overlap, "overlap", time.Hour, "how long the old secret is accepted beside the new one; 0 ends it at once, as after a leak. A second rotation ends the overlap of the first")
	return cmd
}

func revokeKeyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Revoke an API key, for good", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return fetch(a, cmd, func(ctx context.Context, c *client.Client) (*v1.KeyResponse, error) {
				return c.RevokeAPIKey(ctx, args[0])
			}, keyTable)
		},
	}
}
