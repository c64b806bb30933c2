// Package v1 is the wire form of the HTTP API, version 1: the JSON bodies of
// answers and problems, the names of headers and the stable problem codes. The
// server and the SDK share it, so that they cannot disagree.
//
// It owns the names and shapes of what crosses the wire. A request to store a
// claim is the JSON form of assertion.Assertion itself; everything else that
// crosses is declared here.
//
// Invariants
//   - A field, once published, keeps its name, type and meaning; new ones are
//     optional to readers.
//   - Binary values are lower-case hexadecimal, times are unix seconds, unless a
//     field's name says otherwise.
//   - Lists are never null in an answer: none is [].
//
// The package holds data only. It never computes an answer, does I/O, or
// imports anything of the project but assertion.
package v1
