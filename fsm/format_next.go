//go:build stemedb_next_format

package fsm

// FormatVersion is one above that of the ordinary build: this build is what a
// later release will be, so that tests can upgrade a cluster to it. Format 2 has
// a second version of the command of writes, of the same content.
const FormatVersion uint16 = 2

func writeVersion(format uint16) byte { return byte(min(format, FormatVersion)) }
