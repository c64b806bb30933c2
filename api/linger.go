package api

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
)

// Many clients read no answer before they have sent everything, and net/http
// closes the connection of one whose body nobody reads: they would see a reset
// instead of the refusal, with its Retry-After. So what is left of the body of a
// refused request is read and thrown away before the answer, within these bounds.
const (
	lingerBytes = 64 << 20 // who announces more is answered at once
	lingerTime  = 10 * time.Second
	lingerStep  = 64 << 10        // must come within lingerPause,
	lingerPause = 2 * time.Second // else the client waits for the answer, or is too slow
	lingerSlots = 32              // how many may do that at once; the others are answered at once
)

// netHTTPDiscards is how much of a body net/http itself reads before an answer,
// unless the connection is to be closed after it.
const netHTTPDiscards = 256 << 10

// linger reads on what is left of the body of a request that is refused for code. A
// client that asks before it sends (Expect: 100-continue) and was not told to send
// is not told so now.
func (s *Server) linger(c echo.Context, code string) {
	r := c.Request()
	switch _, begun := c.Get(bodyLenKey).(int64); {
	case begun && code != v1.CodeBodyTooLarge: // all of it was read, or it has stalled
		return
	case r.ContentLength == 0 || !begun && r.Header.Get("Expect") != "":
		return
	case 0 < r.ContentLength && r.ContentLength <= netHTTPDiscards && !r.Close:
		return
	}
	if r.ContentLength > lingerBytes || !s.discard(c) {
		closeGently(c)
	}
}

// discard reads a request's body, and reports whether it has come to its end.
func (s *Server) discard(c echo.Context) bool {
	select {
	case s.lingering <- struct{}{}:
		defer func() { <-s.lingering }()
	default:
		return false
	}
	connection := http.NewResponseController(c.Response().Writer)
	for began, count := time.Now(), 0; count < lingerBytes && time.Since(began) < lingerTime && s.draining.Err() == nil; count += lingerStep {
		if connection.SetReadDeadline(time.Now().Add(lingerPause)) != nil {
			return false
		}
		if _, err := io.CopyN(io.Discard, c.Request().Body, lingerStep); err != nil {
			// At the end net/http waits for the client's next request, without a deadline.
			return errors.Is(err, io.EOF) && connection.SetReadDeadline(time.Time{}) == nil
		}
	}
	return false
}

// closeGently has the connection closed after the answer, with the half second
// that net/http gives a client to read it if its body was longer than what
// http.MaxBytesReader lets through: nothing else tells net/http so.
func closeGently(c echo.Context) {
	c.Response().Header()["Connection"] = []string{"close"}
	longer := http.MaxBytesReader(c.Response().Writer, io.NopCloser(strings.NewReader("longer")), 0)
	_, _ = longer.Read(make([]byte, 1)) // always *http.MaxBytesError
}
