package client

import (
	"errors"
	"fmt"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
)

// CodeUnexpectedAnswer is the code of an Error that the client made because the
// answer held no problem document: something other than StemeDB has answered.
const CodeUnexpectedAnswer = "unexpected_answer"

// Error is a refusal by the server. errors.Is(err, client.Code(v1.CodeNotOwner))
// asks for a particular one.
type Error struct {
	v1.Problem
	// Endpoint is the URL of the node that answered.
	Endpoint string
	// RetryAfter is how long the server asks to wait; 0 if it does not say.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	text := e.Problem.Error()
	if e.RequestID != "" {
		text += fmt.Sprintf(" (request %s at %s)", e.RequestID, e.Endpoint)
	}
	return text
}

// Is makes errors.Is work with a Code.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && string(code) == e.Code
}

// Code is a problem's code as an error to compare with.
type Code string

func (c Code) Error() string { return string(c) }

// ErrUnreachable means that a node gave no answer: no connection, or one that
// broke. A write may have taken effect; repeating it is safe.
var ErrUnreachable = errors.New("no answer")

// errAnswerTooLarge means that an answer was longer than maxAnswerBytes.
var errAnswerTooLarge = errors.New("the answer is too large")
