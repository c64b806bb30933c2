package api

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
)

// unmatched is the label route of requests that no route matches.
const unmatched = "unmatched"

// requestIDKey is where observe leaves the request's id in the echo.Context.
const requestIDKey = "request_id"

// observe is around every request: it gives it an id, turns an error or a panic
// into a problem, counts it, and writes its line of the access log. One
// function rather than a chain, since it runs for every claim written.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		request, response := c.Request(), c.Response()
		id := requestID(request)
		c.Set(requestIDKey, id)
		header := response.Header()
		header[v1.HeaderRequestID] = []string{id}
		header["X-Content-Type-Options"] = []string{"nosniff"}
		if node := s.node(); node != "" {
			header[v1.HeaderNode] = []string{node}
		}
		code := ""
		span := s.startTrace(c, id)
		err := s.guard(c, next)
		took := time.Since(start) // without the wait for a refused body
		if err != nil {
			code = s.fail(c, err)
		}
		s.account(c, id, code, took)
		endTrace(span, response.Status, code, start.Add(took))
		return nil
	}
}

// guard calls the handler and returns a panic as an error.
func (s *Server) guard(c echo.Context, next echo.HandlerFunc) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler: // the handler wants the connection cut
			panic(p)
		default:
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return next(c)
}

// account counts the request and logs it.
func (s *Server) account(c echo.Context, id, code string, took time.Duration) {
	request, response := c.Request(), c.Response()
	route := s.routeOf(c)
	s.metrics.requests.WithLabelValues(route, statusLabel(response.Status)).Inc()
	level := slog.LevelInfo
	if response.Status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	ctx := request.Context()
	if !s.config.Logger.Enabled(ctx, level) {
		return
	}
	_, remote := s.clientAddr(request)
	attrs := [9]slog.Attr{
		slog.String("method", request.Method), slog.String("route", route), slog.Int("status", response.Status),
		slog.Int64("bytes", response.Size), slog.Duration("duration", took), slog.String("request_id", id),
		slog.String("node", s.node()), slog.String("remote", remote),
	}
	n := 8
	if code != "" {
		attrs[n] = slog.String("code", code)
		n++
	}
	s.config.Logger.LogAttrs(ctx, level, "request", attrs[:n]...)
}

// routeOf is the pattern of a request's route.
func (s *Server) routeOf(c echo.Context) string {
	route := c.Path()
	if _, ok := s.patterns[route]; !ok {
		return unmatched
	}
	return route
}

// statusLabel is strconv.Itoa without an allocation for the common statuses.
func statusLabel(status int) string {
	switch status {
	case http.StatusOK:
		return "200"
	case http.StatusCreated:
		return "201"
	}
	return strconv.Itoa(status)
}

// requestID returns the id that the request brings, if it is fit for a log
// line and a header, else a new one.
func requestID(r *http.Request) string {
	if ids := r.Header[v1.HeaderRequestID]; len(ids) == 1 && saneRequestID(ids[0]) {
		return ids[0]
	}
	const digits = "0123456789abcdef"
	var id [32]byte
	for half, bits := range [2]uint64{rand.Uint64(), rand.Uint64()} {
		for i := range 16 {
			id[16*half+i] = digits[bits>>(4*i)&15]
		}
	}
	return string(id[:])
}

func saneRequestID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == ':', c == '/', c == '+', c == '=', c == '@', c == '-':
		default:
			return false
		}
	}
	return true
}
