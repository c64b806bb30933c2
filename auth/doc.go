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
//   - The rate of each key (limiter.go).
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
//     alike once it has applied the change.
//
// # What it must never do
//
// Read a clock, know HTTP or the index, or take a claim's signature for proof
// of who sends a request.
package auth
