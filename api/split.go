package api

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// errTooManyLines means that a batch holds more claims than allowed.
var errTooManyLines = errors.New("too many claims in the batch")

// splitLines takes NDJSON apart. Lines of white space count as lines but hold
// no claim.
func splitLines(body []byte, most int) ([]batchLine, error) {
	var lines []batchLine
	for number := 1; len(body) > 0; number++ {
		line, rest, _ := bytes.Cut(body, []byte{'\n'})
		body = rest
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(lines) == most {
			return nil, errTooManyLines
		}
		lines = append(lines, batchLine{number: number, text: line})
	}
	return lines, nil
}

// splitArray takes a JSON array apart without reading its elements: it follows
// strings and brackets only, so that an element that is no valid claim, or no
// valid JSON, is that element's fault alone. What is not an array at all is
// refused as a whole.
func splitArray(body []byte, most int) ([]batchLine, error) {
	body = bytes.TrimSpace(body)
	if len(body) < 2 || body[0] != '[' || body[len(body)-1] != ']' {
		return nil, notAnArray("the body does not begin with [ and end with ]")
	}
	inside := body[1 : len(body)-1]
	if len(bytes.TrimSpace(inside)) == 0 {
		return nil, nil
	}
	var lines []batchLine
	for number := 1; ; number++ {
		end, err := elementEnd(inside)
		if err != nil {
			return nil, notAnArray(fmt.Sprintf("element %d: %v", number, err))
		}
		if len(lines) == most {
			return nil, errTooManyLines
		}
		lines = append(lines, batchLine{number: number, text: bytes.TrimSpace(inside[:end])})
		if end == len(inside) {
			return lines, nil
		}
		inside = inside[end+1:]
	}
}

// elementEnd returns where the first element of b ends: at a comma outside of
// strings and brackets, or at the end of b.
func elementEnd(b []byte) (int, error) {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			if depth--; depth < 0 {
				return 0, errors.New("a bracket closes that was never opened")
			}
		case c == ',' && depth == 0:
			return i, nil
		}
	}
	if quoted || depth > 0 {
		return 0, errors.New("a string or a bracket does not close")
	}
	return len(b), nil
}

func notAnArray(detail string) error {
	return &fault{code: assertion.CodeInvalidJSON, detail: detail, fix: "send a JSON array of claims, or NDJSON as application/x-ndjson"}
}
