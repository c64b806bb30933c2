package client

import (
	"context"
	"net/http"
	"net/url"

	v1 "github.com/stemedb/stemedb/api/v1"
)

// APIKeys returns the API keys of the cluster, without their secrets. This and
// the other calls about API keys need the role admin.
func (c *Client) APIKeys(ctx context.Context) (*v1.KeysResponse, error) {
	return get[v1.KeysResponse](ctx, c, "/v1/keys", nil)
}

// CreateAPIKey makes an API key. The answer holds the secret, this once. If the
// answer is lost it is not tried again: there may be a key that nobody holds.
func (c *Client) CreateAPIKey(ctx context.Context, k v1.KeyRequest) (*v1.KeySecret, error) {
	return exchange[v1.KeySecret](ctx, c, call{method: http.MethodPost, path: "/v1/keys", once: true}, k)
}

// UpdateAPIKey changes an API key.
func (c *Client) UpdateAPIKey(ctx context.Context, id string, k v1.KeyUpdate) (*v1.KeyResponse, error) {
	return sendJSON[v1.KeyResponse](ctx, c, http.MethodPatch, keyPath(id), k)
}

// RotateAPIKey gives an API key a new secret; the old one is accepted for the
// overlap, at most 30 days. A second rotation ends the overlap of the first. If
// the answer is lost it is not tried again: rotate once more.
func (c *Client) RotateAPIKey(ctx context.Context, id string, overlapSeconds uint64) (*v1.KeySecret, error) {
	return exchange[v1.KeySecret](ctx, c, call{method: http.MethodPost, path: keyPath(id) + "/rotate", once: true}, v1.KeyRotation{OverlapSeconds: overlapSeconds})
}

// RevokeAPIKey revokes an API key for good.
func (c *Client) RevokeAPIKey(ctx context.Context, id string) (*v1.KeyResponse, error) {
	return sendJSON[v1.KeyResponse](ctx, c, http.MethodDelete, keyPath(id), nil)
}

func keyPath(id string) string { return "/v1/keys/" + url.PathEscape(id) }
