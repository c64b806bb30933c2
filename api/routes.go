package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// route is one route with its documentation: the parameters that it accepts
// are exactly those that it documents.
type route struct {
	method, path string
	handler      func(s *Server) echo.HandlerFunc
	// lenient leaves the query string to the handler.
	lenient bool
	doc     operation
}

// serve makes the handler of a route.
func (s *Server) serve(r route) echo.HandlerFunc {
	handle := r.handler(s)
	demand := s.gate.table.Access(r.method, r.path)
	return func(c echo.Context) error {
		if err := s.authorize(c, demand); err != nil {
			return err
		}
		if err := s.openAccount(c, demand); err != nil {
			return err
		}
		err := r.answer(c, handle)
		s.settle(c, demand, err)
		return err
	}
}

// answer handles a request that was let through.
func (r *route) answer(c echo.Context, handle echo.HandlerFunc) error {
	if !r.lenient {
		if err := r.strict(c); err != nil {
			return err
		}
	}
	if r.versioned() {
		if err := readAgent(c); err != nil {
			return err
		}
	}
	return handle(c)
}

// versioned tells the routes of the API from those of operation.
func (r *route) versioned() bool { return strings.HasPrefix(r.path, "/v1/") }

// refusals are the codes that serve itself may answer with.
func (r *route) refusals() (codes []string) {
	if !r.lenient {
		codes = append(codes, v1.CodeUnknownParameter, v1.CodeInvalidParameter)
	}
	if r.versioned() {
		codes = append(codes, assertion.CodeHashInvalid)
	}
	return codes
}

// simple makes a handler factory of a method.
func simple(h func(s *Server, c echo.Context) error) func(*Server) echo.HandlerFunc {
	return func(s *Server) echo.HandlerFunc {
		return func(c echo.Context) error { return h(s, c) }
	}
}

// routes is every route of the API.
func routes() []route { return append(dataRoutes(), membershipRoutes()...) }

// dataRoutes are all but those that change the membership.
func dataRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/v1/assert", handler: simple((*Server).assert), doc: assertDoc()},
		{method: http.MethodPost, path: "/v1/assert/batch", handler: simple((*Server).batch), doc: batchDoc()},
		{method: http.MethodPost, path: "/v1/assert/prepare", handler: simple((*Server).prepare), doc: prepareDoc()},
		{method: http.MethodPost, path: "/v1/vote", doc: voteDoc(), handler: accept(v1.MaxAssertBytes, decoded(assertion.DecodeVoteJSON))},
		{method: http.MethodPost, path: "/v1/epoch", doc: epochDoc(), handler: accept(v1.MaxAssertBytes, decoded(assertion.DecodeEpochJSON))},
		{method: http.MethodPost, path: "/v1/supersede", doc: supersedeDoc(), handler: accept(v1.MaxAssertBytes, decoded(assertion.DecodeSupersessionJSON))},
		{method: http.MethodPost, path: "/v1/sources", doc: registerSourceDoc(), handler: accept(v1.MaxSourceBytes, decoded(assertion.DecodeSourceJSON))},
		{method: http.MethodPost, path: "/v1/sources/:hash/retract", doc: statusDoc("retractSource", "Retract a source", "Every claim on the source, earlier and later ones, is left out of answers from now on; the past stays as it was known."),
			handler: accept(v1.MaxAssertBytes, statusChange(true))},
		{method: http.MethodPost, path: "/v1/sources/:hash/reinstate", doc: statusDoc("reinstateSource", "Take back the retraction of a source", "The claims on the source count again."),
			handler: accept(v1.MaxAssertBytes, statusChange(false))},
		{method: http.MethodPost, path: "/v1/concepts/aliases", doc: aliasDoc(), handler: accept(v1.MaxAssertBytes, decoded(assertion.DecodeAliasJSON))},
		{method: http.MethodPost, path: "/v1/trust/endorsements", doc: endorseDoc(), handler: accept(v1.MaxAssertBytes, decoded(assertion.DecodeEndorsementJSON))},
		{method: http.MethodPost, path: "/v1/trust/seeds", doc: seedsDoc(), handler: accept(v1.MaxAssertBytes, decoded(assertion.DecodeSeedsJSON))},
		{method: http.MethodPost, path: "/v1/admin/gold", doc: labelDoc(), handler: accept(v1.MaxAssertBytes, decoded(assertion.DecodeLabelJSON))},
		{method: http.MethodGet, path: "/v1/admin/quarantine", doc: quarantineDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("quarantine", planQuarantine) }},
		{method: http.MethodPost, path: "/v1/admin/quarantine/:hash/approve", handler: decide(true), doc: decisionDoc("approveClaim", "Approve a quarantined claim", "From now on answers show it and its signers are voices; the past stays as it was known.")},
		{method: http.MethodPost, path: "/v1/admin/quarantine/:hash/reject", handler: decide(false), doc: decisionDoc("rejectClaim", "Reject a quarantined claim", "Answers go on leaving it out. A later decision may take this back.")},
		{method: http.MethodGet, path: "/v1/admin/log_level", handler: simple((*Server).logLevel), doc: logLevelDoc()},
		{method: http.MethodPost, path: "/v1/admin/log_level", handler: simple((*Server).setLogLevel), doc: setLogLevelDoc()},
		{method: http.MethodGet, path: "/debug/pprof/:profile", handler: simple((*Server).profile), doc: profileDoc()},
		{method: http.MethodGet, path: "/v1/admission/status", doc: admissionDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("admission", planAdmission) }},
		{method: http.MethodGet, path: "/v1/admin/circuit_breakers", handler: simple((*Server).listBreakers), doc: listBreakersDoc()},
		{method: http.MethodPost, path: "/v1/admin/circuit_breakers/:agent/reset", handler: simple((*Server).resetBreaker), doc: resetBreakerDoc()},
		{method: http.MethodGet, path: "/v1/keys", handler: simple((*Server).listKeys), doc: listKeysDoc()},
		{method: http.MethodPost, path: "/v1/keys", handler: simple((*Server).createKey), doc: createKeyDoc()},
		{method: http.MethodPatch, path: "/v1/keys/:id", handler: simple((*Server).updateKey), doc: updateKeyDoc()},
		{method: http.MethodDelete, path: "/v1/keys/:id", handler: simple((*Server).revokeKey), doc: revokeKeyDoc()},
		{method: http.MethodPost, path: "/v1/keys/:id/rotate", handler: simple((*Server).rotateKey), doc: rotateKeyDoc()},
		{method: http.MethodGet, path: "/v1/assertions/:hash", doc: claimDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("assertions", planClaim) }},
		{method: http.MethodGet, path: "/v1/query", doc: queryDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("query", planQuery) }},
		{method: http.MethodGet, path: "/v1/skeptic", doc: skepticDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("skeptic", planSkeptic) }},
		{method: http.MethodGet, path: "/v1/layered", doc: layeredDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("layered", planLayered) }},
		{method: http.MethodGet, path: "/v1/trace/:hash", doc: traceDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("trace", planTrace) }},
		{method: http.MethodGet, path: "/v1/epochs/:hash", doc: epochReadDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("epochs", planEpoch) }},
		{method: http.MethodGet, path: "/v1/constraints", doc: constraintsDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("constraints", planConstraints) }},
		{method: http.MethodGet, path: "/v1/conflicts", doc: conflictsDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("conflicts", planConflicts) }},
		{method: http.MethodGet, path: "/v1/subjects", doc: subjectsDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("subjects", planSubjects) }},
		{method: http.MethodGet, path: "/v1/sources", doc: sourcesDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("sources", planSources) }},
		{method: http.MethodGet, path: "/v1/sources/:hash", doc: sourceDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("source", planSource) }},
		{method: http.MethodGet, path: "/v1/sources/:hash/impact", doc: impactDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("impact", planImpact) }},
		{method: http.MethodGet, path: "/v1/concepts/aliases", doc: aliasesDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("aliases", planAliases) }},
		{method: http.MethodGet, path: "/v1/concepts/*", doc: conceptDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("concepts", planConcept) }},
		{method: http.MethodGet, path: "/v1/trust/:agent", doc: trustDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("trust", planTrust) }},
		{method: http.MethodGet, path: "/v1/admin/gold", doc: goldDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("gold", planGold) }},
		{method: http.MethodGet, path: "/v1/cluster/keys", doc: nodeKeysDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("node_keys", planNodeKeys) }},
		{method: http.MethodGet, path: "/v1/feed", doc: feedDoc(),
			handler: func(s *Server) echo.HandlerFunc { return s.reading("feed", planFeed) }},
		{method: http.MethodGet, path: "/v1/diff", handler: simple((*Server).diff), doc: diffDoc()},
		{method: http.MethodGet, path: "/v1/watch", handler: simple((*Server).watch), doc: watchDoc()},
		{method: http.MethodGet, path: "/v1/export", handler: simple((*Server).export), doc: exportDoc()},
		{method: http.MethodGet, path: "/v1/audit/queries", handler: simple((*Server).auditQueries), doc: auditQueriesDoc()},
		{method: http.MethodGet, path: "/v1/audit/query/:id", handler: simple((*Server).auditQuery), doc: auditQueryDoc()},
		{method: http.MethodGet, path: "/v1/lenses", handler: simple((*Server).lenses), doc: operation{
			id: "lenses", tag: tagAnswers, summary: "The lenses with their rules and formulas",
			answers: []answerDoc{{http.StatusOK, "Every lens, and what a question may be asked with.", v1.MediaJSON, "LensesResponse"}},
		}},
		{method: http.MethodGet, path: "/v1/health", handler: simple((*Server).health), doc: operation{
			id: "health", tag: tagCluster, summary: "State of this node",
			description: "Always 200; the state is in `status`. Load balancers ask `/readyz`.",
			answers:     []answerDoc{{http.StatusOK, "The node's state", v1.MediaJSON, "Health"}},
		}},
		{method: http.MethodGet, path: "/v1/cluster", handler: simple((*Server).cluster), doc: operation{
			id: "cluster", tag: tagCluster, summary: "The cluster as this node sees it",
			answers: []answerDoc{{http.StatusOK, "Members, leader, lag and digest", v1.MediaJSON, "Cluster"}},
			codes:   []string{v1.CodeRecovering},
		}},
		{method: http.MethodGet, path: "/livez", handler: simple((*Server).livez), doc: operation{
			id: "livez", tag: tagOperations, summary: "Is the process alive",
			description: "200 as long as the process answers, also while it recovers.",
			answers:     []answerDoc{{http.StatusOK, "Alive", v1.MediaJSON, "Liveness"}},
		}},
		{method: http.MethodGet, path: "/readyz", handler: simple((*Server).readyz), doc: operation{
			id: "readyz", tag: tagOperations, summary: "Should the node receive requests",
			description: "Recovered, a member, digest in agreement, not far behind. Needs no leader. When not ready, the problem's `checks` say why.",
			params: []paramDoc{{in: inQuery, name: "verbose", schema: `{"type":"string","enum":["","true","1"]}`, example: "true",
				description: "Lists every check, not only those that fail."}},
			answers: []answerDoc{{http.StatusOK, "Ready", v1.MediaJSON, "Readiness"}},
			codes:   []string{v1.CodeNotReady, v1.CodeRecovering},
		}},
		{method: http.MethodGet, path: "/metrics", handler: simple((*Server).serveMetrics), lenient: true, doc: operation{
			id: "metrics", tag: tagOperations, summary: "Metrics in Prometheus' text format",
			answers: []answerDoc{{http.StatusOK, "Metrics", "text/plain", ""}},
		}},
		{method: http.MethodGet, path: "/openapi.json", handler: simple((*Server).serveOpenAPI), doc: operation{
			id: "openapi", tag: tagOperations, summary: "This document",
			answers: []answerDoc{{http.StatusOK, "An OpenAPI 3.1 document", v1.MediaJSON, ""}},
		}},
		{method: http.MethodGet, path: "/docs", handler: simple((*Server).serveDocs), doc: operation{
			id: "docs", tag: tagOperations, summary: "This document as a page for people",
			answers: []answerDoc{{http.StatusOK, "A page that needs no internet", "text/html", ""}},
		}},
	}
}
