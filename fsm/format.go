//go:build !stemedb_next_format

package fsm

// FormatVersion is the highest command format that this build reads and writes.
// Nodes tell it to each other. A cluster writes the format that its log says
// (EncodeFormat), which its leader raises when every member understands a higher
// one; a build that is older than that stops.
//
// Formats: 1, the first.
const FormatVersion uint16 = 1

// writeVersion is the version of the command of writes in a format.
func writeVersion(uint16) byte { return 1 }
