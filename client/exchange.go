package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// maxAnswerBytes bounds an answer: 1,000 claims of 64 KiB, as JSON, fit.
const maxAnswerBytes = 256 << 20

// call is one request to whichever node answers.
type call struct {
	method, path, contentType string
	query                     url.Values
	body                      []byte
	// work is the proof of work that the node has asked for.
	work *assertion.Work
	// once says that doing it twice is not the same as doing it once: it is tried
	// again only if it was certainly not done.
	once bool
}

// opened is an answer that is read as it comes; its body is the caller's to close.
type opened struct {
	endpoint string
	*http.Response
}

// try sends a request to one node, once.
func (c *Client) try(ctx context.Context, endpoint string, k call, out any) error {
	target := endpoint + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, bytes.NewReader(k.body))
	if err != nil {
		return err
	}
	if k.body != nil {
		req.Header.Set("Content-Type", k.contentType)
	}
	if c.apiKey != "" {
		req.Header.Set("X-API-Key", c.apiKey)
	}
	if k.work != nil {
		req.Header.Set(v1.HeaderPoWNonce, strconv.FormatUint(k.work.Nonce, 10))
		req.Header.Set(v1.HeaderPoWTimestamp, strconv.FormatUint(k.work.Timestamp, 10))
	}
	passTrace(req)
	resp, err := c.http.Do(req)
	if err != nil {
		return noAnswer(endpoint, err)
	}
	if stream, ok := out.(*opened); ok && resp.StatusCode/100 == 2 {
		c.noteIndex(resp.Header.Get(v1.HeaderIndex))
		*stream = opened{endpoint, resp}
		return nil
	}
	defer resp.Body.Close()
	body, err := readAnswer(resp)
	if errors.Is(err, errAnswerTooLarge) {
		return fmt.Errorf("%w: %s: ask for less, with limit or filters", err, endpoint)
	}
	if err != nil {
		return noAnswer(endpoint, fmt.Errorf("it broke off: %w", err))
	}
	c.noteIndex(resp.Header.Get(v1.HeaderIndex))
	if resp.StatusCode/100 != 2 {
		return problemOf(endpoint, resp, body)
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = body
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("the answer of %s cannot be read: %w", endpoint, err)
	}
	return nil
}

func noAnswer(endpoint string, err error) error {
	var outer *url.Error // says the URL again
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return fmt.Errorf("%w from %s: %w", ErrUnreachable, endpoint, err)
}

// readAnswer reads a body into memory that is allocated once where its length
// is known.
func readAnswer(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > maxAnswerBytes {
		return nil, errAnswerTooLarge
	}
	if resp.ContentLength >= 0 {
		body := make([]byte, resp.ContentLength)
		_, err := io.ReadFull(resp.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if len(body) > maxAnswerBytes {
		return nil, errAnswerTooLarge
	}
	return body, err
}

// problemOf reads the problem in an answer, or makes one where something other
// than StemeDB has answered.
func problemOf(endpoint string, resp *http.Response, body []byte) error {
	e := &Error{Endpoint: endpoint, RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	if json.Unmarshal(body, &e.Problem) != nil || e.Code == "" {
		const most = 200
		e.Problem = v1.Problem{Status: resp.StatusCode, Code: CodeUnexpectedAnswer,
			Detail: fmt.Sprintf("HTTP status %d without a problem document: %.*q", resp.StatusCode, most, body),
			Fix:    "check that the URL is that of a StemeDB node"}
	}
	e.Status = resp.StatusCode
	return e
}

// retryAfter reads the seconds of a Retry-After; nodes send no dates.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.ParseUint(header, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

func (c *Client) noteIndex(header string) {
	index, err := strconv.ParseUint(header, 10, 64)
	if err != nil {
		return
	}
	for {
		seen := c.seen.Load()
		if index <= seen || c.seen.CompareAndSwap(seen, index) {
			return
		}
	}
}

// sendJSON sends a body as JSON, none if it is nil, and reads the answer.
func sendJSON[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	return exchange[T](ctx, c, call{method: method, path: path}, body)
}

func exchange[T any](ctx context.Context, c *Client, k call, body any) (*T, error) {
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		k.contentType, k.body = v1.MediaJSON, raw
	}
	out := new(T)
	if err := c.do(ctx, k, out); err != nil {
		return nil, err
	}
	return out, nil
}

// passTrace sends the trace on that the request's context holds, as W3C
// traceparent and tracestate.
func passTrace(req *http.Request) {
	if ctx := req.Context(); trace.SpanContextFromContext(ctx).IsValid() {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(req.Header))
	}
}
