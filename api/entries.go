package api

import (
	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// accept makes the handler of a write of one entry that is no claim: decode
// reads and normalises it; it is then held to its rules and, where it has them,
// to the clock and its signature.
func accept(limit int64, decode func(c echo.Context, body []byte) (assertion.Entry, error)) func(*Server) echo.HandlerFunc {
	return simple(func(s *Server, c echo.Context) error {
		store, err := s.store()
		if err != nil {
			return err
		}
		if _, err := mediaType(c.Request(), v1.MediaJSON); err != nil {
			return err
		}
		body, err := readBody(c, limit)
		if err != nil {
			return err
		}
		entry, err := decode(c, body)
		if err != nil {
			return err
		}
		if err := mayStore(c, entry); err != nil {
			return err
		}
		if err := s.traced(c, "verify", func() error { return s.hold(entry) }); err != nil {
			return err
		}
		return s.put(c, store, entry)
	})
}

// hold checks what an entry can be checked for without the state.
func (s *Server) hold(entry assertion.Entry) error {
	if e, ok := entry.(interface{ Validate() error }); ok {
		if err := e.Validate(); err != nil {
			return err
		}
	}
	if e, ok := entry.(interface{ CheckTimestamp(uint64) error }); ok {
		if err := e.CheckTimestamp(s.now()); err != nil {
			return err
		}
	}
	if e, ok := entry.(interface{ Verify() error }); ok {
		return e.Verify()
	}
	return nil
}

// entryRefusal is the fault of an outcome that refuses an entry.
func entryRefusal(entry assertion.Entry, r EntryResult) *fault {
	if entry.Kind() == assertion.KindAssertion {
		return refusal(r)
	}
	switch r.Outcome {
	case NotOwner:
		return &fault{code: v1.CodeNotOwner, field: "agent_id",
			detail: "only a signer of the original may do this", fix: "sign with a key that signed the original"}
	case TargetNotFound:
		if entry.Kind() == assertion.KindDecision {
			return &fault{code: v1.CodeTargetNotFound, field: "hash", detail: "no claim of this hash was ever quarantined", fix: "list those that were with GET /v1/admin/quarantine"}
		}
		field := map[assertion.Kind]string{
			assertion.KindVote: "assertion_hash", assertion.KindEpoch: "supersedes", assertion.KindSupersession: "superseded",
		}[entry.Kind()]
		return &fault{code: v1.CodeTargetNotFound, field: field,
			detail: "what the " + entry.Kind().String() + " is about is not there", fix: "check the hash; store what it names first"}
	}
	return refusal(r)
}

// decoded adapts a decoder that needs nothing of the request but its body.
func decoded[E assertion.Entry](decode func([]byte) (E, error)) func(echo.Context, []byte) (assertion.Entry, error) {
	return func(_ echo.Context, body []byte) (assertion.Entry, error) { return decode(body) }
}

// statusChange reads the body of a request to retract or reinstate a source.
func statusChange(retracted bool) func(echo.Context, []byte) (assertion.Entry, error) {
	return func(c echo.Context, body []byte) (assertion.Entry, error) {
		hash, err := hashInPath(c)
		if err != nil {
			return nil, err
		}
		return assertion.DecodeSourceStatusJSON(body, hash, retracted)
	}
}

// hashInPath reads the path's hash.
func hashInPath(c echo.Context) (assertion.Hash, error) {
	hash, err := assertion.ParseHash(c.Param("hash"))
	if err != nil {
		f := *faultOf(err)
		f.field = "hash"
		return hash, &f
	}
	return hash, nil
}
