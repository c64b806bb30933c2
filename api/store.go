package api

import (
	"context"
	"errors"
	"time"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// Store is the node behind the API.
type Store interface {
	// Assert makes claims durable and returns what became of each, in order. The
	// claims are normalised, valid and verified.
	//
	// Errors: ErrNoLeader, ErrOverloaded, ErrStopping, ErrIncompatible (nothing
	// was stored); ErrOutcomeUnknown (any of them may have been).
	Assert(ctx context.Context, caller Caller, claims []*assertion.Assertion) (WriteResult, error)
	// Read returns a view of the state that satisfies c; the caller closes it.
	//
	// Errors: ErrNoLeader, ErrTooStale, ErrMinIndexNotReached, ErrStopping,
	// ErrFailed.
	Read(ctx context.Context, c Consistency) (View, error)
	// Health, Ready and Cluster tell of the node; they do not wait.
	Health(ctx context.Context) v1.Health
	Ready(ctx context.Context) v1.Readiness
	Cluster(ctx context.Context) v1.Cluster
}

// View is the state at one log index. It does not change until it is closed.
type View interface {
	// Applied is the log index of the state.
	Applied() uint64
	// Get returns the claim of a hash; ErrNotFound if there is none.
	Get(h assertion.Hash) (*assertion.Claim, error)
	// Page returns up to limit claims that f selects, newest first, from where
	// cursor continues; next is empty at the end. ErrBadCursor if the cursor is
	// not one of this filter.
	Page(f assertion.Filter, cursor string, limit int) (claims []*assertion.Claim, next string, err error)
	// Tally counts the visible claims on one question at a time without reading
	// them.
	Tally(subject, predicate string, at uint64) (*assertion.Tally, error)
	// Claims returns up to most claims that f selects, newest first. Scanned is
	// how many were read, truncated whether more than most match.
	Claims(f assertion.Filter, most int) (claims []*assertion.Claim, scanned int, truncated bool, err error)
	Close() error
}

// Caller is who asked for a write.
type Caller struct {
	// RequestID names the request in the logs of every node that it touches.
	RequestID string
	// RemoteAddr is the address of the client's end of the connection.
	RemoteAddr string
}

// Outcome is what became of one claim.
type Outcome uint8

// The outcomes. The last four refuse the claim.
const (
	Created Outcome = iota + 1
	Exists
	Cosigned
	NotOwner
	ParentNotFound
	V1Cosign
	TooManySigners
)

// WriteResult is what became of the claims of one write.
type WriteResult struct {
	// Index is the highest log index at which one of them was decided.
	Index uint64
	// Results are parallel to the claims.
	Results []ClaimResult
}

// ClaimResult is what became of one claim.
type ClaimResult struct {
	Hash    assertion.Hash
	Outcome Outcome
}

// Level is how fresh a read must be.
type Level uint8

// The levels.
const (
	// Linearizable sees every write acknowledged before the read began.
	Linearizable Level = iota
	// Bounded sees every write acknowledged more than MaxStale ago.
	Bounded
	// Local sees what this node has applied.
	Local
)

func (l Level) String() string {
	switch l {
	case Bounded:
		return "bounded"
	case Local:
		return "local"
	default:
		return "linearizable"
	}
}

// Consistency is what a read demands of the state that it is served from.
type Consistency struct {
	Level Level
	// MaxStale bounds the staleness of a Bounded read.
	MaxStale time.Duration
	// MinIndex makes the read wait until the node has applied that log index.
	MinIndex uint64
}

// The errors by which a Store says what kind of failure it had; it wraps them.
var (
	// ErrNoLeader: no leader could be reached; nothing was written or read.
	ErrNoLeader = errors.New("the cluster has no leader at the moment")
	// ErrOutcomeUnknown: a write may or may not take effect. Repeating it is safe.
	ErrOutcomeUnknown = errors.New("the outcome of the write is unknown")
	// ErrOverloaded: too much waits already; nothing was written or read.
	ErrOverloaded = errors.New("too many writes are waiting")
	// ErrStopping: the node is shutting down.
	ErrStopping = errors.New("the node is stopping")
	// ErrTooStale: the freshness that the read wants could not be proved in time.
	ErrTooStale = errors.New("the node cannot prove that its data is fresh enough")
	// ErrMinIndexNotReached: the node did not apply min_index in time.
	ErrMinIndexNotReached = errors.New("the node has not applied the wanted log index yet")
	// ErrFailed: the node's state is damaged; nothing is served from it.
	ErrFailed = errors.New("the node has failed")
	// ErrIncompatible: a member of the cluster is too old for this write.
	ErrIncompatible = errors.New("a member of the cluster does not understand this command format")
	// ErrNotFound: there is no claim of that hash.
	ErrNotFound = errors.New("no such claim")
	// ErrBadCursor: the cursor is not one of this query.
	ErrBadCursor = errors.New("the cursor is not one of this query")
)
