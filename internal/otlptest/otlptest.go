// Package otlptest is a collector of traces for tests: it takes OTLP over HTTP
// and keeps what it is sent.
package otlptest

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span with the service that sent it.
type Span struct {
	*tracepb.Span
	// Trace, ID and Parent are ids in hex; Parent is "" at the root of a trace.
	Trace, ID, Parent string
	// Attributes are those of the span, Resource those of the process, as text.
	Attributes, Resource map[string]string
}

// Collector receives traces.
type Collector struct {
	// URL is the base URL.
	URL string

	mu       sync.Mutex
	spans    []Span
	requests int
	headers  http.Header // of the last request
	refuse   int         // status to answer with, 0 to accept
}

// New starts a collector that ends with the test.
func New(t testing.TB) *Collector {
	t.Helper()
	c := new(Collector)
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// ServeHTTP takes one export.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	c.headers = r.Header.Clone()
	if c.refuse != 0 {
		w.WriteHeader(c.refuse)
		return
	}
	if err := c.take(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *Collector) take(r *http.Request) error {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
		return fmt.Errorf("%s %s is not where traces go", r.Method, r.URL.Path)
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return err
		}
		body = unzipped
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	var request collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &request); err != nil {
		return err
	}
	for _, resource := range request.GetResourceSpans() {
		process := map[string]string{}
		for _, a := range resource.GetResource().GetAttributes() {
			process[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				span := Span{Span: s, Trace: fmt.Sprintf("%x", s.GetTraceId()), ID: fmt.Sprintf("%x", s.GetSpanId()), Attributes: map[string]string{}, Resource: process}
				if len(s.GetParentSpanId()) > 0 {
					span.Parent = fmt.Sprintf("%x", s.GetParentSpanId())
				}
				for _, a := range s.GetAttributes() {
					value := a.GetValue()
					span.Attributes[a.GetKey()] = value.GetStringValue()
					if value.GetStringValue() == "" {
						span.Attributes[a.GetKey()] = fmt.Sprint(value.GetIntValue())
					}
				}
				c.spans = append(c.spans, span)
			}
		}
	}
	return nil
}

// Refuse makes the collector answer with an HTTP status; 0 makes it accept again.
func (c *Collector) Refuse(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = status
}

// Requests is how often something was sent.
func (c *Collector) Requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// Headers are those of the last request.
func (c *Collector) Headers() http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers
}

// Spans are those of a trace, or of all if it is "", in the order in which they
// came.
func (c *Collector) Spans(trace string) []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Span
	for _, s := range c.spans {
		if trace == "" || s.Trace == trace {
			out = append(out, s)
		}
	}
	return out
}
