package v1

import "github.com/stemedb/stemedb/assertion"

// KeyRequest is the body of POST /v1/keys.
type KeyRequest struct {
	// Name is for people, up to 128 bytes.
	Name string         `json:"name,omitempty"`
	Role assertion.Role `json:"role"`
	// ExpiresAt is unix seconds; 0 or absent is never.
	ExpiresAt uint64 `json:"expires_at,omitempty"`
	// AgentID binds the key: what it writes must be signed by this agent.
	AgentID *assertion.AgentID `json:"agent_id,omitempty"`
	// SubjectPrefix restricts the key to subjects that begin with it.
	SubjectPrefix string `json:"subject_prefix,omitempty"`
	// RatePerSecond bounds the key's requests over the whole cluster; 0 does not.
	RatePerSecond uint64 `json:"rate_per_second,omitempty"`
	// QuotaPerHour is how many units the key may use in an hour where requests are
	// charged to it and not to an agent; 0 is what everybody has.
	QuotaPerHour uint64 `json:"quota_per_hour,omitempty"`
}

// KeyUpdate is the body of PATCH /v1/keys/{id}. What is absent stays.
type KeyUpdate struct {
	Name          *string         `json:"name,omitempty"`
	Role          *assertion.Role `json:"role,omitempty"`
	ExpiresAt     *uint64         `json:"expires_at,omitempty"`
	RatePerSecond *uint64         `json:"rate_per_second,omitempty"`
	QuotaPerHour  *uint64         `json:"quota_per_hour,omitempty"`
}

// KeyRotation is the body of POST /v1/keys/{id}/rotate.
type KeyRotation struct {
	// OverlapSeconds is how long the old secret is accepted beside the new one, at
	// most 30 days. 0 ends it at once.
	OverlapSeconds uint64 `json:"overlap_seconds"`
}

// MaxKeyOverlap bounds KeyRotation.OverlapSeconds.
const MaxKeyOverlap = 30 * 24 * 3600

// Key is an API key without its secret.
type Key struct {
	assertion.APIKey
	// LastUsedAt is when a node last saw the key, unix seconds, as far as they have
	// told each other; 0 if none has since it started.
	LastUsedAt uint64 `json:"last_used_at,omitempty"`
}

// KeySecret answers what makes a secret. It is shown this once.
type KeySecret struct {
	Key
	Secret string `json:"secret"`
	// Index is the log index of the change.
	Index uint64 `json:"index"`
}

// KeyResponse answers a change that makes no secret.
type KeyResponse struct {
	Key
	Index uint64 `json:"index"`
}

// KeysResponse answers GET /v1/keys.
type KeysResponse struct {
	// Keys are in the order of their ids; revoked ones are among them.
	Keys  []Key  `json:"keys"`
	Index uint64 `json:"index"`
}
