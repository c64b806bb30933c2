// Package auth decides who a request comes from and what it may do.
//
// # What it owns
//
//   - Secrets of API keys: how they are made, what is stored of them, and how a
//     presented one is compared (secret.go).
//   - The keyring: the keys of the cluster in a form that identifies a request
//     in constant memory and without a look-up in the index (keyring.go).
//   - The one table of what each route demands (rbac.go).
//   - Binding and scope: whether the holder of a key may store an entry or ask
//     about a subject (scope.go).
//   - The rate of each key (limiter.go), and when it was last used on whatever
//     node (last_used.go).
//   - Who is charged for a request: an agent, a key or an address (principal.go).
//     Whether a request is proved to be an agent's is the caller's to decide.
//   - Tiers of trust (tiers.go) and the proof of work that new agents owe
//     (work.go).
//   - The quota of each principal (meter.go) and the breakers that keep out who
//     keeps failing (breaker.go), and the form in which the nodes tell each other
//     of both (shared.go).
//
// # Invariants
//
//   - A secret is never stored, logged or part of an error: only its hash is in
//     the log, and the key's id is what logs and answers name.
//   - Secrets are compared in constant time, and an unknown id costs as much as
//     a wrong secret.
//   - A route that is not in the table is served to nobody.
//   - Everything here is a function of the keys, the request and the time handed
//     in. Keys change only through the replicated log, so that each node decides
//     alike once it has applied the change. Usage and failures are told by gossip:
//     nodes agree on them a moment later.
//
// # How far a quota can be exceeded
//
// A node grants what remains by its own count and what it has heard. What the
// others granted since they last told (200 ms, plus the way) it does not know.
// With n nodes, each granting a principal at most r units a second, and a delay
// of d seconds, the cluster grants at most limit + (n−1) × min(limit, r × d) in a
// window; with three nodes at 2,000 assertions a second each that is at most
// 8,000 units over, at 100 assertions a second 400. d is longer while more than
// some 1,900 principals change per 200 ms (64 packets), while packets get lost
// (until the principal's next request, or the exchange of everything, every 30 s)
// and in the first moments of an hour between nodes whose clocks differ; where
// nodes do not hear each other at all, d has no bound and each grants the whole
// limit: n × limit. A window's usage on a node is lost with it as far as it was
// not told, and beyond 100,000 principals those who used least begin anew.
//
// # What it must never do
//
// Read a clock, know HTTP or the index, or take a claim's signature for proof
// of who sends a request.
package auth
