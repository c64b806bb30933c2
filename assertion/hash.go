package assertion

import (
	"fmt"
	"sync"

	"github.com/zeebo/blake3"
)

// Hash is a BLAKE3-256 hash: the identity of an assertion, a vote, an epoch, a
// supersession, a source or an object value. Its text form is 64 lower-case
// hexadecimal digits.
type Hash [32]byte

// AgentID is an Ed25519 public key, the identity of a signer. Its text form is
// 64 lower-case hexadecimal digits.
type AgentID [32]byte

// VisualHash is a perceptual hash of an image that shows the claim. Its text
// form is 16 lower-case hexadecimal digits.
type VisualHash [8]byte

// SignatureBytes is an Ed25519 signature, R then S. Its text form is 128
// lower-case hexadecimal digits.
type SignatureBytes [64]byte

// ParseHash reads the text form of a Hash; the error is an *Error with the code
// hash_invalid.
func ParseHash(s string) (Hash, error) {
	var h Hash
	return h, decodeHex(h[:], s)
}

// ParseAgentID reads the text form of an AgentID; the error is an *Error with
// the code hash_invalid. Whether the bytes are a point on the curve is known
// only when a signature is verified.
func ParseAgentID(s string) (AgentID, error) {
	var a AgentID
	return a, decodeHex(a[:], s)
}

func (h Hash) String() string { return encodeHex(h[:]) }

// IsZero reports whether every byte is zero, which no BLAKE3 hash of a known
// input is.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText returns the text form.
func (h Hash) MarshalText() ([]byte, error) { return appendHex(nil, h[:]), nil }

// UnmarshalText reads the text form.
func (h *Hash) UnmarshalText(text []byte) error { return decodeHex(h[:], string(text)) }

func (a AgentID) String() string { return encodeHex(a[:]) }

// IsZero reports whether every byte is zero.
func (a AgentID) IsZero() bool { return a == AgentID{} }

// MarshalText returns the text form.
func (a AgentID) MarshalText() ([]byte, error) { return appendHex(nil, a[:]), nil }

// UnmarshalText reads the text form.
func (a *AgentID) UnmarshalText(text []byte) error { return decodeHex(a[:], string(text)) }

func (v VisualHash) String() string { return encodeHex(v[:]) }

// MarshalText returns the text form.
func (v VisualHash) MarshalText() ([]byte, error) { return appendHex(nil, v[:]), nil }

// UnmarshalText reads the text form.
func (v *VisualHash) UnmarshalText(text []byte) error { return decodeHex(v[:], string(text)) }

func (s SignatureBytes) String() string { return encodeHex(s[:]) }

// MarshalText returns the text form.
func (s SignatureBytes) MarshalText() ([]byte, error) { return appendHex(nil, s[:]), nil }

// UnmarshalText reads the text form.
func (s *SignatureBytes) UnmarshalText(text []byte) error { return decodeHex(s[:], string(text)) }

// contentHashers keeps hashers by context: making one costs 11 kB of memory and
// more time than hashing an ordinary claim.
var contentHashers sync.Map // string → *sync.Pool of *blake3.Hasher

// hashContent hashes under a context, with BLAKE3 in derive-key mode. Hashes made
// under different contexts never meet, so a signature over one kind of content can
// never be replayed as a signature over another.
func hashContent(context string, content []byte) (h Hash) {
	held, ok := contentHashers.Load(context)
	if !ok {
		held, _ = contentHashers.LoadOrStore(context, &sync.Pool{New: func() any { return blake3.NewDeriveKey(context) }})
	}
	pool := held.(*sync.Pool)             //nolint:forcetypeassert // contentHashers holds nothing else
	hasher := pool.Get().(*blake3.Hasher) //nolint:forcetypeassert // nor does the pool
	defer pool.Put(hasher)
	hasher.Reset()
	_, _ = hasher.Write(content) // a hash never fails
	hasher.Sum(h[:0])
	return h
}

const lowerHex = "0123456789abcdef"

func appendHex(dst, src []byte) []byte {
	for _, c := range src {
		dst = append(dst, lowerHex[c>>4], lowerHex[c&15])
	}
	return dst
}

func encodeHex(src []byte) string {
	return string(appendHex(make([]byte, 0, 2*len(src)), src))
}

// decodeHex fills dst from exactly twice as many lower-case digits. Upper case
// is refused so that a value has one text form: text is compared, sorted and
// used in URLs.
func decodeHex(dst []byte, s string) error {
	if len(s) != 2*len(dst) {
		return &Error{Code: CodeHashInvalid,
			Detail: fmt.Sprintf("%d characters where %d hexadecimal digits are wanted", len(s), 2*len(dst)),
			Fix:    fmt.Sprintf("send %d bytes as lower-case hexadecimal", len(dst))}
	}
	for i := range dst {
		hi, lo := hexDigit(s[2*i]), hexDigit(s[2*i+1])
		if hi|lo > 15 {
			return &Error{Code: CodeHashInvalid,
				Detail: fmt.Sprintf("the characters %q at position %d are no lower-case hexadecimal digits", s[2*i:2*i+2], 2*i),
				Fix:    "use the digits 0-9 and a-f only"}
		}
		dst[i] = hi<<4 | lo
	}
	return nil
}

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}
