// Package node is one running StemeDB node: it wires raft, the FSM, the
// transport and the gossip together and gives the layers above two verbs,
// Assert and Read.
//
// # What it owns
//
//   - The life of the node: the lock and the identity of the data directory,
//     joining or bootstrapping a cluster, becoming and ceasing to be leader, a
//     graceful stop. One command line serves first start, restart and scale-up:
//     a node with state resumes; one without looks for a cluster to join, and
//     only where BootstrapExpect nodes see each other, none has state, and all
//     of them have promised themselves to the same proposer does that one
//     bootstrap. It stands for election at once.
//   - The way of a write: Assert encodes verified claims, the batcher groups
//     whatever arrives while a proposal is in flight into the next log entry
//     (group commit without a timer), and the entry is proposed here or
//     forwarded to the leader with the callers' identities.
//   - The succession: a follower whose connection to the leader's process ends,
//     which hears nothing from it and cannot dial it, stands for election without
//     waiting for raft's heartbeat timeout, if a majority
//     of the voters says the same; of those with the longest log, the one with the
//     smallest id.
//   - The command format: the leader raises the cluster's when every member
//     understands a higher one, and admits no member that does not know it, so that
//     nodes are upgraded one after the other under load.
//   - The disk: what the raft log and a probe write is watched. While it hangs or
//     fails, the node refuses and cuts itself off from the others, so that they
//     elect; the writes that the file system refuses are repeated, so that raft
//     goes on by itself when there is space. Below the minimum of free space a
//     leader hands over, or writes are refused.
//   - The membership: newcomers join as non-voters, the leader's autopilot
//     promotes and removes, operators change it from any node, and a guard at the
//     leader refuses what would lose the quorum. A node that was removed serves
//     nothing.
//   - The consistency of a read: a coalesced read index for linearizable reads
//     on any node, a remembered one for bounded staleness, none for local ones,
//     and min_index for reading one's own writes.
//   - Carrying what the layers above share between nodes (Config.Shared), without
//     knowing what it is.
//   - What the node tells of itself: reports to the other nodes, health,
//     readiness, the cluster as this node sees it, metrics.
//
// # Invariants
//
//   - A write is reported as done only when raft committed its entry, this
//     node's own fsync of it included where it is the leader, and its outcome
//     came back from the leader's FSM.
//   - Only a request that certainly was not proposed is retried or forwarded
//     blindly (ErrNotLeader, an enqueue time-out, a peer that could not be
//     reached). Every other failure of a proposal is ErrOutcomeUnknown; the
//     caller may repeat it, since claims are identified by their content.
//   - A read index is taken in this order: the leader's own entry of this term
//     has been applied; commit index; a majority seen in this term after the read
//     began (leadershipCheck); still the same term here; local apply has
//     reached the index. Any other order can serve a stale read. A follower's own
//     term, which it takes after the read began and sends with its question,
//     counts as seen.
//   - Every raft future is awaited together with a context, since it may never
//     resolve while there is no quorum.
//   - A disk that hangs does not cause a failover by itself (hashicorp/raft issue
//     503): raft's heartbeats do not touch it, and the main loop, which could hand
//     the leadership over, waits for it. So a node whose disk is in trouble must
//     not be heard: it neither votes, nor stands for election, nor acknowledges
//     an entry. What it refuses with ErrDisk or ErrDiskSpace was certainly not
//     proposed; what was under way ends with ErrOutcomeUnknown.
//   - The first failure of the FSM stops the node: diverging is worse than
//     stopping.
//
// # Hazards of hashicorp/raft designed around in the transport
//
// A replication that is told of a failure may wait for ever (hashicorp/raft issue
// 612): transport.RaftTransport bounds its pipeline's calls.
//
// # Hazards of hashicorp/raft designed around without a test
//
// A failed leadership transfer can wedge a later leader (hashicorp/raft issue
// 696): the flag that refuses proposals during a transfer may survive the
// transfer's failure. It needs a transfer that times out while the target wins
// an election at the same instant, which cannot be brought about from outside
// the library. The node hands leadership over while it stops, so that a flag
// left behind dies with the process, and when an operator asks for it, to a voter
// that answers and has caught up. A leader whose first entry of the term is
// refused for longer than WriteTimeout, or which refuses proposals for as long
// after a transfer that failed, fails the node.
//
// # What it must never do
//
// Verify signatures, decide an answer or know HTTP: claims arrive verified, the
// FSM decides, and the API speaks to clients.
package node
