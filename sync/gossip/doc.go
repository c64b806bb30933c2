// Package gossip knows which nodes there are, how to reach them, and carries
// their reports of applied index and digest. It runs hashicorp/memberlist (SWIM
// with Lifeguard) over one port, TCP and UDP.
//
// # What it owns
//
//   - The list of members with their states, beside memberlist's own: it still
//     holds dead and left nodes after memberlist has forgotten them, at most
//     maxMembers in all. A member is alive; dead when SWIM has declared it so;
//     left when it said goodbye, before its end or within lateGoodbye after.
//     memberlist does not tell its users of a suspicion, so there is no such
//     state here.
//   - What a node says of itself (Meta, at most 512 bytes encoded), and the
//     reports, each one UDP packet to every live member, which may get lost.
//   - Carrying what all nodes hold together (Shared): what changed here since it
//     was last told goes to every live member every 200 ms, in packets that may
//     get lost; everything goes along when two nodes exchange their lists, and a
//     node that has just become part of a cluster asks for it at once.
//   - Keeping clusters apart: a node of another cluster is not taken, neither
//     when it joins nor when a third node tells of it. A node without a cluster
//     is taken by any: it has to find one. Of what is shared, nothing passes
//     between a node and one that is not known to be in the same cluster.
//
// # Times
//
// memberlist's settings for a local network: one member is probed each second;
// a probe that goes unanswered directly, over TCP and through three others
// begins a suspicion, which the member can refute for 4 s (up to 24 s in larger
// clusters, while others do not confirm it). A crash in a cluster of three is
// declared after 5 to 7 s; raft finds out by itself, and sooner. Every 30 s two
// nodes exchange their whole lists. A node that comes back under its name at
// another address is taken at once if it said goodbye, else when its old
// address has been dead for 5 s.
//
// # Invariants
//
//   - What is shared says itself what to do with a message that is lost, repeated
//     or late; the gossip hands on whatever comes, once or more.
//   - memberlist's own nodes are read only inside its callbacks: it changes them
//     under a lock that others cannot take.
//   - Callbacks run with memberlist's lock held or in its packet loop: they must
//     not block, nor call Join, SetMeta, Leave or Shutdown.
//   - Shutdown waits for every call into memberlist that is under way.
//
// # What it must never do
//
// Decide anything. Gossip is a hint: who is a member is the raft
// configuration's to say, what is committed is the log's.
package gossip
