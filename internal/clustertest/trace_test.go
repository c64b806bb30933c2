package clustertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/otlptest"
)

// begin is a context in which the client has begun a trace.
func begin(t *testing.T) (context.Context, trace.SpanContext) {
	t.Helper()
	var c trace.SpanContextConfig
	var raw [24]byte
	if _, err := rand.Read(raw[:]); err != nil {
		t.Fatal(err)
	}
	copy(c.TraceID[:], raw[:16])
	copy(c.SpanID[:], raw[16:])
	c.TraceFlags = trace.FlagsSampled
	span := trace.NewSpanContext(c)
	return trace.ContextWithSpanContext(t.Context(), span), span
}

// tree waits until a trace is complete and compares it: a line for each span,
// with its node, indented beneath its parent, in the order of their beginning. Left
// out is what may or may not be there: the wait of a read for its node, and the
// read of the trust in agents, which is remembered, as a claim is admitted.
func tree(c *Cluster, from *otlptest.Collector, root trace.SpanContext, want string) {
	c.t.Helper()
	var got string
	defer func() {
		if c.t.Failed() {
			c.t.Logf("the trace is\n%s", got)
		}
	}()
	c.WaitFor("the trace is\n"+want, func() bool {
		got = draw(from.Spans(root.TraceID().String()), root.SpanID().String(), "")
		return strings.TrimSpace(got) == strings.TrimSpace(want)
	})
}

func draw(spans []otlptest.Span, parent, indent string) string {
	var children []otlptest.Span
	for _, s := range spans {
		if s.Parent == parent && s.Name != "wait for apply" {
			at := len(children)
			for at > 0 && children[at-1].GetStartTimeUnixNano() > s.GetStartTimeUnixNano() {
				at--
			}
			children = append(children[:at], append([]otlptest.Span{s}, children[at:]...)...)
		}
	}
	var b strings.Builder
	for _, s := range children {
		fmt.Fprintf(&b, "%s%s: %s\n", indent, s.Resource["service.instance.id"], s.Name)
		if s.Name != "admit" {
			b.WriteString(draw(spans, s.ID, indent+"  "))
		}
	}
	return b.String()
}

func traced(t *testing.T, collector *otlptest.Collector, nodes int) *Cluster {
	t.Helper()
	c := New(t, Options{Nodes: nodes, Settings: map[string]string{"otlp-endpoint": collector.URL, "otlp-headers": "x-team=claims"}})
	for _, n := range c.Nodes {
		n.Env = []string{"OTEL_BSP_SCHEDULE_DELAY=50"}
	}
	c.do(c.Cluster.Start())
	c.WaitReady()
	return c
}

// One trace leads from the client through a follower and the leader into the log
// and back, for each of several writes that share proposals, and for reads; log
// lines and problems name it.
func TestOneTraceThroughTheCluster(t *testing.T) {
	collector := otlptest.New(t)
	c := traced(t, collector, 3)
	leader := c.Leader()
	follower := others(c, leader)[0]
	db := c.Client(follower)
	path := strings.NewReplacer("F", follower.Name, "L", leader.Name)

	var all sync.WaitGroup
	const writes = 8
	var roots [writes]trace.SpanContext
	for i := range writes {
		ctx, root := begin(t)
		roots[i] = root
		all.Go(func() {
			if _, err := db.Assert(ctx, Claim(t, i)); err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	all.Wait()
	for _, root := range roots {
		tree(c, collector, root, path.Replace(`
F: POST /v1/assert
  F: verify
  F: admit
  F: write
    F: batch
    F: forward
      L: serve forwarded write
        L: batch
        L: proposal
          L: commit
          L: apply
`))
		if log := c.Log(follower); !strings.Contains(log, `"trace_id":"`+root.TraceID().String()+`"`) {
			t.Errorf("no line of %s names trace %s", follower.Name, root.TraceID())
		}
	}
	shared := 0
	for _, s := range collector.Spans("") {
		if s.Resource["service.name"] != "stemedb" {
			t.Fatalf("the service is %q", s.Resource["service.name"])
		}
		if s.Name == "proposal" && len(s.GetLinks()) > 0 {
			shared++
		}
		for name, value := range s.Attributes {
			if strings.Contains(value, "subject-") {
				t.Errorf("%s of %s tells of the claim: %s", name, s.Name, value)
			}
		}
	}
	t.Logf("%d of %d writes shared a proposal with an earlier one", shared, writes)
	if collector.Headers().Get("X-Team") != "claims" {
		t.Errorf("headers %v", collector.Headers())
	}

	ctx, root := begin(t)
	if _, err := db.Skeptic(ctx, client.Query{Subject: "subject-1", Predicate: "value"}); err != nil {
		t.Fatal(err)
	}
	tree(c, collector, root, path.Replace(`
F: GET /v1/skeptic
  F: consistency
    F: read index
      F: read index round
        L: serve read index
  F: resolve
    F: index tally
`))

	ctx, root = begin(t)
	_, err := db.Get(ctx, assertion.Hash{1}, client.Consistency{Level: "local"})
	var problem *client.Error
	if !errors.As(err, &problem) || problem.TraceID != root.TraceID().String() {
		t.Errorf("the problem of trace %s: %+v", root.TraceID(), problem)
	}
	tree(c, collector, root, path.Replace(`
F: GET /v1/assertions/:hash
  F: consistency
  F: resolve
`))
}

// A collector that refuses, or is gone, fails no request and hardly delays a
// stop; what could not be sent is counted and told once.
func TestRequestsGoOnWithoutACollector(t *testing.T) {
	collector := otlptest.New(t)
	collector.Refuse(http.StatusForbidden)
	c := traced(t, collector, 1)
	c.Write(0, 10)
	c.WaitFor("spans have failed", func() bool {
		metrics, err := c.Client().Document(t.Context(), 0, "/metrics")
		c.do(err)
		return strings.Contains(string(metrics), `stemedb_trace_spans_total{result="failed"}`) && !strings.Contains(string(metrics), `stemedb_trace_spans_total{result="failed"} 0`)
	})
	log := c.WaitLog(c.Nodes[0], 0, "traces do not reach the collector")
	if strings.Contains(log, "claims\"") {
		t.Error("the log tells of the headers")
	}
	c.Write(10, 10)
	c.Stop(c.Nodes[0])
	if n := strings.Count(c.Log(c.Nodes[0]), "traces do not reach the collector"); n != 1 {
		t.Errorf("%d lines tell of it", n)
	}
	collector.Refuse(0)
	c.Restart(c.Nodes[0])
	ctx, root := begin(t)
	if _, err := c.Client().Assert(ctx, Claim(t, 20)); err != nil {
		t.Fatal(err)
	}
	tree(c, collector, root, strings.ReplaceAll(`
N: POST /v1/assert
  N: verify
  N: admit
  N: write
    N: batch
    N: proposal
      N: commit
      N: apply
`, "N", c.Nodes[0].Name))
}

// Without an endpoint nothing is sent, whatever the standard variables say; a
// trace of the client is named all the same, one that is not there is not made up.
func TestNoTracesWithoutAnEndpoint(t *testing.T) {
	collector := otlptest.New(t)
	c := New(t, Options{Nodes: 1})
	c.Nodes[0].Env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_BSP_SCHEDULE_DELAY=1"}
	c.do(c.Cluster.Start())
	c.WaitReady()
	c.Write(0, 10)
	ctx, root := begin(t)
	for ctx, want := range map[context.Context]string{t.Context(): "", ctx: root.TraceID().String()} {
		_, err := c.Client().Get(ctx, assertion.Hash{1}, client.Consistency{})
		var problem *client.Error
		if !errors.As(err, &problem) || problem.TraceID != want {
			t.Errorf("the problem names the trace %q, want %q: %v", problem.TraceID, want, err)
		}
	}
	c.Stop(c.Nodes[0])
	if n := strings.Count(c.Log(c.Nodes[0]), "trace_id"); n != 1 || !strings.Contains(c.Log(c.Nodes[0]), root.TraceID().String()) {
		t.Errorf("%d lines name a trace, want the one of %s", n, root.TraceID())
	}
	if collector.Requests() != 0 {
		t.Errorf("%d requests reached the collector", collector.Requests())
	}
}
