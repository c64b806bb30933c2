package transport

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrUnreachable means that the request certainly did not reach a handler:
	// the peer could not be dialled, refused the connection, or is not serving.
	// It may be repeated.
	ErrUnreachable = errors.New("the node cannot be reached")
	// ErrOutcomeUnknown means that the request was sent, or begun to be sent,
	// and no answer came back. It may have taken effect.
	ErrOutcomeUnknown = errors.New("the request was sent and its outcome is unknown")
	// ErrSpeaksHTTP means that the address belongs to an HTTP server. It comes
	// with ErrUnreachable.
	ErrSpeaksHTTP = errors.New("the address speaks HTTP")
	// ErrProtocol means that the peer and this node do not speak the same
	// protocol: another version, TLS against plain text, or another program. It
	// comes with ErrUnreachable when that shows before a request is sent.
	ErrProtocol = errors.New("the peer does not speak this node's protocol")
	// ErrNotLeader means that the asked node does not lead, and did nothing.
	ErrNotLeader = errors.New("the node is not the leader")
	// ErrWrongCluster means that the two nodes belong to different clusters.
	ErrWrongCluster = errors.New("the node belongs to another cluster")
	// ErrRefused means that the asked node will not do what was asked, for the
	// reason given, and did nothing.
	ErrRefused = errors.New("the node refuses the request")
	// ErrOverloaded means that the asked node has too much to do, and did
	// nothing.
	ErrOverloaded = errors.New("the node is overloaded")
	// ErrTooLarge means that a request is larger than MaxBody and was not sent,
	// or that its answer was and is lost.
	ErrTooLarge = errors.New("the message is too large")
	// ErrClosed means that this transport is closed.
	ErrClosed = errors.New("the transport is closed")
	// ErrDeaf means that this transport was cut off from the other nodes
	// (SetDeaf).
	ErrDeaf = errors.New("this node has cut itself off from the others")
	// ErrNoSpace means that the asked node refuses a write for want of disk space,
	// and did nothing.
	ErrNoSpace = errors.New("the node refuses writes for want of disk space")
)

// The codes by which errors cross the wire. They are part of the protocol: one
// that is in use never changes its meaning.
const (
	CodeOutcomeUnknown = "outcome_unknown"
	CodeNotLeader      = "not_leader"
	CodeWrongCluster   = "wrong_cluster"
	CodeOverloaded     = "overloaded"
	CodeRefused        = "refused"
	CodeTooLarge       = "too_large"
	CodeNotServing     = "not_serving"
	CodeUnknownMethod  = "unknown_method"
	CodeBadRequest     = "bad_request"
	CodeNoSpace        = "no_space"
	CodeInternal       = "internal"
)

// RemoteError is an error that another node's handler answered with. errors.Is
// finds the Err… that its code stands for.
type RemoteError struct {
	// Code is one of the Code… constants, or one that a newer node knows.
	Code string `cbor:"1,keyasint"`
	// Message is the remote error's text.
	Message string `cbor:"2,keyasint,omitempty"`
	// Leader is the node-to-node address of the leader, if the remote node gave
	// it; a handler does so by returning a *RemoteError.
	Leader string `cbor:"3,keyasint,omitempty"`
}

func (e *RemoteError) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return e.Message
}

// Is reports whether the code stands for target.
func (e *RemoteError) Is(target error) bool {
	switch e.Code {
	case CodeOutcomeUnknown, CodeInternal:
		return target == ErrOutcomeUnknown
	case CodeNotLeader:
		return target == ErrNotLeader
	case CodeWrongCluster:
		return target == ErrWrongCluster
	case CodeOverloaded:
		return target == ErrOverloaded
	case CodeRefused:
		return target == ErrRefused
	case CodeNoSpace:
		return target == ErrNoSpace
	case CodeTooLarge:
		return target == ErrTooLarge || target == ErrOutcomeUnknown
	case CodeNotServing:
		return target == ErrUnreachable
	case CodeUnknownMethod, CodeBadRequest:
		return target == ErrRefused
	default:
		return target == ErrOutcomeUnknown
	}
}

// remoteError puts a handler's error into its wire form. Where an error is
// several things at once, the most cautious one counts.
func remoteError(err error) *RemoteError {
	if remote := (*RemoteError)(nil); errors.As(err, &remote) {
		return &RemoteError{Code: remote.Code, Message: err.Error(), Leader: remote.Leader}
	}
	code := CodeInternal
	switch {
	case errors.Is(err, ErrOutcomeUnknown):
		code = CodeOutcomeUnknown
	case errors.Is(err, ErrNotLeader):
		code = CodeNotLeader
	case errors.Is(err, ErrWrongCluster):
		code = CodeWrongCluster
	case errors.Is(err, ErrOverloaded):
		code = CodeOverloaded
	case errors.Is(err, ErrNoSpace):
		code = CodeNoSpace
	case errors.Is(err, ErrRefused):
		code = CodeRefused
	case errors.Is(err, ErrTooLarge):
		code = CodeTooLarge
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		code = CodeOutcomeUnknown
	}
	return &RemoteError{Code: code, Message: err.Error()}
}

func unreachable(addr string, cause error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnreachable, addr, cause)
}

func outcomeUnknown(addr string, cause error) error {
	return fmt.Errorf("%w: %s: %w", ErrOutcomeUnknown, addr, cause)
}
