package api_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
)

// These tests speak to the real server over TCP, as somebody who means harm.

// patience bounds what must happen soon.
const patience = 20 * time.Second

// listening serves a fixture on a port of loopback; tune changes the server
// before it starts.
func (f *fixture) listening(tune func(*http.Server)) (address string) {
	f.t.Helper()
	server := f.server.HTTPServer("")
	if tune != nil {
		tune(server)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(f.server.Limit(listener)) }()
	f.t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-done); !errors.Is(err, http.ErrServerClosed) {
			f.t.Error(err)
		}
	})
	return listener.Addr().String()
}

// dial opens a connection and says something on it.
func dial(t *testing.T, address, say string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, say); err != nil {
		t.Fatal(err)
	}
	return conn
}

// answerOn reads one answer; nil if the connection ended without one.
func answerOn(t *testing.T, conn net.Conn) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("neither an answer nor an end within %v", patience)
	}
	if err != nil {
		return nil
	}
	return resp // its body ends with the connection
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within %v: %s", patience, what)
		}
	}
}

// trickle sends a byte now and then until the connection is cut.
func trickle(t *testing.T, conn net.Conn) {
	t.Helper()
	eventually(t, "the slow connection is cut", func() bool {
		_, err := conn.Write([]byte("x"))
		return err != nil
	})
}

func TestSlowClientsAreCut(t *testing.T) {
	const soon = 100 * time.Millisecond
	for name, tc := range map[string]struct {
		say  string
		tune func(*http.Server)
	}{
		"in the headers": {"GET /livez HTTP/1.1\r\nHost: a\r\nX-Slow: ", func(s *http.Server) { s.ReadHeaderTimeout = soon }},
		"in the body": {"POST /v1/assert HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{",
			func(s *http.Server) { s.ReadTimeout = soon }},
		"in a body of unknown length": {"POST /v1/assert HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n{",
			func(s *http.Server) { s.ReadTimeout = soon }},
		"after an answer": {"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", func(s *http.Server) { s.IdleTimeout = soon }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			address := f.listening(tc.tune)
			conn := dial(t, address, tc.say)
			if name == "after an answer" {
				if resp := answerOn(t, conn); resp == nil || resp.StatusCode != http.StatusOK {
					t.Fatal(resp)
				}
				if _, err := io.ReadAll(conn); err != nil {
					t.Errorf("the idle connection was not closed: %v", err)
				}
				return
			}
			trickle(t, conn)
			before, _ := f.store.state()
			if before != 0 {
				t.Error("half a request stored something")
			}
		})
	}
}

// A client that asks and asks and never reads costs nothing for long.
func TestClientsThatDoNotReadAreCut(t *testing.T) {
	f := newFixture(t)
	address := f.listening(func(s *http.Server) { s.WriteTimeout = 200 * time.Millisecond })
	conn := dial(t, address, "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
	answerOn(t, conn)
	ask := []byte(strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n", 100))
	eventually(t, "the connection of a client that does not read is cut", func() bool {
		_, err := conn.Write(ask) // blocks while the server does not read either
		return err != nil
	})
	eventually(t, "the server has forgotten it", func() bool { return f.metric("stemedb_http_connections") == 0 })
}

func TestLargeRequestsAreRefusedEarly(t *testing.T) {
	f := newFixture(t)
	address := f.listening(nil)
	post := "POST /v1/assert HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
	for name, tc := range map[string]struct {
		say  string
		want int
	}{
		"headers of 64 KiB":                {"GET /livez HTTP/1.1\r\nHost: a\r\nX-Large: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"ten thousand headers":             {"GET /livez HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 10_000) + "\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"a path of 64 KiB":                 {"GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"a body that is announced":         {post + "Content-Length: 99999999999\r\n\r\n", http.StatusRequestEntityTooLarge}, // none of it is sent
		"a body that is asked for first":   {post + "Expect: 100-continue\r\nContent-Length: 20000000\r\n\r\n", http.StatusRequestEntityTooLarge},
		"a body that is not announced":     {post + "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + strings.Repeat("x", 0x200000) + "\r\n0\r\n\r\n", http.StatusRequestEntityTooLarge},
		"a body that stops":                {post + "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + strings.Repeat("x", 0x200000) + "\r\n", http.StatusRequestEntityTooLarge},
		"two lengths":                      {post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", http.StatusBadRequest},
		"a length and chunks":              {post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", http.StatusBadRequest},
		"a negative length":                {post + "Content-Length: -1\r\n\r\n", http.StatusBadRequest},
		"no HTTP":                          {"\x16\x03\x01 hello\r\n\r\n", http.StatusBadRequest},
		"a compressed body, perhaps large": {post + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", http.StatusUnsupportedMediaType},
		"HTTP/2 without being asked":       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, address, "")
			go func() { _, _ = io.WriteString(conn, tc.say) }() // the server may close before it has read all
			resp := answerOn(t, conn)
			if resp == nil {
				t.Fatal("no answer")
			}
			if resp.StatusCode != tc.want {
				t.Errorf("status %d, want %d", resp.StatusCode, tc.want)
			}
		})
	}
	if count, _ := f.store.state(); count != 0 {
		t.Errorf("%d claims were stored", count)
	}
}

// Many clients read nothing before they have sent everything. They see why they are
// refused, unless their body is so large that it is cut.
func TestBodiesThatAreSentBeforeTheAnswerIsRead(t *testing.T) {
	f := newFixture(t)
	address := f.listening(nil)
	const size = 20 << 20
	body := strings.Repeat("x", size)
	head := func(path, more string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + more + "\r\n"
	}
	announced := fmt.Sprintf("Content-Length: %d\r\n", size)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", size, body)
	for name, tc := range map[string]struct {
		say  string
		want int
	}{
		"announced":                      {head("/v1/assert", announced) + body, http.StatusRequestEntityTooLarge},
		"announced, to be closed":        {head("/v1/assert", announced+"Connection: close\r\n") + body, http.StatusRequestEntityTooLarge},
		"not announced":                  {head("/v1/assert", "Transfer-Encoding: chunked\r\n") + chunk + "0\r\n\r\n", http.StatusRequestEntityTooLarge},
		"of another type":                {head("/v1/assert", announced+"Content-Encoding: gzip\r\n") + body, http.StatusUnsupportedMediaType},
		"to a path that nobody serves":   {head("/v1/asert", announced) + body, http.StatusNotFound},
		"with a method that it does not": {strings.Replace(head("/v1/assert", announced), "POST", "PUT", 1) + body, http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			resp := answerOn(t, dial(t, address, tc.say))
			if resp == nil || resp.StatusCode != tc.want {
				t.Errorf("the answer is %v, want %d", resp, tc.want)
			}
		})
	}
	t.Run("after the server has said to go on", func(t *testing.T) {
		conn := dial(t, address, head("/v1/assert", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"))
		answers := bufio.NewReader(conn)
		if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
			t.Fatalf("%q, %v", line, err)
		}
		if _, err := io.WriteString(conn, chunk+"0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(answers); err != nil || !strings.Contains(string(rest), " 413 ") {
			t.Errorf("the answer is %q, %v", rest, err)
		}
	})
	t.Run("on a connection that goes on", func(t *testing.T) {
		get := "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
		answers := bufio.NewReader(dial(t, address, head("/v1/asert", announced)+body+get+head("/v1/asert", "Transfer-Encoding: chunked\r\n")+chunk+"0\r\n\r\n"+get))
		for i, want := range []int{http.StatusNotFound, http.StatusOK, http.StatusNotFound, http.StatusOK} {
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("answer %d: %v", i, err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != want {
				t.Errorf("answer %d has status %d (%v), want %d", i, resp.StatusCode, err, want)
			}
		}
	})
	t.Run("without end", func(t *testing.T) {
		conn := dial(t, address, head("/v1/assert", "Transfer-Encoding: chunked\r\n"))
		var err error
		sent := 0
		for ; err == nil && sent < 1<<30; sent += size {
			_, err = io.WriteString(conn, chunk)
		}
		var timeout net.Error
		if err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("the server has let the client send %d bytes (%v)", sent, err)
		}
	})
	if count, _ := f.store.state(); count != 0 {
		t.Errorf("%d claims were stored", count)
	}
}

// Every route that takes a body refuses fields that it does not know and JSON
// that is nested deeper than anything that it takes, and stores nothing.
func TestDeepAndUnknownJSONIsRefused(t *testing.T) {
	const deep = 20_000
	f := newFixture(t)
	routes := 0
	for _, r := range f.server.Routes() {
		if r.Method != http.MethodPost && r.Method != http.MethodPatch {
			continue
		}
		routes++
		target := strings.NewReplacer("{hash}", strings.Repeat("0", 64), "{id}", "0123456789abcdef").Replace(r.Path)
		for name, body := range map[string]string{
			"arrays":           strings.Repeat("[", deep),
			"objects":          strings.Repeat(`{"object":`, deep),
			"closed arrays":    strings.Repeat("[", deep) + strings.Repeat("]", deep),
			"a deep known one": `{"subject":"a","source_metadata":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + "}",
			"unknown":          `{"nobody_knows_this":1}`,
			"an unknown array": `[{"nobody_knows_this":1}]`,
			"twice":            `{"subject":"a","subject":"b"}`,
			"rest":             `{} {}`,
		} {
			w := f.do(r.Method, target, body, jsonType)
			if w.Code == http.StatusOK && r.Path == "/v1/assert/batch" { // which answers line by line
				answer := read[v1.BatchResponse](t, w, http.StatusOK)
				for _, line := range answer.Results {
					if line.Code == "" || line.Code == v1.CodeInternal {
						t.Errorf("%s %s: %+v", target, name, line)
					}
				}
				continue
			}
			var p v1.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code < 400 || w.Code >= 500 {
				t.Errorf("%s %s: status %d, %.200s", target, name, w.Code, w.Body)
			}
		}
	}
	if routes < 10 {
		t.Errorf("%d routes take a body", routes)
	}
	if count, _ := f.store.state(); count != 0 {
		t.Errorf("%d claims were stored", count)
	}
}

// More connections than are allowed: those that wait give way, the one that
// has waited longest first; those with a request under way do not.
func TestIdleConnectionsDoNotKeepOthersOut(t *testing.T) {
	const most = 8
	f := newFixture(t, func(c *api.Config) { c.MaxConnections = most })
	address := f.listening(func(s *http.Server) { s.ReadHeaderTimeout = patience }) // or those that are held would end meanwhile
	get := "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
	var held []net.Conn
	for i := range 5 * most {
		conn := dial(t, address, "")
		switch i % 3 {
		case 0: // a connection that was used and waits
			if _, err := io.WriteString(conn, get); err != nil {
				t.Fatal(err)
			}
			if resp := answerOn(t, conn); resp == nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("connection %d is not served", i)
			}
		case 1: // half of the headers
			if _, err := io.WriteString(conn, get[:20]); err != nil {
				t.Fatal(err)
			}
		}
		held = append(held, conn)
		// The next one must not overtake it.
		eventually(t, "the connection is counted", func() bool {
			open, evicted := f.metric("stemedb_http_connections"), f.metric("stemedb_http_connections_evicted_total")
			if open > most {
				t.Fatalf("%v connections are open", open)
			}
			return int(open+evicted) == i+1
		})
	}
	if n, err := io.Copy(io.Discard, held[0]); n > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection that waited longest is still open: %v", err)
	}
	once := "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	if resp := answerOn(t, dial(t, address, once)); resp == nil || resp.StatusCode != http.StatusOK {
		t.Error("a newcomer is not served")
	}
	// Its request counts as under way until the server's goroutine has gone on.
	eventually(t, "the newcomer has gone", func() bool { return f.metric("stemedb_http_connections") == most-1 })

	// Watches are requests under way.
	watching := make([]*http.Response, most)
	for i := range watching {
		watching[i] = answerOn(t, dial(t, address, "GET /v1/watch?after=0 HTTP/1.1\r\nHost: a\r\n\r\n"))
		if watching[i] == nil || watching[i].StatusCode != http.StatusOK {
			t.Fatalf("watch %d: %v", i, watching[i])
		}
	}
	if resp := answerOn(t, dial(t, address, get)); resp != nil {
		t.Errorf("one connection too many is answered with %d", resp.StatusCode)
	}
	if got := f.metric("stemedb_http_connections_refused_total"); got != 1 {
		t.Errorf("%v connections were refused, want 1", got)
	}
	f.put(signed(claim(), "x"))
	for i, w := range watching {
		line, err := bufio.NewReader(w.Body).ReadString('\n')
		if err != nil || line == "" {
			t.Errorf("watch %d ended: %q, %v", i, line, err)
		}
	}
}

// The bounds of the production server are those that its documentation names.
func TestBoundsOfTheServer(t *testing.T) {
	server := newFixture(t).server.HTTPServer("")
	got := fmt.Sprint(server.ReadHeaderTimeout, server.ReadTimeout, server.WriteTimeout, server.IdleTimeout, server.MaxHeaderBytes, server.Protocols)
	if want := "5s 30s 1m0s 2m0s 32768 {HTTP1}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
