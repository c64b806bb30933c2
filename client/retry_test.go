package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	v1 "github.com/stemedb/stemedb/api/v1"
)

func TestAssertRetriesWhatMayPassWithTheSameBytes(t *testing.T) {
	var mu sync.Mutex
	bodies := map[string]int{}
	s, n := server(t, func(n int32, w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		bodies[string(body)]++
		mu.Unlock()
		switch n {
		case 1:
			problem(w, 503, v1.CodeNoLeader)
		case 2:
			problem(w, 503, v1.CodeOutcomeUnknown)
		case 3: // the connection breaks after the request was read
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		default:
			created(w, "7")
		}
	})
	c := newClient(t, []string{s.URL})
	got, err := c.Assert(t.Context(), signed(t))
	if err != nil || got.Status != v1.StatusCreated {
		t.Fatalf("got %+v, %v", got, err)
	}
	if n.Load() != 4 || len(bodies) != 1 {
		t.Errorf("%d requests with %d different bodies, want 4 with one", n.Load(), len(bodies))
	}
	if c.SeenIndex() != 7 {
		t.Errorf("seen index %d, want 7", c.SeenIndex())
	}
}

func TestRefusalsAreFinal(t *testing.T) {
	s, n := server(t, func(_ int32, w http.ResponseWriter, _ *http.Request) { problem(w, 403, v1.CodeNotOwner) })
	_, err := newClient(t, []string{s.URL}).Assert(t.Context(), signed(t))
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Status != 403 || !errors.Is(err, Code(v1.CodeNotOwner)) || errors.Is(err, Code(v1.CodeNoLeader)) {
		t.Errorf("got %v, want not_owner", err)
	}
	if n.Load() != 1 {
		t.Errorf("a refusal was sent %d times", n.Load())
	}
}

func TestFailoverSticksToTheNodeThatAnswers(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	alive, n := server(t, func(_ int32, w http.ResponseWriter, _ *http.Request) { created(w, "1") })
	c := newClient(t, []string{dead.URL, alive.URL})
	for range 3 {
		if _, err := c.Assert(t.Context(), signed(t)); err != nil {
			t.Fatal(err)
		}
	}
	if n.Load() != 3 || c.preferred.Load() != 1 {
		t.Errorf("%d requests reached the live node, endpoint %d preferred", n.Load(), c.preferred.Load())
	}
}

func TestAttemptsAndContextBoundARequest(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s, n := server(t, func(_ int32, w http.ResponseWriter, _ *http.Request) { problem(w, 503, v1.CodeNoLeader) })
	c := newClient(t, []string{s.URL}, WithAttempts(3))
	if _, err := c.Assert(t.Context(), signed(t)); !errors.Is(err, Code(v1.CodeNoLeader)) {
		t.Errorf("got %v, want no_leader", err)
	}
	if n.Load() != 3 {
		t.Errorf("%d attempts, want 3", n.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Assert(ctx, signed(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	c.Close()
	s.Close()
}

// TestRetryAfterIsKept: a server that asks for a pause gets it, after all nodes
// were tried; one that asks too much is given up on.
func TestRetryAfterIsKept(t *testing.T) {
	for _, tc := range []struct {
		name     string
		status   int
		header   string
		requests int32         // in all, of which the last succeeds
		least    time.Duration // of the pauses together
		most     time.Duration
		fails    bool
	}{
		{"no leader", 503, "3", 4, 6 * time.Second, 8 * time.Second, false}, // 2 nodes refuse twice: 2 pauses
		{"no header", 503, "", 4, 0, 100 * time.Millisecond, false},
		{"a date", 503, "Fri, 31 Dec 1999 23:59:59 GMT", 4, 0, 100 * time.Millisecond, false},
		{"limited", 429, "2", 4, 8 * time.Second, 10 * time.Second, false}, // each time, at the same node
		{"limited without end", 429, "", 1, 0, 0, true},
		{"too long", 503, "3600", 1, 0, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var total int32
			answer := func(_ int32, w http.ResponseWriter, _ *http.Request) {
				if total++; total > 4 {
					created(w, "1")
					return
				}
				if tc.header != "" {
					w.Header().Set("Retry-After", tc.header)
				}
				problem(w, tc.status, "x")
			}
			a, atA := server(t, answer)
			b, atB := server(t, answer)
			c := newClient(t, []string{a.URL, b.URL})
			var paused time.Duration
			c.pause = func(_ context.Context, d time.Duration) error { paused += d; return nil }
			_, err := c.Assert(t.Context(), signed(t))
			if (err != nil) != tc.fails {
				t.Fatalf("got %v", err)
			}
			want := tc.requests
			if !tc.fails {
				want++
			}
			if total != want || paused < tc.least || paused > tc.most {
				t.Errorf("%d requests, %s paused; want %d, %s to %s", total, paused, want, tc.least, tc.most)
			}
			if tc.status == 429 && atB.Load() > 0 {
				t.Errorf("a limited caller went to the other node (%d, %d)", atA.Load(), atB.Load())
			}
		})
	}
}

// TestPausesGrowToABound and vary.
func TestPausesGrowToABound(t *testing.T) {
	s, _ := server(t, func(_ int32, w http.ResponseWriter, _ *http.Request) { problem(w, 503, v1.CodeNoLeader) })
	c := newClient(t, []string{s.URL})
	var pauses []time.Duration
	c.pause = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
	if _, err := c.Assert(t.Context(), signed(t)); err == nil {
		t.Fatal("no error")
	}
	if len(pauses) != attemptsPerEndpoint-1 {
		t.Fatalf("%d pauses, want one between each two of %d attempts", len(pauses), attemptsPerEndpoint)
	}
	for i, d := range pauses {
		whole := min(firstPause<<i, longestPause)
		if d < whole/2 || d > whole {
			t.Errorf("pause %d is %s, want %s to %s", i+1, d, whole/2, whole)
		}
	}
	other := func() time.Duration { return backoff(8) }
	if d := other(); !slices.ContainsFunc(make([]int, 100), func(int) bool { return other() != d }) {
		t.Error("the pauses do not vary")
	}
}

func TestCancellingEndsAPause(t *testing.T) {
	s, _ := server(t, func(_ int32, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "20")
		problem(w, 503, v1.CodeNoLeader)
	})
	c := newClient(t, []string{s.URL})
	ctx, cancel := context.WithCancel(t.Context())
	c.pause = func(ctx context.Context, d time.Duration) error {
		cancel() // while the client waits
		return sleep(ctx, d)
	}
	_, err := c.Assert(ctx, signed(t))
	if !errors.Is(err, context.Canceled) || !errors.Is(err, Code(v1.CodeNoLeader)) {
		t.Errorf("got %v, want the context's error and why the client waited", err)
	}
}

// TestCancellingEndsARequest that a node does not answer.
func TestCancellingEndsARequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, n := server(t, func(_ int32, _ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server sees the end of the connection only after the body
		cancel()
		<-r.Context().Done()
	})
	_, err := newClient(t, []string{s.URL}).Assert(ctx, signed(t))
	if !errors.Is(err, context.Canceled) || n.Load() != 1 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	elsewhere, n := server(t, func(_ int32, w http.ResponseWriter, _ *http.Request) { created(w, "1") })
	s, _ := server(t, func(_ int32, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := newClient(t, []string{s.URL}, WithAPIKey("secret")).Assert(t.Context(), signed(t))
	if !errors.Is(err, Code(CodeUnexpectedAnswer)) || n.Load() != 0 {
		t.Errorf("%v, %d requests went elsewhere", err, n.Load())
	}
}

func TestClientsBeginAtDifferentNodes(t *testing.T) {
	begins := map[uint32]bool{}
	for range 200 {
		c, err := New([]string{"http://a", "http://b", "http://c"})
		if err != nil {
			t.Fatal(err)
		}
		begins[c.preferred.Load()] = true
	}
	if len(begins) != 3 {
		t.Errorf("200 clients began at %d of 3 nodes", len(begins))
	}
}
