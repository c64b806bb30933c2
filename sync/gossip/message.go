package gossip

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/memberlist"

	"github.com/stemedb/stemedb/assertion"
)

// Meta is what a node says of itself. Field numbers are part of the protocol.
type Meta struct {
	NodeID        string `cbor:"1,keyasint"`
	ClusterID     string `cbor:"2,keyasint,omitempty"` // "" before the node belongs to a cluster
	ClusterAddr   string `cbor:"3,keyasint"`           // node-to-node address
	HTTPAddr      string `cbor:"4,keyasint,omitempty"`
	Version       string `cbor:"5,keyasint,omitempty"`
	CommandFormat uint16 `cbor:"6,keyasint"`           // highest command format that the node understands
	NonVoter      bool   `cbor:"7,keyasint,omitempty"` // the node is not to become a voter
	Disk          uint8  `cbor:"8,keyasint,omitempty"` // the state of the node's disk, one of Disk…
}

// The states of a node's disk. Their numbers never change their meaning; an
// older node knows only the first.
const (
	DiskOK          uint8 = iota
	DiskLow               // less is free than the node wants for writes
	DiskUnavailable       // the disk hangs or fails
)

func (m Meta) encode() ([]byte, error) {
	raw, err := cbor.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode gossip metadata: %w", err)
	}
	if len(raw) > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("gossip metadata has %d bytes, %d are possible: use shorter names and addresses", len(raw), memberlist.MetaMaxSize)
	}
	return raw, nil
}

func decodeMeta(raw []byte) (m Meta, err error) {
	if err := cbor.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("gossip metadata that cannot be read: %w", err)
	}
	return m, nil
}

// Report is how far a node has come.
type Report struct {
	NodeID       string         `cbor:"1,keyasint"`
	Index        uint64         `cbor:"2,keyasint"` // applied log index
	Term         uint64         `cbor:"3,keyasint"`
	Digest       assertion.Hash `cbor:"4,keyasint"` // of the state at Index
	CommitIndex  uint64         `cbor:"5,keyasint"` // highest commit index that the node knows
	SentAtMillis int64          `cbor:"6,keyasint"` // the sender's clock, unix milliseconds
}

// The first byte of a user message says what follows.
const (
	reportMessage  = 1 // a Report
	goodbyeMessage = 2 // the name of the sender, who is about to leave
	sharedMessage  = 3 // the sender's cluster and parts of what is shared
)

func (r Report) encode() ([]byte, error) {
	raw, err := cbor.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode a report: %w", err)
	}
	return append([]byte{reportMessage}, raw...), nil
}

func decodeReport(message []byte) (r Report, err error) {
	if len(message) == 0 || message[0] != reportMessage {
		return r, fmt.Errorf("a gossip message of an unknown kind")
	}
	var raw struct {
		Report
		Digest []byte `cbor:"4,keyasint"` // an array would take a digest of any length
	}
	if err := cbor.Unmarshal(message[1:], &raw); err != nil {
		return r, fmt.Errorf("a report that cannot be read: %w", err)
	}
	if raw.NodeID == "" {
		return r, fmt.Errorf("a report without a node")
	}
	if len(raw.Digest) != len(r.Digest) {
		return r, fmt.Errorf("a report of %q with a digest of %d bytes: %d are wanted", raw.NodeID, len(raw.Digest), len(r.Digest))
	}
	r = raw.Report
	copy(r.Digest[:], raw.Digest)
	return r, nil
}

// State is how a member does.
type State string

// The states. A node that said goodbye is Left, one that stopped answering is
// Dead.
const (
	Alive State = "alive"
	Dead  State = "dead"
	Left  State = "left"
)

// Member is a node as the gossip sees it.
type Member struct {
	Meta
	GossipAddr string
	State      State
	Since      time.Time // when this node saw the state begin
}

// node is the member as memberlist is told to send to it. memberlist's own
// nodes change under a lock that others cannot take.
func (m Member) node() *memberlist.Node {
	at, _ := netip.ParseAddrPort(m.GossipAddr) // it was made from an IP and a port
	return &memberlist.Node{Name: m.NodeID, Addr: at.Addr().AsSlice(), Port: at.Port()}
}
