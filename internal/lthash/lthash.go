// Package lthash is a set hash: LtHash16 with 1024 lanes over BLAKE3 (Bellare
// and Micciancio 1997; Lewi, Kim, Maykov and Weis, "Securing Update Propagation
// with Homomorphic Hashing", 2019). The state of a set is the lane-wise sum of
// its elements' expansions modulo 2^16, so that elements can be added and
// removed in any order, and states of parts be summed.
//
// It never decides what an element is: whoever uses it says which bytes stand
// for one.
package lthash

import (
	"encoding/binary"

	"github.com/zeebo/blake3"
)

// Bytes is the length of a state.
const Bytes = 2048

// State is that of a set; the zero value is that of the empty one.
type State [Bytes]byte

// Element is the expansion of one element.
type Element [Bytes]byte

// Add puts an element into the set, once more if it is there.
func (s *State) Add(e *Element) { s.AddState((*State)(e)) }

// AddState puts the elements of another set into the set.
func (s *State) AddState(o *State) {
	for i := 0; i < Bytes; i += 2 {
		binary.LittleEndian.PutUint16(s[i:], binary.LittleEndian.Uint16(s[i:])+binary.LittleEndian.Uint16(o[i:]))
	}
}

// Remove takes an element out of the set.
func (s *State) Remove(e *Element) {
	for i := 0; i < Bytes; i += 2 {
		binary.LittleEndian.PutUint16(s[i:], binary.LittleEndian.Uint16(s[i:])-binary.LittleEndian.Uint16(e[i:]))
	}
}

// Sum is the short form: BLAKE3-256 of the state.
func (s *State) Sum() [32]byte { return blake3.Sum256(s[:]) }

// Expander makes elements. It is kept from one to the next because its hashing
// memory costs more than the hashing. One goroutine uses it at a time.
type Expander struct {
	hasher  *blake3.Hasher
	element Element
}

// NewExpander returns an expander for one kind of element, which a context of
// BLAKE3's derive-key mode separates from others.
func NewExpander(context string) *Expander { return &Expander{hasher: blake3.NewDeriveKey(context)} }

// Expand returns the element that some bytes stand for: the first 2048 bytes of
// their hash. It holds until the next call.
func (x *Expander) Expand(b []byte) *Element {
	x.hasher.Reset()
	_, _ = x.hasher.Write(b) // a hash never fails
	_, _ = x.hasher.Digest().Read(x.element[:])
	return &x.element
}
