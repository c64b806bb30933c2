package api

import (
	"encoding/hex"
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
	if err := mayStore(c, claim); err != nil {
		return err
	}
	if err := s.traced(c, "verify", func() error { return claim.Verify(s.verification()) }); err != nil {
		return err
	}
	return s.put(c, store, claim)
}

// put stores one verified entry and answers what became of it.
func (s *Server) put(c echo.Context, store Store, entry assertion.Entry) error {
	result, err := s.write(c, store, []assertion.Entry{entry})
	if err != nil {
		return err
	}
	setIndex(c, result.Index)
	outcome := result.Results[0]
	if outcome.Refused != nil {
		return outcome.Refused
	}
	if f := entryRefusal(entry, outcome); f != nil {
		return f
	}
	status, code := status(outcome.Outcome), http.StatusOK
	switch status {
	case v1.StatusCreated:
		code = http.StatusCreated
	case v1.StatusQuarantined:
		code = http.StatusAccepted
	}
	return s.answer(c, code, v1.MediaJSON, v1.AssertResponse{Hash: outcome.Hash, Status: status, Index: result.Index, Findings: outcome.Findings})
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

// caller is on whose behalf a request is answered.
func (s *Server) caller(c echo.Context) Caller {
	id, _ := c.Get(requestIDKey).(string)
	_, remote := s.clientAddr(c.Request())
	out := Caller{RequestID: id, RemoteAddr: remote}
	if agent, named := agentOf(c); named {
		out.AgentID = agent.String()
	}
	return out
}

// agentKey is where readAgent leaves the agent in the echo.Context.
const agentKey = "agent_id"

// readAgent reads the agent that the request names in X-Agent-Id. One that is
// ill-formed is refused: the audit would miss the request.
func readAgent(c echo.Context) error {
	named := c.Request().Header.Get(v1.HeaderAgentID)
	if named == "" {
		return nil
	}
	agent, err := assertion.ParseAgentID(named)
	if err != nil {
		f := *faultOf(err)
		f.field = v1.HeaderAgentID
		return &f
	}
	c.Set(agentKey, agent)
	return nil
}

// agentOf is the agent that the request names, if it names one.
func agentOf(c echo.Context) (agent assertion.AgentID, named bool) {
	agent, named = c.Get(agentKey).(assertion.AgentID)
	return agent, named
}
