package api

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
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
		run, err := plan(c, q)
		if err != nil {
			return err
		}
		store, err := s.store()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Request().Context(), s.config.RequestTimeout)
		defer cancel()
		view, err := store.Read(ctx, demand)
		if err != nil {
			return err
		}
		body, index, err := s.runPlan(ctx, run, view)
		if err != nil {
			return err
		}
		setIndex(c, index)
		c.Response().Header()[v1.HeaderConsistency] = []string{demand.Level.String()}
		return s.ok(c, body)
	}
}

// runPlan runs a plan on a view and closes the view. The body holds nothing of
// it any more.
func (s *Server) runPlan(ctx context.Context, run readPlan, view View) (body any, index uint64, err error) {
	defer func() { err = errors.Join(err, view.Close()) }()
	body, err = run(reader{ctx: ctx, server: s, view: view, at: s.now()})
	index, _ = view.Applied()
	return body, index, err
}

// reader is one read on its view.
type reader struct {
	ctx    context.Context
	server *Server
	view   View
	at     uint64 // the time that confidences decay to, unix seconds
}

// input reads what a lens needs of the question that f selects: from
// aggregates where it can, else by a scan of at most v1.MaxScannedClaims.
func (r reader) input(f assertion.Filter, needs lens.Needs) (lens.Input, error) {
	var in lens.Input
	var err error
	if narrowed(f) || needs&lens.NeedsClaims != 0 {
		in, err = r.scan(f)
	} else {
		in, err = r.aggregates(f, needs)
	}
	in.Index, _ = r.view.Applied()
	in.Parameters = parameters(f)
	return in, err
}

func (r reader) aggregates(f assertion.Filter, needs lens.Needs) (lens.Input, error) {
	tally, err := r.view.Tally(f.Subject, f.Predicate, r.at)
	if err != nil {
		return lens.Input{}, err
	}
	in := lens.Input{Subject: f.Subject, Predicate: f.Predicate, At: r.at, Tally: tally, Source: lens.FromAggregates}
	if needs&lens.NeedsNewest != 0 {
		in.Claims, _, err = r.view.Page(f, "", 1)
	}
	return in, err
}

// scan reads the claims. Only scanSlots scans run at once, for each may hold
// many claims in memory.
func (r reader) scan(f assertion.Filter) (lens.Input, error) {
	select {
	case r.server.scans <- struct{}{}:
	case <-r.ctx.Done():
		return lens.Input{}, r.ctx.Err()
	}
	defer func() { <-r.server.scans }()
	claims, scanned, truncated, err := r.view.Claims(f, v1.MaxScannedClaims)
	if err != nil {
		return lens.Input{}, err
	}
	in := lens.FromClaims(f.Subject, f.Predicate, claims, r.at)
	in.Scanned, in.Truncated = scanned, truncated
	return in, nil
}

// parameters are the filters beside the question, for the explanation.
func parameters(f assertion.Filter) map[string]any {
	p := map[string]any{}
	if f.Lifecycles != nil {
		p["lifecycle"] = f.Lifecycles
	}
	if f.Epoch != nil {
		p["epoch"] = f.Epoch
	}
	if f.SourceClass != nil {
		p["source_class"] = f.SourceClass
	}
	if f.Agent != nil {
		p["agent_id"] = f.Agent
	}
	if f.Source != nil {
		p["source_hash"] = f.Source
	}
	if f.MinConfidence > 0 {
		p["min_confidence"] = f.MinConfidence
	}
	return p
}
