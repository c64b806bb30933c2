package client

import (
	"context"
	"net/http"

	v1 "github.com/stemedb/stemedb/api/v1"
)

// ChangeCluster does an action on the membership: join, remove, promote, demote,
// transfer or snapshot. Repeating one is safe. This and Autopilot need the role
// admin.
func (c *Client) ChangeCluster(ctx context.Context, action string, change v1.ClusterChange) (*v1.ClusterChanged, error) {
	return sendJSON[v1.ClusterChanged](ctx, c, http.MethodPost, "/v1/cluster/"+action, change)
}

// Settings asks one particular node for its effective settings; secrets are
// masked. It needs the role admin.
func (c *Client) Settings(ctx context.Context, endpoint int) (*v1.SettingsResponse, error) {
	return ask[v1.SettingsResponse](ctx, c, endpoint, "/v1/admin/settings", nil)
}

// Autopilot is the leader's judgement of the members.
func (c *Client) Autopilot(ctx context.Context) (*v1.Autopilot, error) {
	return get[v1.Autopilot](ctx, c, "/v1/cluster/autopilot", nil)
}
