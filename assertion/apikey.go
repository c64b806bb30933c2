package assertion

import (
	"fmt"
	"strings"
)

// Role is what the holder of an API key may do. Each role includes those below
// it.
type Role uint8

// The roles.
const (
	RoleReadOnly Role = 1 + iota // ask
	RoleWrite                    // and state claims, votes, epochs, sources
	RoleAdmin                    // and everything else
)

func (r Role) String() string {
	names := [...]string{"", "read-only", "write", "admin"}
	if r > 0 && int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("Role(%d)", uint8(r))
}

// MarshalText returns the name of the role.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the name of a role. The error is an *Error with the code
// api_key_invalid.
func (r *Role) UnmarshalText(text []byte) error {
	for role := RoleReadOnly; role <= RoleAdmin; role++ {
		if role.String() == string(text) {
			*r = role
			return nil
		}
	}
	return &Error{Code: CodeAPIKeyInvalid, Field: "role", Detail: quoted(string(text)) + " is no role", Fix: "use read-only, write or admin"}
}

// APIKey is one state of an API key. The newest of an id counts; a state
// replaces the one whose revision is one less, and a revoked key has no later
// state. The secret is not in it, only its hash.
type APIKey struct {
	// ID names the key in requests, answers and logs: 1 to 32 characters of a-z,
	// 0-9 and -. It is no secret.
	ID string `json:"id"`
	// Revision is 1 for a new key and grows by one with each change.
	Revision uint64 `json:"revision"`
	// Name is for people, up to 128 bytes.
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Secret is the hash of the secret (package auth), Previous that of the one
	// before, which is accepted until PreviousUntil, unix seconds.
	Secret        Hash   `json:"-"`
	Previous      *Hash  `json:"-"`
	PreviousUntil uint64 `json:"previous_until,omitempty"`
	// CreatedAt is unix seconds; so is ExpiresAt, from which on the key is
	// refused; 0 is never.
	CreatedAt uint64 `json:"created_at"`
	ExpiresAt uint64 `json:"expires_at,omitempty"`
	// AgentID binds the key: what it writes must be signed by this agent.
	AgentID *AgentID `json:"agent_id,omitempty"`
	// SubjectPrefix restricts the key to subjects that begin with it.
	SubjectPrefix string `json:"subject_prefix,omitempty"`
	// RatePerSecond bounds the requests of the key over the whole cluster; 0 does
	// not.
	RatePerSecond uint64 `json:"rate_per_second,omitempty"`
	// QuotaPerHour is how many units the key may use in an hour where requests are
	// charged to it and not to an agent; 0 is what everybody has.
	QuotaPerHour uint64 `json:"quota_per_hour,omitempty"`
	Revoked      bool   `json:"revoked,omitempty"`
}

const (
	maxKeyID   = 32
	maxKeyName = 128
	// MaxKeyRate bounds APIKey.RatePerSecond.
	MaxKeyRate = 1_000_000
	// MaxKeyQuota bounds APIKey.QuotaPerHour.
	MaxKeyQuota = 1_000_000_000_000
)

// Kind implements Entry.
func (*APIKey) Kind() Kind { return KindAPIKey }

// Expired tells whether the key is good for nothing any more at a time, in unix
// seconds.
func (k *APIKey) Expired(now uint64) bool { return k.ExpiresAt != 0 && now >= k.ExpiresAt }

// Validate holds a key to the rules of its fields; the error is an *Error with
// the code api_key_invalid.
func (k *APIKey) Validate() error {
	refuse := func(field, detail, fix string) error {
		return &Error{Code: CodeAPIKeyInvalid, Field: field, Detail: detail, Fix: fix}
	}
	switch {
	case k.ID == "" || len(k.ID) > maxKeyID || strings.Trim(k.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return refuse("id", "not 1 to 32 characters of a-z, 0-9 and -", "leave it to the server")
	case k.Role < RoleReadOnly || k.Role > RoleAdmin:
		return refuse("role", "no role", "use read-only, write or admin")
	case len(k.Name) > maxKeyName:
		return refuse("name", fmt.Sprintf("%d bytes, more than %d", len(k.Name), maxKeyName), "shorten it")
	case k.RatePerSecond > MaxKeyRate:
		return refuse("rate_per_second", fmt.Sprintf("more than %d", MaxKeyRate), "leave it out for no limit")
	case k.QuotaPerHour > MaxKeyQuota:
		return refuse("quota_per_hour", fmt.Sprintf("more than %d", MaxKeyQuota), "leave it out for what everybody has")
	case k.AgentID != nil && !k.AgentID.Owned():
		return refuse("agent_id", "no public key that anyone owns", "give an agent's Ed25519 public key")
	case k.AgentID != nil && k.Role == RoleAdmin:
		return refuse("agent_id", "an admin key is not bound to an agent: its entries need no signature", "leave agent_id out, or use the role write")
	case k.SubjectPrefix != "" && k.Role == RoleAdmin:
		return refuse("subject_prefix", "an admin key has no scope: what it does bears on every subject", "leave subject_prefix out, or use the role write")
	}
	if k.Name != "" {
		if err := checkName(k.Name, CodeAPIKeyInvalid, "name"); err != nil {
			return err
		}
	}
	if k.SubjectPrefix != "" {
		return checkName(k.SubjectPrefix, CodeAPIKeyInvalid, "subject_prefix")
	}
	return nil
}

// MarshalBinary returns the record, the array of the fields in the order of
// the type; the error is always nil.
func (k *APIKey) MarshalBinary() ([]byte, error) {
	b := appendArray(beginRecord(192+len(k.Name)+len(k.SubjectPrefix)), 14)
	b = appendText(b, k.ID)
	b = appendUint(b, k.Revision)
	b = appendText(b, k.Name)
	b = appendUint(b, uint64(k.Role))
	b = appendBytes(b, k.Secret[:])
	b = appendOptionalHash(b, k.Previous)
	b = appendUint(b, k.PreviousUntil)
	b = appendUint(b, k.CreatedAt)
	b = appendUint(b, k.ExpiresAt)
	b = appendOptionalHash(b, (*Hash)(k.AgentID))
	b = appendText(b, k.SubjectPrefix)
	b = appendUint(b, k.RatePerSecond)
	b = appendUint(b, k.QuotaPerHour)
	return appendBool(b, k.Revoked), nil
}

// UnmarshalBinary reads a record and accepts only the bytes that MarshalBinary
// writes; the error is an *Error with the code record_invalid.
func (k *APIKey) UnmarshalBinary(b []byte) error {
	var d APIKey
	r, err := openRecord(b)
	if err != nil {
		return err
	}
	r.array(14, 14)
	d.ID = r.text()
	d.Revision = r.uint()
	d.Name = r.text()
	d.Role = Role(r.small(uint8(RoleAdmin)))
	r.fixed(d.Secret[:])
	d.Previous = r.optionalHash()
	d.PreviousUntil = r.uint()
	d.CreatedAt = r.uint()
	d.ExpiresAt = r.uint()
	d.AgentID = (*AgentID)(r.optionalHash())
	d.SubjectPrefix = r.text()
	d.RatePerSecond = r.uint()
	d.QuotaPerHour = r.uint()
	d.Revoked = r.bool()
	if err := r.done(); err != nil {
		return err
	}
	*k = d
	return nil
}
