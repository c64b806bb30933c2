package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

const (
	// defaultProfileSeconds and maxProfileSeconds are for how long a processor
	// profile or an execution trace is taken; the answer must be out within
	// writeTimeout.
	defaultProfileSeconds = 10
	maxProfileSeconds     = 30
)

// profile is GET /debug/pprof/:profile, for `go tool pprof`. It is not that of
// net/http/pprof, which also tells the command line and so its secrets.
func (s *Server) profile(c echo.Context) error {
	q := c.QueryParams()
	seconds, err := number(q, "seconds", defaultProfileSeconds, 1, maxProfileSeconds)
	if err != nil {
		return err
	}
	debug, err := number(q, "debug", 0, 0, 2)
	if err != nil {
		return err
	}
	response := c.Response()
	response.Header()["Content-Type"] = []string{v1.MediaBinary}
	switch name := c.Param("profile"); name {
	case "profile":
		err = pprof.StartCPUProfile(response)
		if err == nil {
			pause(c.Request().Context(), seconds)
			pprof.StopCPUProfile()
		}
	case "trace":
		err = trace.Start(response)
		if err == nil {
			pause(c.Request().Context(), seconds)
			trace.Stop()
		}
	default:
		held := pprof.Lookup(name)
		if held == nil {
			return &fault{code: v1.CodeNotFound, field: "profile", detail: fmt.Sprintf("there is no profile %.40q", name), fix: "use " + strings.Join(profiles(), ", ")}
		}
		return held.WriteTo(response, debug)
	}
	if err != nil {
		return &fault{code: v1.CodeOverloaded, detail: "another profile of this kind is being taken", fix: "wait until it is done"}
	}
	return nil
}

// profiles are the names of those that can be taken.
func profiles() []string {
	names := []string{"profile", "trace"}
	for _, p := range pprof.Profiles() {
		names = append(names, p.Name())
	}
	return names
}

func pause(ctx context.Context, seconds int) {
	timer := time.NewTimer(time.Duration(seconds) * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// logLevel is GET /v1/admin/log_level.
func (s *Server) logLevel(c echo.Context) error {
	return s.ok(c, v1.LogLevel{Level: strings.ToLower(s.config.LogLevel.Level().String())})
}

// setLogLevel is POST /v1/admin/log_level.
func (s *Server) setLogLevel(c echo.Context) error {
	var want v1.LogLevel
	if err := strictBody(c, &want); err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(want.Level)); err != nil {
		return &assertion.Error{Code: assertion.CodeInvalidField, Field: "level", Detail: fmt.Sprintf("%.40q is no level", want.Level), Fix: "use debug, info, warn or error"}
	}
	was := s.config.LogLevel.Level()
	s.config.LogLevel.Set(level)
	s.config.Logger.WarnContext(c.Request().Context(), "the level of the log was changed", "from", was.String(), "to", level.String(), "by", administrator(c))
	return s.logLevel(c)
}

func profileDoc() operation {
	return operation{
		id: "profile", tag: tagOperations, summary: "A profile of this node",
		description: "For `go tool pprof`: " + strings.Join(profiles(), ", ") + ". The two first take `seconds`.",
		params: []paramDoc{
			{in: inPath, name: "profile", schema: `{"type":"string"}`, required: true, example: "heap", description: "Which one."},
			{in: inQuery, name: "seconds", schema: fmt.Sprintf(`{"type":"integer","minimum":1,"maximum":%d,"default":%d}`, maxProfileSeconds, defaultProfileSeconds), description: "For how long a processor profile or a trace is taken."},
			{in: inQuery, name: "debug", schema: `{"type":"integer","minimum":0,"maximum":2,"default":0}`, description: "1 or 2: as text."},
		},
		answers: []answerDoc{{http.StatusOK, "The profile.", v1.MediaBinary, ""}},
		codes:   []string{v1.CodeInvalidParameter, v1.CodeNotFound, v1.CodeOverloaded},
	}
}

func logLevelDoc() operation {
	return operation{id: "logLevel", tag: tagOperations, summary: "The least severe level that this node logs",
		answers: []answerDoc{{http.StatusOK, "The level.", v1.MediaJSON, "LogLevel"}}}
}

func setLogLevelDoc() operation {
	return operation{id: "setLogLevel", tag: tagOperations, summary: "Change the level of this node's log", description: "Until the node starts again.",
		body:    &bodyDoc{description: "The level.", media: []string{v1.MediaJSON}, schemas: []string{"LogLevel"}, example: `{"level":"debug"}`},
		answers: []answerDoc{{http.StatusOK, "The level.", v1.MediaJSON, "LogLevel"}},
		codes:   append(bodyCodes(), assertion.CodeInvalidJSON, assertion.CodeInvalidField)}
}
