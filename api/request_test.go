package api_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
)

// newUnsizedRequest is a request whose length is not known beforehand.
func newUnsizedRequest(target, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, io.MultiReader(strings.NewReader(body)))
	r.ContentLength = -1
	r.Header.Set("Content-Type", "application/json")
	return r
}

func record(f *fixture, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.server.ServeHTTP(w, r)
	return w
}

// metric returns the value of one series as /metrics shows it, -1 if it is not
// there.
func (f *fixture) metric(series string) float64 {
	f.t.Helper()
	for line := range strings.Lines(f.get("/metrics").Body.String()) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				f.t.Fatal(err)
			}
			return v
		}
	}
	return -1
}

func (f *fixture) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(f.log, nil)) }
