package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// assert is POST /v1/assert.
func (s *Server) assert(c echo.Context) error {
	store, err := s.store()
	if err != nil {
		return err
	}
	body, err := s.claimBody(c)
	if err != nil {
		return err
	}
	claim, err := s.admit(body)
	if err != nil {
		return err
	}
	if err := claim.Verify(s.verification()); err != nil {
		return err
	}
	result, err := s.write(c, store, []*assertion.Assertion{claim})
	if err != nil {
		return err
	}
	setIndex(c, result.Index)
	outcome := result.Results[0]
	if f := refusal(outcome); f != nil {
		return f
	}
	status, code := status(outcome.Outcome), http.StatusOK
	if status == v1.StatusCreated {
		code = http.StatusCreated
	}
	return s.answer(c, code, v1.MediaJSON, v1.AssertResponse{Hash: outcome.Hash, Status: status, Index: result.Index})
}

// prepare is POST /v1/assert/prepare. It holds the claim to everything but its
// signatures, which it ignores.
func (s *Server) prepare(c echo.Context) error {
	body, err := s.claimBody(c)
	if err != nil {
		return err
	}
	claim, err := s.admit(body)
	if err != nil {
		return err
	}
	claim.Signatures = []assertion.Signature{} // in JSON [], for the client to fill
	hash := claim.ContentHash()
	return s.ok(c, v1.PrepareResponse{
		Hash: hash, Content: hex.EncodeToString(claim.ContentBytes()),
		Sign: hex.EncodeToString(hash[:]), Assertion: *claim,
	})
}

func (s *Server) claimBody(c echo.Context) ([]byte, error) {
	if _, err := mediaType(c.Request(), v1.MediaJSON); err != nil {
		return nil, err
	}
	return readBody(c, v1.MaxAssertBytes)
}

// admit reads one claim and holds it to the limits and the clock. Only its
// signatures are left to verify.
func (s *Server) admit(text []byte) (*assertion.Assertion, error) {
	claim, err := assertion.DecodeJSON(text)
	if err != nil {
		return nil, err
	}
	if err := claim.Validate(); err != nil {
		return nil, err
	}
	if err := claim.CheckTimestamp(s.now()); err != nil {
		return nil, err
	}
	return claim, nil
}

func (s *Server) verification() assertion.VerifyOptions {
	return assertion.VerifyOptions{AcceptV1: s.config.AcceptV1}
}

// write stores verified claims and counts what was taken in.
func (s *Server) write(c echo.Context, store Store, claims []*assertion.Assertion) (WriteResult, error) {
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.config.RequestTimeout)
	defer cancel()
	id, _ := c.Get(requestIDKey).(string)
	result, err := store.Assert(ctx, Caller{RequestID: id, RemoteAddr: c.Request().RemoteAddr}, claims)
	if err != nil {
		if ctx.Err() != nil && !known(err) {
			err = fmt.Errorf("%w: the node did not answer in time (%w)", ErrOutcomeUnknown, err)
		}
		return WriteResult{}, err
	}
	if len(result.Results) != len(claims) {
		return WriteResult{}, fmt.Errorf("the store answered %d outcomes for %d claims", len(result.Results), len(claims))
	}
	taken := 0
	for _, r := range result.Results {
		if r.Outcome == Created || r.Outcome == Cosigned {
			taken++
		}
	}
	s.metrics.ingested.Add(float64(taken))
	return result, nil
}
