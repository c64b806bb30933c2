package transport

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// frameKind says what a frame is.
type frameKind uint8

const (
	kindRequest  frameKind = 1
	kindResponse frameKind = 2
	kindCancel   frameKind = 3 // the caller of this id does not wait any more
	kindPing     frameKind = 4
	kindPong     frameKind = 5
)

// The code of a request is its method.
const (
	methodHello     uint8 = 1
	methodForward   uint8 = 2
	methodReadIndex uint8 = 3
	methodJoin      uint8 = 4
	methodGrant     uint8 = 5
	methodMember    uint8 = 6
	methodTerm      uint8 = 7
)

// The code of a response is its status.
const (
	statusOK    uint8 = 0
	statusError uint8 = 1 // the body is a RemoteError
)

const (
	headerSize = 20
	// bodyChunk is how much memory is taken on the word of a header alone.
	bodyChunk = 64 << 10
)

// header begins every frame:
//
//	0  length of the body  uint32
//	4  kind                uint8
//	5  method or status    uint8
//	6  zero                uint16
//	8  time left, ms       uint32, 0 = not limited
//	12 id of the call      uint64
type header struct {
	length  uint32
	kind    frameKind
	code    uint8
	timeout uint32
	id      uint64
}

func (h header) appendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, h.length)
	dst = append(dst, byte(h.kind), h.code, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, h.timeout)
	return binary.BigEndian.AppendUint64(dst, h.id)
}

func parseHeader(b *[headerSize]byte) (header, error) {
	h := header{
		length:  binary.BigEndian.Uint32(b[0:]),
		kind:    frameKind(b[4]),
		code:    b[5],
		timeout: binary.BigEndian.Uint32(b[8:]),
		id:      binary.BigEndian.Uint64(b[12:]),
	}
	switch {
	case h.length > MaxBody:
		return header{}, fmt.Errorf("%w: a frame of %d bytes, at most %d are possible", ErrProtocol, h.length, MaxBody)
	case b[6] != 0 || b[7] != 0:
		return header{}, fmt.Errorf("%w: reserved bytes of a frame are set", ErrProtocol)
	case h.kind < kindRequest || h.kind > kindPong:
		return header{}, fmt.Errorf("%w: unknown kind of frame %d", ErrProtocol, h.kind)
	case h.kind > kindResponse && h.length != 0:
		return header{}, fmt.Errorf("%w: a frame of kind %d with a body", ErrProtocol, h.kind)
	}
	return h, nil
}

func readHeader(r io.Reader, scratch *[headerSize]byte) (header, error) {
	if _, err := io.ReadFull(r, scratch[:]); err != nil {
		return header{}, err
	}
	return parseHeader(scratch)
}

// readBody reads n bytes into buf. Memory grows with what arrives, not with
// what the header promises.
func readBody(r io.Reader, n int, buf []byte) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < n {
		step := min(n-len(buf), max(bodyChunk, len(buf)))
		buf = slices.Grow(buf, step)
		got, err := io.ReadFull(r, buf[len(buf):len(buf)+step])
		buf = buf[:len(buf)+got]
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// wireTimeout is a remaining time as a frame carries it: whole milliseconds,
// rounded up, at least one.
func wireTimeout(left time.Duration) uint32 {
	ms := left / time.Millisecond
	if left%time.Millisecond > 0 {
		ms++
	}
	return uint32(min(max(ms, 1), math.MaxUint32))
}
