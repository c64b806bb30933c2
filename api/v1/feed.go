package v1

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stemedb/stemedb/assertion"
)

// FeedResponse answers GET /v1/feed.
type FeedResponse struct {
	Events []Event `json:"events"`
	// Next is the position after which the feed continues: send it as after. It
	// is there at the end of the feed too, for asking again later.
	Next string `json:"next"`
	// Index is the log index of the state that answered.
	Index uint64 `json:"index"`
}

// Event is one change, in the order of the log. Exactly one of the pointers is
// set, as Kind says.
type Event struct {
	// Position is the place in the log: INDEX.OFFSET.
	Position    string `json:"position"`
	Kind        string `json:"kind"`
	CommittedAt uint64 `json:"committed_at"`
	// Authority is the id of the admin API key by which an entry that is no claim
	// decides on what its signer does not own, or nobody does.
	Authority string `json:"authority,omitempty"`

	// Assertion is a new claim, or for a cosignature the claim with its new
	// signatures only.
	Assertion    *Assertion              `json:"assertion,omitempty"`
	Vote         *assertion.Vote         `json:"vote,omitempty"`
	Epoch        *assertion.Epoch        `json:"epoch,omitempty"`
	Supersession *assertion.Supersession `json:"supersession,omitempty"`
	Endorsement  *assertion.Endorsement  `json:"endorsement,omitempty"`
	// Source is without its content.
	Source       *assertion.Source       `json:"source,omitempty"`
	SourceStatus *assertion.SourceStatus `json:"source_status,omitempty"`
	Alias        *assertion.Alias        `json:"alias,omitempty"`
	Label        *assertion.Label        `json:"label,omitempty"`
	Seeds        *assertion.Seeds        `json:"seeds,omitempty"`
	NodeKey      *assertion.NodeKey      `json:"node_key,omitempty"`
	Decision     *assertion.Decision     `json:"decision,omitempty"`
	Computed     *ComputedRef            `json:"computed,omitempty"`
}

// ComputedRef names what a leader has computed in the background.
type ComputedRef struct {
	// Hash is what answers cite.
	Hash assertion.Hash `json:"hash"`
	// Index is the log index of the state that it was computed from.
	Index uint64 `json:"index"`
	Bytes int    `json:"bytes"`
}

// FormatPosition writes a place in the log.
func FormatPosition(p assertion.Position) string { return fmt.Sprintf("%d.%d", p.Index, p.Offset) }

// ParsePosition reads INDEX.OFFSET, or INDEX alone for everything up to and
// with that log index.
func ParsePosition(s string) (p assertion.Position, err error) {
	index, offset, exact := strings.Cut(s, ".")
	if p.Index, err = strconv.ParseUint(index, 10, 64); err != nil {
		return p, fmt.Errorf("%.40q is no position in the log: give INDEX.OFFSET or INDEX", s)
	}
	p.Offset = 1<<16 - 1
	if exact {
		n, err := strconv.ParseUint(offset, 10, 16)
		if err != nil {
			return p, fmt.Errorf("%.40q is no position in the log: give INDEX.OFFSET or INDEX", s)
		}
		p.Offset = uint16(n)
	}
	return p, nil
}

// The names of the server-sent events of GET /v1/watch. Data is an Event, a
// ResolutionChange or a Problem.
const (
	WatchEvent      = "change"
	WatchResolution = "resolution"
	WatchProblem    = "problem"
)

// ResolutionChange is the data of a resolution event: the answer to a watched
// question has changed.
type ResolutionChange struct {
	// Position is the end of the log index of the state that answered: all that
	// the answer rests on lies before it.
	Position  string `json:"position"`
	Subject   string `json:"subject"`
	Predicate string `json:"predicate"`
	// First says that this is the answer that held when the connection began,
	// after a reconnect too: the node does not know what the client saw before.
	First bool   `json:"first,omitempty"`
	Lens  string `json:"lens"`
	// Before is the last answer told on this connection; absent on the first.
	Before *Outcome `json:"before,omitempty"`
	After  Outcome  `json:"after"`
}
