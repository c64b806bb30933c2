package transport

import "fmt"

// protocolVersion is the version of everything after the preface, raft's
// stream excepted.
const protocolVersion = 1

// The kinds of connections: the first byte of the preface.
const (
	protoRaft byte = 0x01
	protoRPC  byte = 0x02
)

// The listener's answers: the first byte of its preface. None of them may be
// an upper-case letter (HTTP) or 0x15, 0x16 (TLS).
const (
	answerAccepted    byte = 0x80
	answerVersion     byte = 0x81 // another version; the fourth byte is the listener's
	answerNeedsTLS    byte = 0x82
	answerNeedsPlain  byte = 0x83
	answerUnknownKind byte = 0x84
	answerFull        byte = 0x85
)

const (
	prefaceSize  = 8
	tlsHandshake = 0x16 // the first byte that a TLS client sends
	tlsAlert     = 0x15
)

// preface is how both directions of a connection begin. The line ends make an
// HTTP server take it for a whole, malformed request and answer at once.
func preface(first, version byte) []byte {
	return []byte{first, 'S', 'T', version, '\r', '\n', '\r', '\n'}
}

func isPreface(b []byte) bool { return len(b) >= 3 && b[1] == 'S' && b[2] == 'T' }

// looksHTTP tells whether a client's first byte begins an HTTP method.
func looksHTTP(first byte) bool { return first >= 'A' && first <= 'Z' }

// checkAnswer turns the listener's first bytes into what the dialling side
// should know. b holds at least five bytes.
func checkAnswer(b []byte) error {
	switch {
	case string(b[:5]) == "HTTP/":
		return fmt.Errorf("%w: it is an HTTP server, not the node-to-node port of a StemeDB node; give node-to-node addresses to --join (default port 18182), not HTTP ones (default port 18180)", ErrSpeaksHTTP)
	case (b[0] == tlsAlert || b[0] == tlsHandshake) && b[1] == 3:
		return fmt.Errorf("%w: it speaks TLS and this node does not; give this node a certificate, key and CA of the cluster", ErrProtocol)
	case !isPreface(b):
		return fmt.Errorf("%w: %q is not how a StemeDB node answers; is this the node-to-node port (default 18182)?", ErrProtocol, b)
	}
	switch b[0] {
	case answerAccepted:
		return nil
	case answerVersion:
		return fmt.Errorf("%w: it speaks version %d of the node-to-node protocol, this node version %d; upgrade the older of the two", ErrProtocol, b[3], protocolVersion)
	case answerNeedsTLS:
		return fmt.Errorf("%w: it demands TLS and this node has none; give this node a certificate, key and CA of the cluster", ErrProtocol)
	case answerNeedsPlain:
		return fmt.Errorf("%w: it has no certificate and this node demands TLS; give that node a certificate, key and CA of the cluster", ErrProtocol)
	case answerFull:
		return fmt.Errorf("%w: it has too many open connections", ErrOverloaded)
	case answerUnknownKind:
		return fmt.Errorf("%w: it does not know this kind of connection; upgrade the older of the two nodes", ErrProtocol)
	default:
		return fmt.Errorf("%w: unknown answer %#x", ErrProtocol, b[0])
	}
}
