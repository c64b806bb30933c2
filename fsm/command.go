package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// commandType is the first byte of a command, its format's version the second.
type commandType byte

const (
	commandWrite       commandType = 1
	commandClusterInit commandType = 2
	commandTermStart   commandType = 3
	commandFormat      commandType = 4
)

// headLen is type, version and the proposer's clock in unix seconds.
const headLen = 1 + 1 + 8

// maxRecords bounds the entries of one command; an entry's offset in the command
// is 16 bits wide.
const maxRecords = 1 << 16

var (
	// ErrUnknownCommand means that an entry was written by a version that this
	// one does not know. Guessing would make the nodes diverge.
	ErrUnknownCommand = errors.New("unknown command in the log")
	errMalformed      = errors.New("malformed command in the log")
)

// command is a decoded log entry.
type command struct {
	kind    commandType
	now     uint64
	records [][]byte // commandWrite; they share the entry's memory
	text    string   // commandClusterInit: the cluster's id; commandTermStart: the leader's id
	format  uint16   // commandFormat
}

func appendHead(size int, kind commandType, version byte, now uint64) []byte {
	b := append(make([]byte, 0, headLen+size), byte(kind), version)
	return binary.BigEndian.AppendUint64(b, now)
}

// EncodeWrite makes the command that records entries, at most 65,536 as
// assertion.AppendEntry writes them. format is the cluster's, now the proposer's
// clock, unix seconds.
func EncodeWrite(format uint16, now uint64, records [][]byte) []byte {
	size := binary.MaxVarintLen32
	for _, r := range records {
		size += binary.MaxVarintLen32 + len(r)
	}
	b := appendHead(size, commandWrite, writeVersion(format), now)
	b = binary.AppendUvarint(b, uint64(len(records)))
	for _, r := range records {
		b = binary.AppendUvarint(b, uint64(len(r)))
		b = append(b, r...)
	}
	return b
}

// EncodeClusterInit makes the command that names a new cluster. A cluster that
// has a name keeps it.
func EncodeClusterInit(now uint64, clusterID string) []byte {
	return append(appendHead(len(clusterID), commandClusterInit, 1, now), clusterID...)
}

// EncodeTermStart makes the first command of a new leader. It changes no
// record: when it is applied, everything that earlier terms committed has been
// applied too.
func EncodeTermStart(now uint64, nodeID string) []byte {
	return append(appendHead(len(nodeID), commandTermStart, 1, now), nodeID...)
}

// EncodeFormat makes the command after which the cluster writes a higher command
// format. Every member must understand it.
func EncodeFormat(now uint64, format uint16) []byte {
	return binary.BigEndian.AppendUint16(appendHead(2, commandFormat, 1, now), format)
}

// newestVersion is the newest version of a command that this build reads, 0 for
// an unknown command.
func newestVersion(kind commandType) byte {
	switch kind {
	case commandWrite:
		return writeVersion(FormatVersion)
	case commandClusterInit, commandTermStart, commandFormat:
		return 1
	}
	return 0
}

// decodeCommand is the inverse of the Encode functions; anything else is an
// error.
func decodeCommand(b []byte) (command, error) {
	if len(b) < 2 {
		return command{}, fmt.Errorf("%w: %d bytes", errMalformed, len(b))
	}
	c := command{kind: commandType(b[0])}
	if b[1] == 0 || b[1] > newestVersion(c.kind) {
		return command{}, fmt.Errorf("%w: type %d version %d; this entry was written by a newer stemedb: upgrade this node", ErrUnknownCommand, b[0], b[1])
	}
	if len(b) < headLen {
		return command{}, fmt.Errorf("%w: %d bytes", errMalformed, len(b))
	}
	c.now = binary.BigEndian.Uint64(b[2:])
	body := b[headLen:]
	switch c.kind {
	case commandWrite:
	case commandFormat:
		if len(body) != 2 {
			return command{}, fmt.Errorf("%w: a command format of %d bytes", errMalformed, len(body))
		}
		if c.format = binary.BigEndian.Uint16(body); c.format > FormatVersion {
			return command{}, tooNew(c.format)
		}
		return c, nil
	default:
		c.text = string(body)
		return c, nil
	}
	count, body, err := uvarint(body)
	if err != nil || count > maxRecords || count > uint64(len(body)) {
		return command{}, fmt.Errorf("%w: a bad count of entries", errMalformed)
	}
	c.records = make([][]byte, count)
	for i := range c.records {
		var size uint64
		if size, body, err = uvarint(body); err != nil || size > uint64(len(body)) {
			return command{}, fmt.Errorf("%w: entry %d of %d ends early", errMalformed, i, count)
		}
		c.records[i], body = body[:size:size], body[size:]
	}
	if len(body) > 0 {
		return command{}, fmt.Errorf("%w: %d bytes after the last entry", errMalformed, len(body))
	}
	return c, nil
}

// tooNew is the error of a build that is older than the cluster's format.
func tooNew(format uint16) error {
	return fmt.Errorf("%w: the cluster writes command format %d, this build understands up to %d: upgrade this node", ErrUnknownCommand, format, FormatVersion)
}

// uvarint reads a shortest-form unsigned integer.
func uvarint(b []byte) (v uint64, rest []byte, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, errMalformed
	}
	return v, b[n:], nil
}
