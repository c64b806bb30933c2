package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
)

// health is GET /v1/health. It answers 200 in every state: the state is in the
// answer, and /readyz is what load balancers ask.
func (s *Server) health(c echo.Context) error {
	a := s.attached.Load()
	if a.store == nil {
		return s.ok(c, v1.Health{Status: v1.HealthRecovering, Node: a.node})
	}
	h := a.store.Health(c.Request().Context())
	setIndex(c, h.Index)
	return s.ok(c, h)
}

// livez is GET /livez: the process answers, so there is no cause to restart it.
func (s *Server) livez(c echo.Context) error { return s.ok(c, v1.Liveness{Alive: true}) }

// readyz is GET /readyz.
func (s *Server) readyz(c echo.Context) error {
	store, err := s.store()
	if err != nil {
		return err
	}
	verbose := c.QueryParams().Has("verbose")
	if v := c.QueryParam("verbose"); v != "" && v != "true" && v != "1" {
		return invalid("verbose", "neither empty nor true", "send ?verbose")
	}
	r := store.Ready(c.Request().Context())
	if !r.Ready {
		f := &fault{code: v1.CodeNotReady, detail: "this node should not receive requests", fix: "see checks"}
		for _, check := range r.Checks {
			if verbose || !check.OK {
				f.checks = append(f.checks, check)
			}
		}
		return f
	}
	if !verbose {
		r.Checks = nil
	}
	return s.ok(c, r)
}

// cluster is GET /v1/cluster.
func (s *Server) cluster(c echo.Context) error {
	store, err := s.store()
	if err != nil {
		return err
	}
	cluster := store.Cluster(c.Request().Context())
	if cluster.Members == nil {
		cluster.Members = []v1.Member{}
	}
	setIndex(c, cluster.AppliedIndex)
	return s.ok(c, cluster)
}

// serveMetrics is GET /metrics.
func (s *Server) serveMetrics(c echo.Context) error {
	s.config.Metrics.ServeHTTP(c.Response(), c.Request())
	return nil
}

// serveOpenAPI is GET /openapi.json.
func (s *Server) serveOpenAPI(c echo.Context) error {
	send(c, http.StatusOK, v1.MediaJSON, s.openapi)
	return nil
}

// serveDocs is GET /docs. The page loads nothing: it works without internet,
// and the policy keeps it that way.
func (s *Server) serveDocs(c echo.Context) error {
	c.Response().Header()["Content-Security-Policy"] = []string{"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"}
	send(c, http.StatusOK, "text/html; charset=utf-8", s.docs)
	return nil
}
