package node

import "errors"

var (
	// ErrNoLeader means that no leader could be reached in time. The write was
	// not proposed, the read was not answered; both may be repeated.
	ErrNoLeader = errors.New("the cluster has no leader at the moment")
	// ErrOutcomeUnknown means that a write was proposed and its outcome did not
	// come back. It may or may not take effect. Repeating the same claims is
	// safe: one that is there already answers as existing.
	ErrOutcomeUnknown = errors.New("the outcome of the write is unknown")
	// ErrOverloaded means that too many claims wait already. Nothing was
	// proposed.
	ErrOverloaded = errors.New("too many writes are waiting")
	// ErrStopping means that this node is shutting down.
	ErrStopping = errors.New("the node is stopping")
	// ErrTooStale means that a bounded read could not be served: the node's last
	// proof of freshness is older than allowed and a new one could not be had.
	ErrTooStale = errors.New("the node cannot prove that its data is fresh enough")
	// ErrMinIndex means that the node did not apply the wanted log index in time.
	ErrMinIndex = errors.New("the node has not applied the wanted log index yet")
	// ErrFutureState means that a read asks for a state that lies ahead.
	ErrFutureState = errors.New("that state lies in the future")
	// ErrFailed means that the node's state is damaged and nothing is served.
	ErrFailed = errors.New("the node has failed")
	// ErrDisk means that the disk of this node's data directory hangs or fails. The
	// write was not proposed, the read was not answered; other nodes may do both.
	ErrDisk = errors.New("the disk of the node is in trouble")
	// ErrDiskSpace means that too little is free on the disks for further writes.
	// Nothing was proposed.
	ErrDiskSpace = errors.New("too little disk space is free for writes")
	// ErrLogStore means that the data directory does not hold a raft log of the kind
	// that is wanted.
	ErrLogStore = errors.New("the raft log is not of the kind that is wanted")
	// ErrRemoved means that this node was removed from the cluster and serves
	// nothing any more.
	ErrRemoved = errors.New("this node was removed from the cluster")
	// ErrNoMember means that no node of that name is a member.
	ErrNoMember = errors.New("the cluster has no such member")
	// ErrQuorumAtRisk means that a change of the membership would leave fewer live
	// voters than a majority needs, or no voter at all. Nothing was changed.
	ErrQuorumAtRisk = errors.New("the change would lose the quorum")
	// ErrMembership means that a change of the membership does not fit the state of
	// the cluster, for the reason given. Nothing was changed.
	ErrMembership = errors.New("the change does not fit the state of the cluster")
)
