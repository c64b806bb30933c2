// Package api is the HTTP server of a node: it turns requests into calls of a
// Store and answers into JSON.
//
// # What it owns
//
//   - The routes and, beside each, its documentation: /openapi.json is made
//     from the same table that registers the handlers, so that the two cannot
//     drift apart.
//   - The door: media types, body limits, strict query parameters, validation,
//     the clock check and the verification of every signature. What passes is
//     normalised, valid and verified; nothing after it checks again.
//   - The choice between aggregates and a bounded scan for a lens.
//   - Problems: each error becomes an HTTP answer in one place, by one table of
//     codes.
//   - The bounds of the port: time-outs, sizes, and how many connections may be
//     open. Which pages of other origins may use the API.
//   - Request ids, the access log and the metrics of HTTP and queries.
//
// # Invariants
//
//   - Every answer that is not a success is problem JSON with a stable code,
//     whatever caused it: an unknown route, a panic, a cluster without leader.
//   - A refused claim has no effect: refusal happens before the Store, or is the
//     Store's own outcome.
//   - A parameter that is not understood is an error, never ignored: a filter
//     with a typing mistake must not widen an answer.
//   - An answer of status 500 tells the client nothing but its request id; the
//     log has the rest. Bodies are never logged.
//   - No label of a metric has a value that a client chooses.
//   - Probes answer from the first moment, also while the Store is not there
//     yet.
//
// # What it must never do
//
// Decide consistency or ownership (the Store does), keep claims between
// requests, or know how a Store is made: it declares the interfaces that it
// needs, and the main wires a node to them.
package api
