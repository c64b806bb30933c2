// Package archtest holds the tests that keep the shape of the codebase: which
// room may import which, that every room states its contract, and that no room
// is a bag of leftovers. It has no code of its own.
//
// The table of imports is in rules_test.go. A new package needs a row there:
// deciding where it stands is part of writing it.
package archtest
