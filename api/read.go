package api

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// known reports whether a Store said what kind of failure err is.
func known(err error) bool {
	for _, f := range storeFaults() {
		if errors.Is(err, f.err) {
			return true
		}
	}
	return false
}

// readPlan is a read that has been understood and waits for its view.
type readPlan func(r reader) (any, error)

// reading answers a read: it counts and times it, understands the request with
// plan, opens a view of the wanted consistency, and answers what the plan makes
// of it. What the client got wrong is told before anything waits.
func (s *Server) reading(endpoint string, plan func(c echo.Context, q url.Values) (readPlan, error)) echo.HandlerFunc {
	queries, latency := s.metrics.queries.WithLabelValues(endpoint), s.metrics.latency.WithLabelValues(endpoint)
	return func(c echo.Context) (err error) {
		start := time.Now()
		defer func() {
			queries.Inc()
			latency.Observe(time.Since(start).Seconds())
		}()
		q := c.QueryParams()
		demand, err := consistency(q)
		if err != nil {
			return err
		}
		at, err := decayTime(q, s.now())
		if err != nil {
			return err
		}
		run, err := plan(c, q)
		if err != nil {
			return err
		}
		store, err := s.store()
		if err != nil {
			return err
		}
		ctx, cancel := s.bounded(c)
		defer cancel()
		view, err := store.Read(ctx, demand)
		if err != nil {
			return err
		}
		r := reader{ctx: ctx, server: s, view: view, at: at, known: demand.KnownAt}
		body, index, claims, err := s.resolve(c, endpoint, r, run, q)
		if err != nil {
			return err
		}
		return s.told(c, body, index, demand.Level, claims)
	}
}

// told answers a read and records it if it is to be.
func (s *Server) told(c echo.Context, body any, index uint64, level Level, claims []assertion.Hash) error {
	if err := s.record(c, index, level, claims); err != nil {
		return err
	}
	setIndex(c, index)
	c.Response().Header()[v1.HeaderConsistency] = []string{level.String()}
	return s.ok(c, body)
}

// runPlan runs a plan on a view and closes the view. The body holds nothing of
// it any more. For an audited read it names the claims behind the answer.
func (s *Server) runPlan(r reader, run readPlan, q url.Values, audited bool) (body any, index uint64, claims []assertion.Hash, err error) {
	defer func() { err = errors.Join(err, r.view.Close()) }()
	body, err = run(r)
	if err == nil && audited {
		claims, err = r.answering(body, q)
	}
	return body, r.index(), claims, err
}

// decayTime is the time that confidences decay to: as_of, else known_at, else
// now.
func decayTime(q url.Values, now uint64) (uint64, error) {
	for _, name := range []string{"as_of", "known_at"} {
		at, err := instant(q, name)
		if err != nil {
			return 0, err
		}
		if at != nil {
			return *at, nil
		}
	}
	return now, nil
}

// reader is one read on its view.
type reader struct {
	ctx    context.Context
	server *Server
	view   View
	at     uint64  // the time that confidences decay to, unix seconds
	known  *uint64 // the time whose knowledge the view shows; nil is now
}

// index is the log index of the view.
func (r reader) index() uint64 {
	index, _ := r.view.Applied()
	return index
}
