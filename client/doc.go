// Package client is the Go SDK of StemeDB: it makes keys, builds and signs
// claims, and talks to a cluster.
//
//	keys, err := client.OpenKeyring("keys")
//	key, err := keys.Key("fda")
//	db, err := client.New([]string{"http://localhost:18180", "http://localhost:18190"})
//	claim, err := client.NewClaim("Semaglutide", "nausea_rate", assertion.Number(15.8)).
//		Source("Ozempic label", assertion.Regulatory).Confidence(0.95).Sign(key)
//	answer, err := db.Assert(ctx, claim)
//
// https endpoints are verified by the system's authorities, or with WithRootCAs
// by those of the cluster.
//
// # Retries
//
// A claim is identified by its content, so sending it again is always safe: if
// the first try did take effect, the answer is `exists`. The client therefore
// retries whatever may pass on its own: no connection, a lost connection, 503
// (no leader, outcome unknown, overloaded, stopping), 502 and 504. It goes
// round the endpoints first and then waits, longer each round, with jitter,
// until the attempts or the context are used up. 4xx answers are returned at
// once.
//
// # Reading one's own writes
//
// With the option ReadYourWrites the client remembers the highest log index
// that it has seen in an answer and sends it as min_index, so that even a local
// read on another node sees what it wrote.
package client
