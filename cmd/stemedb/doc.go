// Command stemedb is the StemeDB server.
//
// serve runs one node, dev a whole cluster on loopback, config prints the
// effective settings, certs makes certificates, recover makes a cluster of one node
// that is left, compact shrinks a stopped node's log, convert-log moves it to the other
// log store, version says which build this is.
//
// # What it owns
//
// The process: signals and exit codes, the HTTP listener, the logger, the
// registry of metrics, and the adapter that lets the API use a node. It is the
// only place where the rooms are wired together.
//
// # Invariants
//
//   - HTTP listens before the node opens its data, so that probes are answered
//     however long the recovery takes, and until the last request under way has
//     its answer.
//   - Leadership is handed over before the listener closes: requests under way
//     succeed on the new leader.
//   - os.Exit is called in main only, but for the second signal, which does not
//     wait for anything.
//
// # What it must never do
//
// Decide anything about claims, or read a setting from elsewhere than
// internal/settings.
package main
