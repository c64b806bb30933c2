package auth

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
)

const (
	// secretPrefix begins every secret that this package makes, so that scanners
	// for leaked secrets can find one.
	secretPrefix = "stemedb_"
	// secretBytes is the entropy of a secret, 256 bits.
	secretBytes = 32
	// hashContext derives the hash of secrets (BLAKE3, derive-key mode).
	hashContext = "stemedb 2026 api key v1"
	// maxSecret bounds a presented secret.
	maxSecret = 256

	// RootID is the id of the key that STEMEDB_ROOT_API_KEY makes.
	RootID = "root"

	// The least that a root key, which an operator makes up, must have.
	minRootLength = 32
	minRootBits   = 112
)

// ErrWeakSecret means that a root key could be guessed.
var ErrWeakSecret = errors.New("the key is too weak")

// NewID makes the id of a new key, 64 random bits in hex. Its error is that of
// the system's random number generator.
func NewID() (string, error) {
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// NewSecret makes a secret of 256 random bits for the key of an id:
// stemedb_<id>_<64 hex digits>. It is shown once; HashSecret of it is what is
// stored.
func NewSecret(id string) (string, error) {
	var random [secretBytes]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("make a secret: %w", err)
	}
	return secretPrefix + id + "_" + hex.EncodeToString(random[:]), nil
}

// HashSecret is what is stored of a secret: BLAKE3-256 in derive-key mode over
// all its bytes. A slow hash would protect guessable secrets; these have 256
// random bits, or are refused by CheckRootSecret.
func HashSecret(secret string) assertion.Hash {
	h, ok := hashers.Get().(*blake3.Hasher)
	if !ok {
		h = blake3.NewDeriveKey(hashContext)
	}
	h.Reset()
	_, _ = h.WriteString(secret) // a hash takes everything
	var sum assertion.Hash
	h.Sum(sum[:0])
	h.Reset() // the secret is not to stay in it
	hashers.Put(h)
	return sum
}

// hashers keeps hashing memory, which costs more than hashing a secret.
var hashers sync.Pool

// idOf is the id of the key that a secret belongs to. One that this package did
// not make can only be that of the root key.
func idOf(secret string) string {
	rest, made := strings.CutPrefix(secret, secretPrefix)
	if id, _, ok := strings.Cut(rest, "_"); made && ok {
		return id
	}
	return RootID
}

// CheckRootSecret refuses a root key that could be guessed: fewer than 32
// characters, others than visible ASCII, or less than 112 bits by the entropy
// of its characters (Shannon, per character, times the length). The error wraps
// ErrWeakSecret and does not repeat the key.
func CheckRootSecret(secret string) error {
	const fix = "`openssl rand -hex 32` makes a good one"
	if len(secret) < minRootLength || len(secret) > maxSecret {
		return fmt.Errorf("%w: %d characters, not %d to %d: %s", ErrWeakSecret, len(secret), minRootLength, maxSecret, fix)
	}
	var count [128]int
	for i := range len(secret) {
		c := secret[i]
		if c <= ' ' || c >= 0x7f {
			return fmt.Errorf("%w: character %d is a space, a control character or not ASCII: %s", ErrWeakSecret, i+1, fix)
		}
		count[c]++
	}
	if strings.HasPrefix(secret, secretPrefix) && idOf(secret) != RootID {
		return fmt.Errorf("%w: it looks like the secret of another key: %s", ErrWeakSecret, fix)
	}
	for length := 1; length <= len(secret)/2; length++ {
		if strings.Repeat(secret[:length], len(secret)/length+1)[:len(secret)] == secret {
			return fmt.Errorf("%w: it repeats its first %d characters: %s", ErrWeakSecret, length, fix)
		}
	}
	bits := 0.0
	for _, n := range count {
		if n > 0 {
			bits -= float64(n) * math.Log2(float64(n)/float64(len(secret)))
		}
	}
	if bits < minRootBits {
		return fmt.Errorf("%w: its characters have %.0f bits of entropy, fewer than %d: %s", ErrWeakSecret, bits, minRootBits, fix)
	}
	return nil
}
