package auth

import (
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// The reasons why a secret identifies nobody. Revoked and expired are told
// only to who holds the right secret.
var (
	ErrUnknownKey = errors.New("the API key is not one of this cluster")
	ErrRevokedKey = errors.New("the API key was revoked")
	ErrExpiredKey = errors.New("the API key has expired")
)

// Keyring identifies requests by the keys of one state of the cluster. It does
// not change.
type Keyring struct{ keys map[string]*assertion.APIKey }

// NewKeyring makes the ring of the newest states of all keys.
func NewKeyring(keys []*assertion.APIKey) *Keyring {
	r := &Keyring{keys: make(map[string]*assertion.APIKey, len(keys))}
	for _, k := range keys {
		r.keys[k.ID] = k
	}
	return r
}

// Identify returns the key that a secret belongs to. now is unix seconds.
//
// Errors: ErrUnknownKey, ErrRevokedKey, ErrExpiredKey.
func (r *Keyring) Identify(secret string, now uint64) (*assertion.APIKey, error) {
	if len(secret) > maxSecret {
		return nil, ErrUnknownKey
	}
	presented := HashSecret(secret)
	key, known := r.keys[idOf(secret)]
	if !known {
		key = new(assertion.APIKey) // compared all the same: what it costs tells nothing
	}
	match := subtle.ConstantTimeCompare(presented[:], key.Secret[:])
	var previous assertion.Hash
	if key.Previous != nil {
		previous = *key.Previous
	}
	old := subtle.ConstantTimeCompare(presented[:], previous[:])
	switch {
	case !known || match|old == 0:
		return nil, ErrUnknownKey
	case key.Revoked:
		return nil, fmt.Errorf("%w: %s", ErrRevokedKey, key.ID)
	case match == 0 && now >= key.PreviousUntil:
		return nil, fmt.Errorf("%w: the secret of %s was replaced by a newer one", ErrExpiredKey, key.ID)
	case key.Expired(now):
		return nil, fmt.Errorf("%w: %s", ErrExpiredKey, key.ID)
	}
	return key, nil
}
