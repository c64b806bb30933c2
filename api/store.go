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
	// Write makes entries durable and returns what became of each, in order. They
	// are normalised, valid and, where they are signed, verified.
	//
	// Errors: ErrNoLeader, ErrOverloaded, ErrStopping, ErrDisk, ErrDiskSpace (nothing
	// was stored); ErrOutcomeUnknown (any of them may have been).
	Write(ctx context.Context, caller Caller, entries []assertion.Entry) (WriteResult, error)
	// Read returns a view of the state that satisfies c; the caller closes it.
	//
	// Errors: ErrNoLeader, ErrTooStale, ErrMinIndexNotReached, ErrFutureState,
	// ErrStopping, ErrDisk, ErrFailed.
	Read(ctx context.Context, c Consistency) (View, error)
	// Signers returns who has signed a claim, as far as this node has applied the
	// log; none if the claim is not there.
	Signers(h assertion.Hash) ([]assertion.AgentID, error)
	// Health, Ready and Cluster tell of the node; they do not wait.
	Health(ctx context.Context) v1.Health
	Ready(ctx context.Context) v1.Readiness
	Cluster(ctx context.Context) v1.Cluster
	// ChangeMembers does an action on the membership (join, remove, promote,
	// demote, transfer, snapshot) wherever it belongs; repeating it is safe.
	//
	// Errors: ErrNoMember, ErrQuorumAtRisk, ErrMembership, ErrNoLeader,
	// ErrStopping, ErrRemoved, ErrDisk (nothing was changed); ErrOutcomeUnknown.
	ChangeMembers(ctx context.Context, caller Caller, action string, c v1.ClusterChange) (v1.ClusterChanged, error)
	// Autopilot is the leader's judgement of the members. Errors: ErrNoLeader,
	// ErrStopping, ErrRemoved.
	Autopilot(ctx context.Context) (v1.Autopilot, error)
	// Backup prepares a backup of the node; the caller closes it.
	//
	// Errors: those of Read, ErrOverloaded while another one is sent, ErrLogGap,
	// ErrLogUnchanged.
	Backup(ctx context.Context, r BackupRequest) (Backup, error)
	// WaitApplied waits until the node has applied a log index.
	//
	// Errors: ErrMinIndexNotReached if ctx ends first, ErrFailed.
	WaitApplied(ctx context.Context, index uint64) error
	// Sign signs a message with the node's key, and names the key.
	Sign(message []byte) (key assertion.AgentID, signature assertion.SignatureBytes)
}

// View is the state at one log index, as it was committed at the time that
// the read asked for. It does not change until it is closed.
type View interface {
	// Applied is the log index of the state, CommittedAt the time of its last
	// commit, Digest that of its records.
	Applied() (index, committedAt uint64)
	Digest() assertion.Hash
	ClusterID() string
	// Get returns the claim of a hash; ErrNotFound if there is none.
	Get(h assertion.Hash) (*assertion.Claim, error)
	// Page returns up to limit claims that f selects, newest first, from where
	// cursor continues; next is empty at the end. ErrBadCursor if the cursor is
	// not one of this filter.
	Page(f assertion.Filter, cursor string, limit int) (claims []*assertion.Claim, next string, err error)
	// Tally counts the visible claims on one question at a time without reading
	// them. It is not there for a past state.
	Tally(subject, predicate string, at uint64) (*assertion.Tally, error)
	// Claims returns up to most claims that f selects, newest first. Scanned is
	// how many were read, truncated whether more than most match.
	Claims(f assertion.Filter, most int) (claims []*assertion.Claim, scanned int, truncated bool, err error)
	History
	Close() error
}

// History is what a View knows beside the claims. A method that is asked for
// one thing returns ErrNotFound if it is not there.
type History interface {
	// Votes returns the newest vote of each agent on a claim that is not later
	// than until, unix seconds.
	Votes(claim assertion.Hash, until uint64) ([]assertion.Recorded[*assertion.Vote], error)
	// Transitions returns the claims whose parent a claim is, in log order.
	Transitions(claim assertion.Hash) ([]*assertion.Claim, error)
	// Derived returns up to limit claims that name a claim in derived_from.
	Derived(claim assertion.Hash, limit int) ([]*assertion.Claim, error)
	// Supersessions returns those that name a claim, in log order.
	Supersessions(claim assertion.Hash) ([]assertion.Recorded[*assertion.Supersession], error)
	Epoch(h assertion.Hash) (assertion.Recorded[*assertion.Epoch], error)
	// SupersededEpochs maps each epoch that is replaced or retracted to the one
	// that does.
	SupersededEpochs() (map[assertion.Hash]assertion.Hash, error)
	Source(h assertion.Hash) (assertion.SourceRecord, error)
	// Sources returns up to limit registered sources in their order after one.
	Sources(after *assertion.Hash, limit int) ([]assertion.Hash, error)
	// Aliases returns every name of the entity that a name belongs to, itself
	// first, and what joins them.
	Aliases(name string) ([]string, []assertion.Recorded[*assertion.Alias], error)
	AliasPage(after *assertion.Alias, limit int) ([]assertion.Recorded[*assertion.Alias], error)
	// Endorsements returns the newest of each pair of agents, of one endorsing
	// agent if it is not nil.
	Endorsements(by *assertion.AgentID) ([]assertion.Recorded[*assertion.Endorsement], error)
	Labels() ([]assertion.Recorded[*assertion.Label], error)
	Seeds() (*assertion.Seeds, bool, error)
	// Computed returns the newest result of a background computation.
	Computed(k assertion.Kind) (assertion.Recorded[*assertion.Computed], bool, error)
	// Reviews returns up to limit claims in a state of review, in log order, after
	// a position; Pending is how many wait for a decision; Decisions are those on
	// one claim, in log order.
	Reviews(state assertion.Review, after assertion.Position, limit int) ([]*assertion.Claim, error)
	Pending() uint64
	Decisions(claim assertion.Hash) ([]assertion.Recorded[*assertion.Decision], error)
	// Found returns visible claims on a question in which the content defence found
	// something, the newest for each value.
	Found(subject, predicate string) ([]*assertion.Claim, error)
	// ComputedAt is the place in the log of the newest one, whatever time the view
	// is of; it does not read it.
	ComputedAt(k assertion.Kind) (assertion.Position, bool, error)
	// Decided reports whether there is an entry of the same kind on the same thing,
	// for kinds of which the newest counts.
	Decided(e assertion.Entry) (bool, error)
	NodeKeys() ([]assertion.Recorded[*assertion.NodeKey], error)
	// APIKeys returns the newest state of every API key, by id, whatever time the
	// view is of.
	APIKeys() ([]*assertion.APIKey, error)
	// Subjects returns up to limit subjects that begin with a prefix, and the
	// cursor of the next page; Predicates those of one subject.
	Subjects(begin, cursor string, limit int) (subjects []string, next string, err error)
	Predicates(subject string, limit int) ([]string, error)
	// Contested returns up to limit questions of several values, about the most
	// contested first, and the cursor of the next page.
	Contested(cursor string, limit int) (questions []assertion.Question, next string, err error)
	// Feed returns up to limit events after a position of the log, of some kinds if
	// any are named.
	Feed(after assertion.Position, limit int, kinds ...assertion.Kind) ([]assertion.Event, error)
}

// Caller is who asked for a write.
type Caller struct {
	// RequestID names the request in the logs of every node that it touches.
	RequestID string
	// AgentID is on whose behalf the client says that it asks; nothing proves it.
	AgentID string
	// RemoteAddr is the address of the client's end of the connection, or whom
	// trusted proxies name.
	RemoteAddr string
}

// Outcome is what became of one entry.
type Outcome uint8

// The outcomes. All but the first three, Quarantined and Held refuse the entry.
const (
	Created Outcome = iota + 1
	Exists
	Cosigned
	NotOwner
	ParentNotFound
	V1Cosign
	TooManySigners
	TargetNotFound
	ParentDiffers
	Outdated
	Quarantined
	Held
	Unreviewable
	WorkReused
	WorkStale
)

// stored reports whether the entry has added something to the cluster.
func (o Outcome) stored() bool { return o == Created || o == Cosigned || o == Quarantined }

// WriteResult is what became of the entries of one write.
type WriteResult struct {
	// Index is the highest log index at which one of them was decided.
	Index uint64
	// Results are parallel to the entries.
	Results []EntryResult
}

// EntryResult is what became of one entry.
type EntryResult struct {
	Hash    assertion.Hash
	Outcome Outcome
	// Findings are what the content defence found; the API adds them.
	Findings []assertion.Finding
	// Refused is why the API did not hand the entry to the store.
	Refused error
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
	// KnownAt, if not nil, asks for the state as committed at that time, unix
	// seconds.
	KnownAt *uint64
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
	// ErrFutureState: the read asks for a state that lies ahead.
	ErrFutureState = errors.New("that state lies in the future")
	// ErrFailed: the node's state is damaged; nothing is served from it.
	ErrFailed = errors.New("the node has failed")
	// ErrRemoved: the node was removed from the cluster and serves nothing.
	ErrRemoved = errors.New("this node was removed from the cluster")
	// ErrNoMember: no node of that name is a member.
	ErrNoMember = errors.New("the cluster has no such member")
	// ErrQuorumAtRisk: the change would leave too few live voters, or none.
	ErrQuorumAtRisk = errors.New("the change would lose the quorum")
	// ErrMembership: the change does not fit the state of the cluster.
	ErrMembership = errors.New("the change does not fit the state of the cluster")
	// ErrLogGap: the log does not reach back to, or not to the same, entry.
	ErrLogGap = errors.New("the log does not continue that backup")
	// ErrLogUnchanged: there is no entry after the one that was named.
	ErrLogUnchanged = errors.New("there is nothing new in the log")
	// ErrDisk: the disk of the node hangs or fails.
	ErrDisk = errors.New("the disk of the node is in trouble")
	// ErrDiskSpace: too little is free on the disks for further writes.
	ErrDiskSpace = errors.New("too little disk space is free for writes")
	// ErrNotFound: what is asked for is not there.
	ErrNotFound = errors.New("not found")
	// ErrBadCursor: the cursor is not one of this query.
	ErrBadCursor = errors.New("the cursor is not one of this query")
)
