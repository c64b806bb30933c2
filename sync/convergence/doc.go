// Package convergence compares what the nodes report of themselves: who lags
// behind whom, when a commit has reached every live node, and whether two nodes
// at the same log index hold the same state.
//
// It decides nothing about the log; it measures. Its verdict that this node
// disagrees with a majority, however, keeps the node from being ready.
//
// # Definitions
//
//   - A sync cycle is one report received from a peer.
//   - A sync failure is a report that did not arrive although the peer is live:
//     one for each three report intervals of silence.
//   - Lag in entries is how far a peer's applied index is behind the highest
//     commit index known; lag in seconds is for how long the oldest commit that
//     it has not applied has been known, by this node's clock. Under constant
//     writes a healthy peer is always some entries behind in its last report,
//     but only about a report interval in seconds.
//   - Converged: every live peer has reported to have applied what this node
//     knows to be committed. Under constant writes that is seldom so.
//   - Divergence: another digest at the same log index. It is never right. It is
//     counted and logged when it begins, and again only after the peer has agreed
//     in between. A report of an index that this node has not reached waits until
//     it has (at most maxWaiting of a peer, later ones say the same). One that a newer
//     one has overtaken is not compared.
//   - Minority: more nodes disagree with this one than agree, itself included.
//     Where no two nodes agree, each of three is in the minority, and rightly
//     serves nothing.
package convergence
