package client

import (
	"context"
	"net/http"

	v1 "github.com/stemedb/stemedb/api/v1"
)

// LogLevel is the least severe level that the node which answers logs. This and
// the change need the role admin.
func (c *Client) LogLevel(ctx context.Context) (*v1.LogLevel, error) {
	return get[v1.LogLevel](ctx, c, "/v1/admin/log_level", nil)
}

// SetLogLevel changes it, to debug, info, warn or error, until the node starts
// again.
func (c *Client) SetLogLevel(ctx context.Context, level string) (*v1.LogLevel, error) {
	return sendJSON[v1.LogLevel](ctx, c, http.MethodPost, "/v1/admin/log_level", v1.LogLevel{Level: level})
}
