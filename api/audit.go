package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/auditlog"
	"github.com/stemedb/stemedb/lens"
)

// maxAuditedClaims bounds the claims that an audit record names.
const maxAuditedClaims = 100

// audited reports whether a read is to be recorded: it names an agent or comes
// with an API key, and the node keeps an audit.
func (s *Server) audited(c echo.Context) bool {
	_, named := agentOf(c)
	return (named || keyOf(c) != nil) && s.audit.Load() != nil
}

// KeepAudit begins to record the reads that name an agent in X-Agent-Id, or come
// with an API key. The caller closes the log after the server has ended.
func (s *Server) KeepAudit(l *auditlog.Log) { s.audit.Store(l) }

// record hands a read that is to be recorded to the audit, which writes it
// behind the answer.
func (s *Server) record(c echo.Context, index uint64, level Level, claims []assertion.Hash) error {
	if !s.audited(c) {
		return nil
	}
	agent, named := agentOf(c)
	who, keyID := "", ""
	if named {
		who = agent.String()
	}
	if key := keyOf(c); key != nil {
		keyID = key.ID
	}
	id, _ := c.Get(requestIDKey).(string)
	data, err := json.Marshal(v1.AuditRecord{
		Node: s.node(), AgentID: agent, KeyID: keyID, AskedAt: s.now(), Path: c.Request().URL.Path, Query: c.Request().URL.RawQuery,
		Index: index, Consistency: level.String(), Claims: append([]assertion.Hash{}, claims...), RequestID: id,
	})
	if err != nil {
		return fmt.Errorf("encode an audit record: %w", err)
	}
	s.audit.Load().Record(who, data) // one that is dropped is counted
	return nil
}

// answering are the claims that an audit record names for an answer, as
// v1.AuditRecord says.
func (r reader) answering(body any, q url.Values) ([]assertion.Hash, error) {
	var hashes []assertion.Hash
	switch body := body.(type) {
	case *v1.QueryResponse:
		for i := range body.Assertions {
			hashes = append(hashes, body.Assertions[i].Hash)
		}
	case *v1.AssertionDetail:
		hashes = append(hashes, body.Hash)
	case *v1.TraceResponse:
		for i := range body.Nodes {
			hashes = append(hashes, body.Nodes[i].Hash)
		}
	case *v1.QuarantineResponse:
		for i := range body.Claims {
			hashes = append(hashes, body.Claims[i].Hash)
		}
	case v1.FeedResponse:
		for _, e := range body.Events {
			if e.Assertion != nil {
				hashes = append(hashes, e.Assertion.Hash)
			}
		}
	case *v1.DiffResponse:
		for _, question := range body.Questions {
			for _, claim := range slices.Concat(question.Added, question.Removed) {
				hashes = append(hashes, claim.Hash)
			}
		}
	case v1.SkepticResponse, v1.LayeredResponse:
		f, err := question(q)
		if err != nil {
			return nil, err
		}
		return r.newestOn(f, q, f.Predicate)
	case v1.ConstraintsResponse:
		f, err := subjectOnly(q)
		if err != nil {
			return nil, err
		}
		return r.newestOn(f, q, lens.ConstraintPredicates()...)
	}
	return hashes[:min(len(hashes), maxAuditedClaims)], nil
}

// newestOn are the newest claims on questions of one subject, for each question
// an equal part of what a record may name.
func (r reader) newestOn(f assertion.Filter, q url.Values, predicates ...string) (hashes []assertion.Hash, err error) {
	a, err := askOf(f, q)
	if err != nil {
		return nil, err
	}
	for _, a.filter.Predicate = range predicates {
		page, err := r.page(a, "", maxAuditedClaims/len(predicates))
		if err != nil {
			return nil, err
		}
		for i := range page.Assertions {
			hashes = append(hashes, page.Assertions[i].Hash)
		}
	}
	return hashes, nil
}

// auditRecord reads a stored record.
func (s *Server) auditRecord(e auditlog.Entry) (v1.AuditRecord, error) {
	var record v1.AuditRecord
	if err := json.Unmarshal(e.Data, &record); err != nil {
		return record, fmt.Errorf("audit record %d: %w", e.ID, err)
	}
	record.ID = record.Node + "-" + strconv.FormatUint(e.ID, 10)
	return record, nil
}

func (s *Server) auditOff() error {
	return &fault{code: v1.CodeNotFound, detail: "this node keeps no audit of queries", fix: "switch it on with STEMEDB_AUDIT_ENABLED=true"}
}

// auditQueries is GET /v1/audit/queries.
func (s *Server) auditQueries(c echo.Context) error {
	if s.audit.Load() == nil {
		return s.auditOff()
	}
	q := c.QueryParams()
	limit, err := limitParam(q)
	if err != nil {
		return err
	}
	agent := ""
	if q.Has("agent_id") {
		id, err := assertion.ParseAgentID(q.Get("agent_id"))
		if err != nil {
			return invalid("agent_id", err.Error(), "")
		}
		agent = id.String()
	}
	before := uint64(0)
	if q.Has("cursor") {
		if before, err = strconv.ParseUint(q.Get("cursor"), 10, 64); err != nil || before == 0 {
			return ErrBadCursor
		}
	}
	entries, err := s.audit.Load().Page(agent, before, limit+1)
	if err != nil {
		return err
	}
	out := v1.AuditResponse{Queries: []v1.AuditRecord{}, Dropped: s.audit.Load().Dropped()}
	for i, e := range entries {
		if i == limit {
			out.NextCursor = strconv.FormatUint(entries[i-1].ID, 10)
			break
		}
		record, err := s.auditRecord(e)
		if err != nil {
			return err
		}
		out.Queries = append(out.Queries, record)
	}
	return s.ok(c, out)
}

// auditQuery is GET /v1/audit/query/:id.
func (s *Server) auditQuery(c echo.Context) error {
	if s.audit.Load() == nil {
		return s.auditOff()
	}
	at := strings.LastIndexByte(c.Param("id"), '-')
	number, err := strconv.ParseUint(c.Param("id")[at+1:], 10, 64)
	if at < 0 || err != nil {
		return invalid("id", "not the id of an audit record", "give an id of /v1/audit/queries")
	}
	if node := c.Param("id")[:at]; node != s.node() {
		return &fault{code: v1.CodeNotFound, field: "id", detail: fmt.Sprintf("the query was answered by the node %.63q, which keeps the record", node), fix: "ask that node; /v1/cluster has its address"}
	}
	entry, err := s.audit.Load().Get(number)
	if errors.Is(err, auditlog.ErrNotFound) {
		return &fault{code: v1.CodeNotFound, field: "id", detail: "there is no such record; it may have been removed to make room", fix: "list what there is with /v1/audit/queries"}
	}
	if err != nil {
		return err
	}
	record, err := s.auditRecord(entry)
	if err != nil {
		return err
	}
	return s.ok(c, record)
}
