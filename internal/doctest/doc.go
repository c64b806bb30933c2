// Package doctest holds the tests that keep the documentation true: links and
// anchors resolve, the settings and make targets that it names exist, and every
// page is in the index. It has no code of its own.
package doctest
