package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
)

// The headers of the API that pages of other origins may send and read. Keys
// travel in headers, never in cookies, so that no answer permits credentials.
var (
	corsRequestHeaders = strings.Join([]string{
		"Content-Type", "Authorization", "Last-Event-ID", v1.HeaderAPIKey, v1.HeaderAgentID, v1.HeaderRequestID, v1.HeaderPoWNonce, v1.HeaderPoWTimestamp,
	}, ", ")
	corsAnswerHeaders = strings.Join([]string{
		v1.HeaderNode, v1.HeaderIndex, v1.HeaderConsistency, v1.HeaderRequestID, "Retry-After", v1.HeaderQuotaLimit, v1.HeaderQuotaRemaining, v1.HeaderQuotaReset,
	}, ", ")
)

// corsMaxAge is for how many seconds a browser may remember a preflight.
const corsMaxAge = "600"

// cors lets pages of Config.AllowedOrigins read answers, errors among them, and
// answers their preflight requests before anything else looks at them: those
// bring no key. Echo's own middleware also answers OPTIONS requests that are no
// preflight, and takes an origin for a pattern.
func (s *Server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	every := slices.Contains(s.config.AllowedOrigins, "*")
	return func(c echo.Context) error {
		request, header := c.Request(), c.Response().Header()
		if !every {
			header.Add("Vary", "Origin") // of every answer, for caches
		}
		origin := request.Header.Get("Origin")
		switch {
		case origin == "", !every && !slices.Contains(s.config.AllowedOrigins, origin):
			return next(c)
		case every:
			origin = "*"
		}
		header["Access-Control-Allow-Origin"] = []string{origin}
		wanted := request.Header.Get("Access-Control-Request-Method")
		if request.Method != http.MethodOptions || wanted == "" {
			header["Access-Control-Expose-Headers"] = []string{corsAnswerHeaders}
			return next(c)
		}
		header.Add("Vary", "Access-Control-Request-Method")
		header.Add("Vary", "Access-Control-Request-Headers")
		header["Access-Control-Allow-Methods"] = []string{"GET, POST, PATCH, DELETE"}
		header["Access-Control-Allow-Headers"] = []string{corsRequestHeaders}
		header["Access-Control-Max-Age"] = []string{corsMaxAge}
		return c.NoContent(http.StatusNoContent)
	}
}
