package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// Assert stores a signed claim. An answer with the status `exists` is a success
// too: the claim was there, or an earlier try of this call stored it.
func (c *Client) Assert(ctx context.Context, a *assertion.Assertion) (*v1.AssertResponse, error) {
	body, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode the claim: %w", err)
	}
	return c.AssertJSON(ctx, body)
}

// AssertJSON stores a signed claim that is encoded already.
func (c *Client) AssertJSON(ctx context.Context, body []byte) (*v1.AssertResponse, error) {
	out := new(v1.AssertResponse)
	if err := c.do(ctx, call{method: http.MethodPost, path: "/v1/assert", contentType: v1.MediaJSON, body: body}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// AssertBatch stores signed claims, in as many requests as the limits need.
// The results are in the order of the claims, numbered from 1; each claim is
// decided by itself, so that an answer without an error may hold refusals. An
// error means that the claims it names and those after them may not have been
// stored; the results up to there are returned with it.
func (c *Client) AssertBatch(ctx context.Context, claims []*assertion.Assertion) (*v1.BatchResponse, error) {
	lines := make([][]byte, len(claims))
	for i, a := range claims {
		line, err := json.Marshal(a)
		if err != nil {
			return nil, fmt.Errorf("encode claim %d: %w", i+1, err)
		}
		lines[i] = line
	}
	all := &v1.BatchResponse{}
	for at := 0; at < len(lines); {
		end := chunk(lines, at)
		part, err := c.AssertNDJSON(ctx, append(bytes.Join(lines[at:end], []byte{'\n'}), '\n'))
		if err == nil && len(part.Results) != end-at {
			err = fmt.Errorf("%d results for %d claims", len(part.Results), end-at)
		}
		if err != nil {
			return all, fmt.Errorf("claims %d to %d: %w", at+1, end, err)
		}
		if err := c.proveAgain(ctx, lines[at:end], part); err != nil {
			return all, fmt.Errorf("claims %d to %d: %w", at+1, end, err)
		}
		for i := range part.Results {
			part.Results[i].Line = at + i + 1
		}
		all.Results = append(all.Results, part.Results...)
		all.Index = max(all.Index, part.Index)
		at = end
	}
	return all, nil
}

// proveAgain sends the lines of a batch again whose proof of work was good for
// nothing any more when the cluster decided on them, as after an answer that was
// lost.
func (c *Client) proveAgain(ctx context.Context, lines [][]byte, answer *v1.BatchResponse) error {
	for range maxProofs {
		var places []int
		var again [][]byte
		for i, r := range answer.Results {
			if r.Code == v1.CodeWorkReused || r.Code == v1.CodeWorkStale {
				places, again = append(places, i), append(again, lines[i])
			}
		}
		if len(again) == 0 {
			return nil
		}
		part, err := c.AssertNDJSON(ctx, append(bytes.Join(again, []byte{'\n'}), '\n'))
		if err == nil && len(part.Results) != len(again) {
			err = fmt.Errorf("%d results for %d claims", len(part.Results), len(again))
		}
		if err != nil {
			return err
		}
		for j, i := range places {
			answer.Results[i] = part.Results[j]
		}
		answer.Index = max(answer.Index, part.Index)
	}
	return nil
}

// chunk is the end of the longest run of lines from at on that one request may
// hold.
func chunk(lines [][]byte, at int) int {
	size, end := 0, at
	for end < len(lines) && end-at < v1.MaxBatchClaims {
		size += len(lines[end]) + 1
		if size > v1.MaxBatchBytes && end > at {
			break
		}
		end++
	}
	return end
}

// AssertNDJSON stores the claims of one request that is encoded already: one
// claim a line, within the limits of a batch.
func (c *Client) AssertNDJSON(ctx context.Context, body []byte) (*v1.BatchResponse, error) {
	out := new(v1.BatchResponse)
	if err := c.do(ctx, call{method: http.MethodPost, path: "/v1/assert/batch", contentType: v1.MediaNDJSON, body: body}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Prepare asks a node for the canonical bytes and the hash of a claim, to
// compare with one's own.
func (c *Client) Prepare(ctx context.Context, a *assertion.Assertion) (*v1.PrepareResponse, error) {
	unsigned := *a
	unsigned.Signatures = nil
	body, err := json.Marshal(&unsigned)
	if err != nil {
		return nil, fmt.Errorf("encode the claim: %w", err)
	}
	out := new(v1.PrepareResponse)
	if err := c.do(ctx, call{method: http.MethodPost, path: "/v1/assert/prepare", contentType: v1.MediaJSON, body: body}, out); err != nil {
		return nil, err
	}
	return out, nil
}
