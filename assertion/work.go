package assertion

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"

	"github.com/zeebo/blake3"
)

const (
	// WorkWindowSeconds is how far the timestamp of a proof of work may lie from
	// the time at which the cluster takes it in, before or after.
	WorkWindowSeconds = 300
	// MaxWorkBits bounds the leading zero bits that a proof of work may be asked
	// for.
	MaxWorkBits = 40
)

// Work is a proof of work: BLAKE3-256 over nonce ‖ agent ‖ timestamp, the
// numbers as 8 bytes, big-endian, begins with so many zero bits. One proof
// covers the entries of one request, and counts once in the whole cluster.
type Work struct {
	Agent AgentID
	Nonce uint64
	// Timestamp is when the work was begun, unix seconds.
	Timestamp uint64
}

// Bits is the number of leading zero bits that the proof has.
func (w Work) Bits() int {
	var b [48]byte
	binary.BigEndian.PutUint64(b[:], w.Nonce)
	copy(b[8:], w.Agent[:])
	binary.BigEndian.PutUint64(b[40:], w.Timestamp)
	sum := blake3.Sum256(b[:])
	zeros := 0
	for _, x := range sum {
		zeros += bits.LeadingZeros8(x)
		if x != 0 {
			break
		}
	}
	return zeros
}

// Timely reports whether the proof's timestamp is within WorkWindowSeconds of
// a time, unix seconds.
func (w Work) Timely(now uint64) bool {
	return w.Timestamp+WorkWindowSeconds >= now && w.Timestamp <= now+WorkWindowSeconds
}

// SolveWork finds a proof with at least so many leading zero bits, which takes
// 2^bits attempts on average, on one processor. The error is the context's, or
// that more than MaxWorkBits were asked for.
func SolveWork(ctx context.Context, agent AgentID, timestamp uint64, leading int) (Work, error) {
	if leading > MaxWorkBits {
		return Work{}, fmt.Errorf("a proof of work of %d bits: at most %d are ever asked for", leading, MaxWorkBits)
	}
	w := Work{Agent: agent, Nonce: rand.Uint64(), Timestamp: timestamp}
	for i := 0; ; i++ {
		if w.Bits() >= leading {
			return w, nil
		}
		if i%4096 == 0 && ctx.Err() != nil {
			return Work{}, fmt.Errorf("prove work: %w", context.Cause(ctx))
		}
		w.Nonce++
	}
}
