// Package certs keeps the certificates of a node: it serves a certificate and
// key from two files and follows their renewal, and it makes an authority and
// the nodes' certificates for those who have none (`stemedb certs`).
//
// # Invariants
//
//   - What is served was whole and matched when it was read. While the files
//     cannot be read or do not match, the last good pair is served.
//   - A private key is written with mode 0600, and over an existing file only
//     if that was asked for. A file is replaced as a whole.
//   - Serial numbers are random (128 bits). Keys are ECDSA P-256, which Go,
//     OpenSSL, proxies and browsers all take.
//
// # What it must never do
//
// Log, return or print a private key.
package certs
