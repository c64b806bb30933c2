package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
)

// api503 is an error that a request must not meet in some tests.
var api503 = fmt.Errorf("forward to n2: %w", api.ErrNoLeader)

func TestStoreErrors(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		code   string
	}{
		{api.ErrNoLeader, 503, v1.CodeNoLeader},
		{api.ErrOutcomeUnknown, 503, v1.CodeOutcomeUnknown},
		{api.ErrOverloaded, 503, v1.CodeOverloaded},
		{api.ErrStopping, 503, v1.CodeStopping},
		{api.ErrTooStale, 503, v1.CodeTooStale},
		{api.ErrFailed, 503, v1.CodeNodeFailed},
		{api.ErrDisk, 503, v1.CodeDiskUnavailable},
		{api.ErrDiskSpace, 503, v1.CodeDiskSpaceLow},
		{api.ErrMinIndexNotReached, 503, v1.CodeMinIndexNotReached},
		{context.DeadlineExceeded, 504, v1.CodeTimeout},
		{errors.New("the disk's secret"), 500, v1.CodeInternal},
	} {
		f := newFixture(t)
		f.store.assertErr = fmt.Errorf("context: %w", test.err)
		f.store.readErr = f.store.assertErr
		body := text(t, signed(claim(), "x"))
		for target, send := range map[string]func() (w *http.Response, problem v1.Problem){
			"write": func() (*http.Response, v1.Problem) {
				w := f.assert(body)
				return w.Result(), refused(t, w, test.status, test.code)
			},
			"batch": func() (*http.Response, v1.Problem) {
				w := f.do(http.MethodPost, "/v1/assert/batch", body, ndjsonType)
				return w.Result(), refused(t, w, test.status, test.code)
			},
			"read": func() (*http.Response, v1.Problem) {
				w := f.get("/v1/query")
				return w.Result(), refused(t, w, test.status, test.code)
			},
		} {
			response, problem := send()
			if retry := response.Header.Get("Retry-After"); (retry != "") != (test.status != 500) {
				t.Errorf("%s %s: Retry-After %q", target, test.code, retry)
			}
			if strings.Contains(problem.Detail, "secret") {
				t.Errorf("%s: an internal error is shown: %s", target, problem.Detail)
			}
			if test.status == 500 && !strings.Contains(f.log.String(), "the disk's secret") {
				t.Errorf("%s: the log lacks the cause", target)
			}
		}
	}
}

// A write that a time-out cuts off, without a word of the store on what became
// of it, must not look as if it had not happened.
func TestTimeOutOfAWriteIsAnUnknownOutcome(t *testing.T) {
	f := newFixture(t, func(c *api.Config) { c.RequestTimeout = time.Nanosecond })
	f.store.assertErr = context.DeadlineExceeded
	refused(t, f.assert(text(t, signed(claim(), "x"))), http.StatusServiceUnavailable, v1.CodeOutcomeUnknown)
}

func TestPanicBecomesAProblem(t *testing.T) {
	f := newFixture(t)
	f.store.panics = true
	p := refused(t, f.assert(text(t, signed(claim(), "x"))), http.StatusInternalServerError, v1.CodeInternal)
	if strings.Contains(p.Detail+p.Fix, "secret") {
		t.Errorf("the panic is shown: %+v", p)
	}
	if log := f.log.String(); !strings.Contains(log, "secret of the store") || !strings.Contains(log, "store_test.go") || !strings.Contains(log, p.RequestID) {
		t.Errorf("the log lacks the panic, its stack or the request: %s", log)
	}
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	f := newFixture(t)
	for _, target := range []string{"/", "/v1", "/v1/nothing", "/v1/assertions/", "/v1/health/", "/v2/query", "/%2e%2e/x"} {
		refused(t, f.get(target), http.StatusNotFound, v1.CodeRouteNotFound)
	}
	w := f.get("/v1/assert")
	refused(t, w, http.StatusMethodNotAllowed, v1.CodeMethodNotAllowed)
	if allow := w.Header().Get("Allow"); !strings.Contains(allow, http.MethodPost) {
		t.Errorf("Allow %q", allow)
	}
	refused(t, f.do(http.MethodDelete, "/v1/query", ""), http.StatusMethodNotAllowed, v1.CodeMethodNotAllowed)
	if w := f.do(http.MethodHead, "/v1/health", ""); w.Code != http.StatusOK {
		t.Errorf("HEAD: status %d", w.Code)
	}
}

func TestProbesBeforeTheStoreIsThere(t *testing.T) {
	f := unattached(t)
	if h := read[v1.Health](t, f.get("/v1/health"), http.StatusOK); h.Status != v1.HealthRecovering {
		t.Errorf("health %+v", h)
	}
	read[v1.Liveness](t, f.get("/livez"), http.StatusOK)
	refused(t, f.get("/readyz"), http.StatusServiceUnavailable, v1.CodeRecovering)
	for _, target := range []string{"/v1/query", "/v1/skeptic?" + question, "/v1/layered?" + question, "/v1/cluster", "/v1/assertions/" + strings.Repeat("a", 64)} {
		if w := f.get(target); w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", target)
		} else {
			refused(t, w, http.StatusServiceUnavailable, v1.CodeRecovering)
		}
	}
	refused(t, f.assert(text(t, signed(claim(), "x"))), http.StatusServiceUnavailable, v1.CodeRecovering)
	for _, target := range []string{"/metrics", "/openapi.json", "/docs"} {
		if w := f.get(target); w.Code != http.StatusOK {
			t.Errorf("%s: status %d", target, w.Code)
		}
	}

	f.server.Attach("n1", newStore(t))
	if h := read[v1.Health](t, f.get("/v1/health"), http.StatusOK); h.Status != "ok" || h.Node != "n1" {
		t.Errorf("health %+v", h)
	}
	if w := f.get("/readyz"); w.Header().Get(v1.HeaderNode) != "n1" {
		t.Errorf("headers %v", w.Header())
	}
}

func TestReadyz(t *testing.T) {
	f := newFixture(t)
	if r := read[v1.Readiness](t, f.get("/readyz"), http.StatusOK); !r.Ready || r.Checks != nil {
		t.Errorf("readiness %+v", r)
	}
	if r := read[v1.Readiness](t, f.get("/readyz?verbose"), http.StatusOK); !r.Ready || len(r.Checks) != 1 {
		t.Errorf("readiness %+v", r)
	}
	f.store.unready = []v1.Check{{Name: "lag", Detail: "5000 entries behind"}}
	if p := refused(t, f.get("/readyz"), http.StatusServiceUnavailable, v1.CodeNotReady); len(p.Checks) != 1 || p.Checks[0].Name != "lag" {
		t.Errorf("problem %+v", p)
	}
	if p := refused(t, f.get("/readyz?verbose"), http.StatusServiceUnavailable, v1.CodeNotReady); len(p.Checks) != 2 {
		t.Errorf("problem %+v", p)
	}
}

func TestRequestID(t *testing.T) {
	f := newFixture(t)
	for given, kept := range map[string]bool{
		"req-1": true, "00-4bf92f/3577:b34@x.y_z+=": true, strings.Repeat("a", 128): true,
		"": false, strings.Repeat("a", 129): false, "a b": false, "a\"b": false, "ü": false, "a,b": false,
	} {
		w := f.do(http.MethodGet, "/v1/none", "", "X-Request-Id: "+given)
		got := w.Header().Get(v1.HeaderRequestID)
		if (got == given) != kept || !kept && len(got) != 32 {
			t.Errorf("%q became %q", given, got)
		}
		if p := refused(t, w, http.StatusNotFound, v1.CodeRouteNotFound); p.RequestID != got {
			t.Errorf("the problem says %q, the header %q", p.RequestID, got)
		}
	}
	f.do(http.MethodPost, "/v1/assert", text(t, signed(claim(), "x")), jsonType, "X-Request-Id: mine")
	if got := f.store.callers[0]; got.RequestID != "mine" || got.RemoteAddr == "" {
		t.Errorf("caller %+v", got)
	}
}

func TestAccessLog(t *testing.T) {
	f := newFixture(t)
	body := text(t, signed(claim(), "x"))
	f.do(http.MethodPost, "/v1/assert", body, jsonType, "X-Request-Id: one")
	f.do(http.MethodGet, "/v1/assertions/zz?secret=1", "", "X-Request-Id: two")
	f.do(http.MethodGet, "/nowhere/secret", "", "X-Request-Id: three")
	lines := strings.Split(strings.TrimSpace(f.log.String()), "\n")
	want := []map[string]any{
		{"method": "POST", "route": "/v1/assert", "status": 201.0, "request_id": "one", "node": "n1"},
		{"method": "GET", "route": "/v1/assertions/:hash", "status": 400.0, "request_id": "two", "code": v1.CodeUnknownParameter},
		{"method": "GET", "route": "unmatched", "status": 404.0, "request_id": "three", "code": v1.CodeRouteNotFound},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines: %s", len(lines), f.log)
	}
	for i, line := range lines {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		for name, value := range want[i] {
			if got[name] != value {
				t.Errorf("line %d: %s is %v, want %v", i, name, got[name], value)
			}
		}
		for _, name := range []string{"bytes", "duration"} {
			if n, ok := got[name].(float64); !ok || n <= 0 {
				t.Errorf("line %d: %s is %v", i, name, got[name])
			}
		}
	}
	if strings.Contains(f.log.String(), "secret") || strings.Contains(f.log.String(), "Semaglutide") {
		t.Errorf("the log repeats what a client sent: %s", f.log)
	}
}

func TestMetrics(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	f.get("/v1/skeptic?" + question)
	f.get("/v1/skeptic")
	f.get("/v1/query")
	f.get("/nowhere/at/all")
	for series, want := range map[string]float64{
		`stemedb_http_requests_total{code="201",route="/v1/assert"}`:         6,
		`stemedb_http_requests_total{code="200",route="/v1/skeptic"}`:        1,
		`stemedb_http_requests_total{code="400",route="/v1/skeptic"}`:        1,
		`stemedb_http_requests_total{code="404",route="unmatched"}`:          1,
		`stemedb_queries_total{endpoint="skeptic"}`:                          2,
		`stemedb_queries_total{endpoint="query"}`:                            1,
		`stemedb_query_latency_seconds_count{endpoint="skeptic"}`:            2,
		`stemedb_assertions_ingested_total`:                                  6,
		`stemedb_http_requests_total{code="404",route="/nowhere/at/all"}`:    -1,
		`stemedb_http_requests_total{code="201",route="/v1/assert/batch"}`:   -1,
		`stemedb_query_latency_seconds_count{endpoint="/nowhere/at/all"}`:    -1,
		`stemedb_query_latency_seconds_bucket{endpoint="skeptic",le="+Inf"}`: 2,
	} {
		if got := f.metric(series); got != want {
			t.Errorf("%s is %g, want %g", series, got, want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := func() api.Config {
		f := api.Config{Logger: newFixture(t).logger(), Registerer: prometheus.NewRegistry(), Metrics: http.NotFoundHandler()}
		return f
	}
	for name, spoil := range map[string]func(*api.Config){
		"no logger":       func(c *api.Config) { c.Logger = nil },
		"no registerer":   func(c *api.Config) { c.Registerer = nil },
		"no metrics":      func(c *api.Config) { c.Metrics = nil },
		"a long time-out": func(c *api.Config) { c.RequestTimeout = time.Hour },
	} {
		c := good()
		spoil(&c)
		if _, err := api.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	c := good()
	if _, err := api.New(c); err != nil {
		t.Fatal(err)
	}
	if _, err := api.New(c); err == nil {
		t.Error("the same metrics registered twice: no error")
	}
}

// The real server, on a real port: a client that trickles its headers is cut
// off, one that behaves is served, and Shutdown leaves nothing behind.
func TestHTTPServer(t *testing.T) {
	f := newFixture(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	server := f.server.HTTPServer("")
	for name, d := range map[string]time.Duration{
		"ReadHeaderTimeout": server.ReadHeaderTimeout, "ReadTimeout": server.ReadTimeout,
		"WriteTimeout": server.WriteTimeout, "IdleTimeout": server.IdleTimeout,
	} {
		if d <= 0 {
			t.Errorf("%s is not set", name)
		}
	}
	server.ReadHeaderTimeout = time.Second
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	base := "http://" + listener.Addr().String()
	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	response, err := client.Post(base+"/v1/assert", "application/json", strings.NewReader(text(t, signed(claim(), "x"))))
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Fatalf("%v, %v", response, err)
	}
	response.Body.Close()
	head, err := client.Head(base + "/v1/query")
	if err != nil || head.StatusCode != http.StatusOK || head.ContentLength <= 0 {
		t.Fatalf("%v, %v", head, err)
	}
	head.Body.Close()

	slow, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := slow.Write([]byte("GET /livez HTTP/1.1\r\nX-Slow: ")); err != nil {
		t.Fatal(err)
	}
	if err := slow.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 1024)
	for err == nil { // an answer of status 408 may come first, then the end
		_, err = slow.Read(buffer)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the slow connection was not closed")
	}
	transport.CloseIdleConnections()
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// The cause of a node's failure names its files; clients are told the failure
// only.
func TestFailureOfTheNodeTellsNoCause(t *testing.T) {
	f := newFixture(t)
	f.store.readErr = fmt.Errorf("%w: /var/lib/stemedb/000012.sst: checksum mismatch", api.ErrFailed)
	if p := refused(t, f.get("/v1/query"), http.StatusServiceUnavailable, v1.CodeNodeFailed); strings.Contains(p.Detail, "sst") {
		t.Errorf("detail %q", p.Detail)
	}
	// A write may have happened on a node that failed under it.
	f.store.assertErr = fmt.Errorf("%w: %w", api.ErrOutcomeUnknown, api.ErrFailed)
	refused(t, f.assert(text(t, signed(claim(), "x"))), http.StatusServiceUnavailable, v1.CodeOutcomeUnknown)
}
