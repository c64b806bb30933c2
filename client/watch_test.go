package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// follows is a node that serves events after the position asked for, and cuts
// the connection after some.
func follows(t *testing.T, events, perConnection int, asked *[]string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/health" {
			_ = json.NewEncoder(w).Encode(v1.Health{Index: 1})
			return
		}
		after, err := v1.ParsePosition(r.URL.Query().Get("after"))
		if err != nil {
			t.Errorf("after: %v", err)
		}
		*asked = append(*asked, r.URL.Query().Get("after"))
		w.Header().Set("Content-Type", v1.MediaEvents)
		fmt.Fprint(w, ": hello\n\n")
		sent := 0
		for i := after.Index + 1; i <= uint64(events) && sent < perConnection; i++ {
			fmt.Fprintf(w, "id: %d\nevent: %s\ndata: {\"position\":\"%d\",\"kind\":\"vote\"}\n\n", i, v1.WatchEvent, i)
			sent++
		}
		if after.Index >= uint64(events) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// A watch over connections that break, at nodes of which one is gone, yields
// every event once and in order.
func TestWatchGoesOnElsewhere(t *testing.T) {
	var asked []string
	alive := follows(t, 7, 2, &asked)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c, err := New([]string{gone.URL, alive.URL})
	if err != nil {
		t.Fatal(err)
	}
	c.pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	var got []string
	for change, err := range c.Watch(t.Context(), "", Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, change.Event.Position)
		if len(got) == 6 {
			break
		}
	}
	if strings.Join(got, " ") != "2 3 4 5 6 7" {
		t.Errorf("events %v, asked after %v", got, asked)
	}
}

// A refusal that another try would not mend ends the watch.
func TestWatchEndsWithARefusal(t *testing.T) {
	var tries atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries.Add(1)
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(v1.Problem{Code: v1.CodeUnknownLens, Status: http.StatusBadRequest})
	}))
	defer server.Close()
	c, err := New([]string{server.URL})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range c.Watch(t.Context(), "7", Query{Lens: "none"}) {
		if !errors.Is(err, Code(v1.CodeUnknownLens)) {
			t.Errorf("%v", err)
		}
	}
	if tries.Load() != 1 {
		t.Errorf("%d tries", tries.Load())
	}
}

// The answer that a new connection begins with is a change only if it differs
// from the last one told.
func TestWatchTellsAnAnswerOnce(t *testing.T) {
	one, two := assertion.Number(1), assertion.Number(2)
	var got []string
	w := &watch{yield: func(c Change, _ error) bool {
		before := "nothing"
		if r := c.Resolution.Before; r != nil {
			before = r.Winner.String()
		}
		got = append(got, fmt.Sprintf("%t %s to %s", c.Resolution.First, before, c.Resolution.After.Winner))
		return true
	}}
	for _, r := range []v1.ResolutionChange{
		{First: true, After: v1.Outcome{Winner: &one}}, {First: true, After: v1.Outcome{Winner: &one}}, {First: true, After: v1.Outcome{Winner: &two}},
	} {
		w.take(Change{Position: "1", Resolution: &r})
	}
	if strings.Join(got, ", ") != "true nothing to 1, false 1 to 2" {
		t.Errorf("told %v", got)
	}
}

// Without a lens a watch reads no question, and so asks for no names of one.
func TestWatchOfClaimsAsksForNoNames(t *testing.T) {
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RawQuery
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(v1.Problem{Code: v1.CodeInvalidParameter, Status: http.StatusBadRequest})
	}))
	defer server.Close()
	c, err := New([]string{server.URL})
	if err != nil {
		t.Fatal(err)
	}
	for lens, want := range map[string]string{"": "after=7&subject=s", "recency": "after=7&aliases=false&lens=recency&subject=s"} {
		for range c.Watch(t.Context(), "7", Query{Subject: "s", Lens: lens, NoAliases: true}) {
			if got := <-asked; got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
		}
	}
}
