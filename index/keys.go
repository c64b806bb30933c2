package index

import (
	"encoding/binary"
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// The keyspace: one prefix byte a space. Subjects and predicates hold no
// control characters, so a zero byte ends them. An inverted timestamp or
// sequence sorts the newest first.
const (
	spaceHash      = 'h' // hash → sequence
	spaceClaim     = 'c' // sequence → stored claim, in log order
	spaceQuestion  = 't' // subject 0 predicate 0 ^time ^sequence
	spaceSubject   = 's' // subject 0 ^time ^sequence
	spacePredicate = 'p' // predicate 0 ^time ^sequence
	spaceAgent     = 'a' // agent ^time ^sequence, one per signer
	spaceSource    = 'o' // source ^time ^sequence
	spaceAll       = 'g' // ^time ^sequence
	spaceChild     = 'k' // parent's hash, sequence of the child
	spaceDerived   = 'j' // hash in derived_from, sequence of the claim that names it
	spaceCurrent   = 'w' // question, source, agent → what the voice's current claim says (voices.go)
	spaceVoice     = 'v' // question, source, agent, ^time ^sequence: the voice's visible claims; the current one may be missing
	spaceMember    = 'm' // question, value, tier, ^time ^sequence, agent, source → contribution
	spaceBucket    = 'b' // question, value → bucket
	spaceValue     = 'y' // question, value → canonical object
	spaceEntry     = 'r' // sequence → entry that is no claim, in log order
	spaceLookup    = 'i' // what an entry is about (lookups.go) → its sequence
	spaceContested = 'n' // ^conflict score, question: questions of several values
	spaceDispute   = 'q' // question → its place in spaceContested
	spaceWork      = 'u' // time, agent, nonce of a proof of work → tag of the request that used it
	spaceMeta      = 'x' // name → singleton
)

var (
	keyApplied   = []byte{spaceMeta, 'a'}
	keyClusterID = []byte{spaceMeta, 'i'}
	keyCount     = []byte{spaceMeta, 'n'}
	keyDigest    = []byte{spaceMeta, 'd'}
	keyFormat    = []byte{spaceMeta, 'f'}
	keyLayout    = []byte{spaceMeta, 'l'}
	keyPending   = []byte{spaceMeta, 'p'}
	// keyTrust is the place in the log of the last entry that trust rests on.
	keyTrust = []byte{spaceMeta, 't'}
)

// layoutVersion is the version of this keyspace and of the values in it, from before
// the first release. In layouts 1 and 2 no current claim is missing in spaceVoice;
// layout 1 holds the order alone in spaceCurrent. Both are read, and what is written
// to them is of this one. A layout that a released version does not read has to wait
// for a command format that it does not know: until then nodes may go back to it.
const (
	layoutVersion = 3
	oldestLayout  = 1
)

const (
	seqLen   = 10
	orderLen = 8 + seqLen // an inverted timestamp and sequence
)

// seq is a claim's place in the log; it orders claims by commit.
type seq [seqLen]byte

func newSeq(p assertion.Position) (s seq) {
	binary.BigEndian.PutUint64(s[:], p.Index)
	binary.BigEndian.PutUint16(s[8:], p.Offset)
	return s
}

func (s seq) position() assertion.Position {
	return assertion.Position{Index: binary.BigEndian.Uint64(s[:]), Offset: binary.BigEndian.Uint16(s[8:])}
}

// order is the sort key "newest first": timestamp, then sequence, inverted.
type order [orderLen]byte

func newOrder(timestamp uint64, s seq) (o order) {
	binary.BigEndian.PutUint64(o[:], ^timestamp)
	for i, b := range s {
		o[8+i] = ^b
	}
	return o
}

func (o order) timestamp() uint64 { return ^binary.BigEndian.Uint64(o[:]) }

func (o order) seq() (s seq) {
	for i := range s {
		s[i] = ^o[8+i]
	}
	return s
}

// orderAtEnd reads the order that ends a key.
func orderAtEnd(key []byte) (o order, err error) {
	if len(key) < orderLen+1 {
		return o, fmt.Errorf("%w: key %x is too short", ErrCorrupt, key)
	}
	copy(o[:], key[len(key)-orderLen:])
	return o, nil
}

func key(space byte, parts ...[]byte) []byte {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	k := append(make([]byte, 0, n), space)
	for _, p := range parts {
		k = append(k, p...)
	}
	return k
}

var zero = []byte{0}

func hashKey(h assertion.Hash) []byte         { return key(spaceHash, h[:]) }
func claimKey(s seq) []byte                   { return key(spaceClaim, s[:]) }
func childKey(p assertion.Hash, s seq) []byte { return key(spaceChild, p[:], s[:]) }
func derivedKey(from assertion.Hash, s seq) []byte {
	return key(spaceDerived, from[:], s[:])
}
func namePrefix(space byte, name string) []byte {
	return key(space, []byte(name), zero)
}

// question is the part of a key that names a subject and a predicate.
func question(subject, predicate string) []byte {
	q := make([]byte, 0, len(subject)+len(predicate)+2)
	q = append(append(q, subject...), 0)
	return append(append(q, predicate...), 0)
}

// upperBound is the smallest key after every key with the prefix.
func upperBound(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
