package transport

import (
	"context"
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// Handler answers the other nodes. Its methods are called from many goroutines
// at once; each must return soon after its context ends. An error crosses the
// wire by the code of the Err… of this package that it wraps; any other one
// arrives as ErrOutcomeUnknown.
type Handler interface {
	// Hello says who this node is. It is answered to anyone who can connect, and
	// also serves to tell an HTTP client where the HTTP API is.
	Hello(ctx context.Context, req HelloRequest) (HelloResponse, error)
	// Forward writes entries that another node has verified; leader only.
	Forward(ctx context.Context, req ForwardRequest) (ForwardResponse, error)
	// ReadIndex returns a log index that a linearizable read must wait for;
	// leader only.
	ReadIndex(ctx context.Context, req ReadIndexRequest) (ReadIndexResponse, error)
	// Join adds a node to the cluster's configuration or corrects its entry;
	// leader only, idempotent.
	Join(ctx context.Context, req JoinRequest) (JoinResponse, error)
	// Member changes or tells of the membership: most actions leader only, those of
	// one node at that node; idempotent. A refusal with a reason is an answer, not
	// an error.
	Member(ctx context.Context, req MemberRequest) (MemberResponse, error)
	// Term returns the raft term that this node has entered by now.
	Term(ctx context.Context, req TermRequest) (TermResponse, error)
	// Grant promises this node to one proposer of a new cluster.
	Grant(ctx context.Context, req GrantRequest) (GrantResponse, error)
}

// Caller is on whose behalf a claim is written; it travels with a forwarded
// write. All of it is what the first node observed.
type Caller struct {
	RequestID  string `cbor:"1,keyasint,omitempty"`
	AgentID    string `cbor:"2,keyasint,omitempty"`
	RemoteAddr string `cbor:"3,keyasint,omitempty"`
	// TraceParent is the W3C traceparent of the caller's trace; empty if it has none
	// that is recorded.
	TraceParent string `cbor:"4,keyasint,omitempty"`
}

// HelloRequest introduces the asking node.
type HelloRequest struct {
	NodeID    string `cbor:"1,keyasint,omitempty"`
	ClusterID string `cbor:"2,keyasint,omitempty"` // empty: none yet
}

// HelloResponse introduces the answering node. Addresses are host:port.
type HelloResponse struct {
	NodeID        string `cbor:"1,keyasint"`
	ClusterID     string `cbor:"2,keyasint,omitempty"` // empty: none yet
	ClusterAddr   string `cbor:"3,keyasint,omitempty"`
	GossipAddr    string `cbor:"4,keyasint,omitempty"`
	HTTPAddr      string `cbor:"5,keyasint,omitempty"`
	HasState      bool   `cbor:"6,keyasint,omitempty"` // its raft log or a snapshot holds something
	RaftState     string `cbor:"7,keyasint,omitempty"` // "Follower", "Candidate", "Leader", …
	LeaderID      string `cbor:"8,keyasint,omitempty"`
	LeaderAddr    string `cbor:"9,keyasint,omitempty"`
	CommandFormat uint16 `cbor:"10,keyasint,omitempty"` // highest command format that it understands
	Version       string `cbor:"11,keyasint,omitempty"`
	NonVoter      bool   `cbor:"12,keyasint,omitempty"` // it never becomes a voter
	// ConfigIndex is the log index of the newest committed configuration of the
	// cluster that the answering node knows, 0 if it knows none; Member is whether
	// the asking node is in it.
	ConfigIndex uint64 `cbor:"13,keyasint,omitempty"`
	Member      bool   `cbor:"14,keyasint,omitempty"`
	// LastLog is the last index of its raft log; LeaderSilence is for how many
	// milliseconds it has heard nothing of the leader that it follows, 0 for a
	// leader.
	LastLog       uint64 `cbor:"15,keyasint,omitempty"`
	LeaderSilence uint32 `cbor:"16,keyasint,omitempty"`
}

// ForwardRequest carries encoded entries (assertion.AppendEntry) and on whose
// behalf they are written.
type ForwardRequest struct {
	ClusterID string   `cbor:"1,keyasint,omitempty"`
	Callers   []Caller `cbor:"2,keyasint,omitempty"`
	Records   [][]byte `cbor:"3,keyasint,omitempty"`
}

// ForwardResponse holds one result for each record, in order, and the highest
// log index at which one was decided.
type ForwardResponse struct {
	Index   uint64
	Results []ForwardResult
}

// ForwardResult is what became of one record. Outcome is an index.Outcome.
type ForwardResult struct {
	Outcome uint8
	Hash    assertion.Hash
}

// ReadIndexRequest asks for a read index of a cluster.
type ReadIndexRequest struct {
	ClusterID   string `cbor:"1,keyasint,omitempty"`
	TraceParent string `cbor:"2,keyasint,omitempty"` // as that of a Caller
	// NodeID is the asking node, and Term the raft term that it was in after the
	// reads began for which it asks. A node that does not say so has 0.
	NodeID string `cbor:"3,keyasint,omitempty"`
	Term   uint64 `cbor:"4,keyasint,omitempty"`
}

// ReadIndexResponse is a read index. The key 1 was reserved for a term; it stays
// unused.
type ReadIndexResponse struct {
	Index uint64 `cbor:"2,keyasint,omitempty"`
}

// TermRequest asks a node of a cluster, and no other at its address, for its term.
type TermRequest struct {
	ClusterID string `cbor:"1,keyasint,omitempty"`
	NodeID    string `cbor:"2,keyasint,omitempty"`
}

// TermResponse is the raft term that the node was in when it answered.
type TermResponse struct {
	Term uint64 `cbor:"1,keyasint,omitempty"`
}

// JoinRequest asks the leader to make a node a member at an address. A newcomer
// becomes a non-voter, a member keeps its suffrage.
type JoinRequest struct {
	NodeID        string `cbor:"1,keyasint"`
	ClusterAddr   string `cbor:"2,keyasint"`
	ClusterID     string `cbor:"3,keyasint,omitempty"` // empty: the node has no state of any
	CommandFormat uint16 `cbor:"6,keyasint,omitempty"`
}

// JoinResponse names the cluster and the log index that the new member has to
// reach.
type JoinResponse struct {
	ClusterID string `cbor:"1,keyasint,omitempty"`
	Index     uint64 `cbor:"2,keyasint,omitempty"`
}

// The actions of a MemberRequest. The first group is for the leader, the second
// for the node that is asked.
const (
	ActionJoin      = "join"
	ActionRemove    = "remove"
	ActionPromote   = "promote"
	ActionDemote    = "demote"
	ActionTransfer  = "transfer"
	ActionAutopilot = "autopilot" // changes nothing

	ActionSnapshot = "snapshot"
	ActionHold     = "hold"    // stay a non-voter until released
	ActionRelease  = "release" // may become a voter
)

// MemberRequest asks for an action on the membership.
type MemberRequest struct {
	ClusterID   string `cbor:"1,keyasint,omitempty"`
	Action      string `cbor:"2,keyasint"`
	NodeID      string `cbor:"3,keyasint,omitempty"` // the node that it is about
	ClusterAddr string `cbor:"4,keyasint,omitempty"` // of a node that joins
	Force       bool   `cbor:"5,keyasint,omitempty"` // skip the guards
	RequestID   string `cbor:"6,keyasint,omitempty"` // names the request in logs
}

// MemberResponse is what became of a MemberRequest.
type MemberResponse struct {
	NodeID  string `cbor:"1,keyasint,omitempty"`
	Index   uint64 `cbor:"2,keyasint,omitempty"`
	Changed bool   `cbor:"3,keyasint,omitempty"`
	// Refusal is the kind of a refusal, Detail its reason; nothing was done then.
	Refusal   string     `cbor:"4,keyasint,omitempty"`
	Detail    string     `cbor:"5,keyasint,omitempty"`
	Autopilot *Autopilot `cbor:"6,keyasint,omitempty"`
}

// Autopilot is the leader's judgement of the members. Durations are
// nanoseconds.
type Autopilot struct {
	Healthy          bool              `cbor:"1,keyasint,omitempty"`
	FailureTolerance int               `cbor:"2,keyasint,omitempty"`
	Leader           string            `cbor:"3,keyasint,omitempty"`
	Servers          []AutopilotServer `cbor:"4,keyasint,omitempty"`
	Stabilization    int64             `cbor:"5,keyasint,omitempty"`
	DeadAfter        int64             `cbor:"6,keyasint,omitempty"`
	MinQuorum        int               `cbor:"7,keyasint,omitempty"`
}

// AutopilotServer is one member as the leader judges it.
type AutopilotServer struct {
	NodeID      string `cbor:"1,keyasint"`
	Suffrage    string `cbor:"2,keyasint,omitempty"`
	Status      string `cbor:"3,keyasint,omitempty"`
	Healthy     bool   `cbor:"4,keyasint,omitempty"`
	NonVoter    bool   `cbor:"5,keyasint,omitempty"`
	StableSince int64  `cbor:"6,keyasint,omitempty"` // unix seconds
	LastContact int64  `cbor:"7,keyasint,omitempty"`
	LastIndex   uint64 `cbor:"8,keyasint,omitempty"`
}

// GrantRequest asks a stateless node, by name, for its promise to a proposer.
type GrantRequest struct {
	Proposer string `cbor:"1,keyasint"`
	Member   string `cbor:"2,keyasint"`
}

// GrantResponse is an empty yes; a no is an error.
type GrantResponse struct{}

// forwardResults is the wire form of ForwardResponse: hashes in one string,
// which is smaller and much faster to read than one CBOR item each.
type forwardResults struct {
	Index    uint64 `cbor:"1,keyasint,omitempty"`
	Outcomes []byte `cbor:"2,keyasint,omitempty"`
	Hashes   []byte `cbor:"3,keyasint,omitempty"`
}

func packResults(r ForwardResponse) forwardResults {
	w := forwardResults{
		Index: r.Index, Outcomes: make([]byte, len(r.Results)), Hashes: make([]byte, 0, len(r.Results)*len(assertion.Hash{})),
	}
	for i := range r.Results {
		w.Outcomes[i] = r.Results[i].Outcome
		w.Hashes = append(w.Hashes, r.Results[i].Hash[:]...)
	}
	return w
}

func (w forwardResults) unpack() (ForwardResponse, error) {
	if len(w.Hashes) != len(w.Outcomes)*len(assertion.Hash{}) {
		return ForwardResponse{}, fmt.Errorf("%w: %d outcomes come with %d bytes of hashes", ErrProtocol, len(w.Outcomes), len(w.Hashes))
	}
	r := ForwardResponse{Index: w.Index, Results: make([]ForwardResult, len(w.Outcomes))}
	for i := range r.Results {
		r.Results[i].Outcome = w.Outcomes[i]
		copy(r.Results[i].Hash[:], w.Hashes[i*len(assertion.Hash{}):])
	}
	return r, nil
}
