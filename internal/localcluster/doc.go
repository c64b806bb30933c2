// Package localcluster runs the nodes of a cluster as processes of this
// machine, on loopback. `stemedb dev`, the demonstration, the benchmark and the
// whole-cluster tests share it, so that all of them run the real program.
//
// # What it owns
//
// The command lines of the nodes, the processes, and where their output goes.
// Every node has the same command line but for its name, folder and ports, and
// it is the same for a first start, a restart and a node that joins later.
//
// # Invariants
//
//   - Only processes that were started here are ever signalled, by their own
//     handle.
//   - No node outlives this process (on Linux): the kernel ends them with it.
//   - A node that has ended has been waited for before Kill or Stop returns, so
//     that its ports and its data directory are free.
//
// # What it must never do
//
// Know what the nodes store, or end a test: it returns errors.
package localcluster
