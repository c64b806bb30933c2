package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestWhatCannotBeReachedWasNotSent(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	free.Close()
	client := listen(t, Config{}, nil).Client()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx  context.Context
		addr string
	}{
		"nobody listens":    {t.Context(), nobody},
		"no such name":      {t.Context(), "no-such-host.invalid:1"},
		"no address":        {t.Context(), "127.0.0.1"},
		"context has ended": {cancelled, nobody},
	} {
		_, err := client.Forward(test.ctx, test.addr, ForwardRequest{})
		if !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("%s: %v, want ErrUnreachable", name, err)
		}
	}
}

// stranger is a TCP server that does with each connection what serve says.
func stranger(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer conn.Close(); serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// peer is a stranger that completes the handshake and then does what then says
// with each connection, numbered from 1.
func peer(t *testing.T, then func(number int, conn net.Conn)) string {
	var count atomic.Int64
	return stranger(t, func(conn net.Conn) {
		if _, err := io.CopyN(io.Discard, conn, prefaceSize); err != nil {
			return
		}
		if _, err := conn.Write(preface(answerAccepted, protocolVersion)); err != nil {
			return
		}
		then(int(count.Add(1)), conn)
	})
}

func TestStrangersAreRecognised(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	secureWeb := httptest.NewTLSServer(http.NotFoundHandler())
	defer secureWeb.Close()
	secureWeb.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	reply := func(answer []byte) string {
		return stranger(t, func(conn net.Conn) {
			_, _ = io.CopyN(io.Discard, conn, prefaceSize)
			_, _ = conn.Write(answer)
		})
	}
	client := listen(t, Config{}, nil).Client()
	for name, test := range map[string]struct {
		addr string
		is   error
		says string
	}{
		"HTTP server":   {strings.TrimPrefix(web.URL, "http://"), ErrSpeaksHTTP, "18182"},
		"HTTPS server":  {strings.TrimPrefix(secureWeb.URL, "https://"), ErrProtocol, "TLS"},
		"other version": {reply(preface(answerVersion, 9)), ErrProtocol, "version 9"},
		"too many":      {reply(preface(answerFull, 1)), ErrOverloaded, "too many"},
		"unknown kind":  {reply(preface(answerUnknownKind, 1)), ErrProtocol, "upgrade"},
		"new answer":    {reply(preface(0x99, 1)), ErrProtocol, "0x99"},
		"mail server":   {reply([]byte("220 mail.example ESMTP\r\n")), ErrProtocol, "220"},
		"silent hangup": {reply(nil), ErrProtocol, "closed the connection"},
	} {
		_, err := client.Hello(t.Context(), test.addr, HelloRequest{})
		if !errors.Is(err, test.is) || !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("%s: %v, want %v", name, err, test.is)
		} else if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), test.addr) {
			t.Errorf("%s: %q does not name %q and the address", name, err, test.says)
		}
	}
}

func TestHTTPClientsAreToldWhereTheyAre(t *testing.T) {
	server := listen(t, Config{}, nil)
	get := func() string {
		t.Helper()
		response, err := http.Get("http://" + server.Addr() + "/v1/health")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusBadRequest {
			t.Fatalf("status %d, %v", response.StatusCode, err)
		}
		return string(body)
	}
	if body := get(); !strings.Contains(body, "node-to-node port") || !strings.Contains(body, "18180") {
		t.Errorf("answer %q", body)
	}
	server.Serve(&node{hello: func(context.Context, HelloRequest) (HelloResponse, error) {
		return HelloResponse{HTTPAddr: "db1.example:18999"}, nil
	}})
	if body := get(); !strings.Contains(body, "db1.example:18999") {
		t.Errorf("answer %q does not name the HTTP port", body)
	}
	large := strings.NewReader(strings.Repeat("x", 1<<20))
	if response, err := http.Post("http://"+server.Addr(), "text/plain", large); err == nil {
		response.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestTheListenerRefusesWhatItDoesNotKnow(t *testing.T) {
	var logged lockedBuffer
	server := listen(t, Config{Logger: slog.New(slog.NewTextHandler(&logged, nil))}, nil)
	for name, test := range map[string]struct {
		send   []byte
		answer byte
		log    string
	}{
		"other version": {preface(protoRPC, 77), answerVersion, "version 77"},
		"unknown kind":  {preface(0x07, protocolVersion), answerUnknownKind, "unknown kind"},
		"TLS":           {[]byte{tlsHandshake, 3, 1}, answerNeedsPlain, "no certificate"},
	} {
		conn, err := net.Dial("tcp", server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(test.send)
		answer, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || len(answer) != prefaceSize || answer[0] != test.answer || answer[3] != protocolVersion {
			t.Errorf("%s: answer %q, %v", name, answer, err)
		}
		waitFor(t, "log about "+name, func() bool { return strings.Contains(logged.String(), test.log) })
	}
	before := logged.String()
	conn, err := net.Dial("tcp", server.Addr()) // a port probe is no event
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	waitFor(t, "end of the probe", func() bool { server.mu.Lock(); defer server.mu.Unlock(); return server.accepted == 0 })
	if after := logged.String(); after != before {
		t.Errorf("a port probe was logged: %s", strings.TrimPrefix(after, before))
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestABrokenConnectionLeavesTheOutcomeUnknown(t *testing.T) {
	var requests atomic.Int64
	addr := peer(t, func(_ int, conn net.Conn) {
		if _, err := io.CopyN(io.Discard, conn, headerSize); err == nil {
			requests.Add(1)
		}
	})
	client := listen(t, Config{}, nil).Client()
	_, err := client.Forward(t.Context(), addr, ForwardRequest{Records: [][]byte{{1}}})
	if !errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrUnreachable) {
		t.Errorf("connection lost after the request: %v, want ErrOutcomeUnknown", err)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("the request was sent %d times", n)
	}
}

// answerHello answers every request of a connection with the given node id.
func answerHello(t *testing.T, conn net.Conn, id string) {
	codec, err := newCodec()
	if err != nil {
		t.Error(err)
		return
	}
	var scratch [headerSize]byte
	for {
		h, err := readHeader(conn, &scratch)
		if err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(h.length)); err != nil {
			return
		}
		body, err := codec.encode(HelloResponse{NodeID: id})
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.Write(append(header{kind: kindResponse, id: h.id, length: uint32(body.Len())}.appendTo(nil), body.Bytes()...))
	}
}

func TestADeadPooledConnectionIsDialledAgain(t *testing.T) {
	for name, kill := range map[string]func(*clientConn){
		"its writer failed, its reader does not know yet": func(c *clientConn) { c.writer.stopWith(io.ErrClosedPipe) },
		"it ended": func(c *clientConn) { _ = c.conn.Close(); <-c.done },
	} {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int64
			addr := peer(t, func(number int, conn net.Conn) {
				conns.Store(int64(number))
				answerHello(t, conn, "peer")
			})
			client := listen(t, Config{}, nil).Client()
			if _, err := client.Hello(t.Context(), addr, HelloRequest{}); err != nil {
				t.Fatal(err)
			}
			client.mu.Lock()
			kill(client.peers[addr].conn)
			client.mu.Unlock()
			if got, err := client.Hello(t.Context(), addr, HelloRequest{}); err != nil || got.NodeID != "peer" {
				t.Errorf("call over a dead connection: %v, %v", got, err)
			}
			if n := conns.Load(); n != 2 {
				t.Errorf("%d connections were made, want 2", n)
			}
		})
	}
}

func TestTheOutcomeIsKnownWhenNothingWasWritten(t *testing.T) {
	near, far := net.Pipe() // nobody reads: the first frame is stuck in Write
	defer far.Close()
	codec, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	conn := newClientConn(codec, near)
	var running sync.WaitGroup
	running.Go(func() { conn.run(t.Context()) })
	outcomes := make(chan error, 2)
	call := func() {
		_, err := conn.roundTrip(t.Context(), methodHello, []byte{0xa0})
		outcomes <- err
	}
	running.Go(call)
	one := make([]byte, 1)
	if _, err := far.Read(one); err != nil { // the first frame's first byte is out
		t.Fatal(err)
	}
	running.Go(call)
	waitFor(t, "the second frame to be queued", func() bool {
		conn.writer.mu.Lock()
		defer conn.writer.mu.Unlock()
		return len(conn.writer.pending) == headerSize+1
	})
	if _, err := io.CopyN(io.Discard, far, headerSize); err != nil { // the rest of the first frame
		t.Fatal(err)
	}
	far.Close()
	running.Wait()
	first, second := <-outcomes, <-outcomes
	if errors.Is(first, errNotSent) == errors.Is(second, errNotSent) {
		t.Errorf("outcomes %v and %v: exactly the frame of which no byte was written is certain", first, second)
	}
}

func TestARestartedPeerIsReachedAgain(t *testing.T) {
	name := func(id string) *node {
		return &node{hello: func(context.Context, HelloRequest) (HelloResponse, error) { return HelloResponse{NodeID: id}, nil }}
	}
	first := listen(t, Config{}, name("first"))
	client := listen(t, Config{}, nil).Client()
	if _, err := client.Hello(t.Context(), first.Addr(), HelloRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "ErrUnreachable", func() bool {
		_, err := client.Hello(t.Context(), first.Addr(), HelloRequest{})
		if err == nil {
			t.Fatal("a closed peer answers")
		}
		return errors.Is(err, ErrUnreachable)
	})
	listen(t, Config{Addr: first.Addr()}, name("second"))
	if got, err := client.Hello(t.Context(), first.Addr(), HelloRequest{}); err != nil || got.NodeID != "second" {
		t.Errorf("after the restart: %v, %v", got, err)
	}
}

func TestOneCallersPatienceDoesNotEndTheOthersDial(t *testing.T) {
	accept := make(chan struct{})
	addr := stranger(t, func(conn net.Conn) {
		<-accept
		_, _ = io.CopyN(io.Discard, conn, prefaceSize)
		_, _ = conn.Write(preface(answerAccepted, protocolVersion))
		answerHello(t, conn, "slow")
	})
	client := listen(t, Config{}, nil).Client()
	hasty, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	_, err := client.Hello(hasty, addr, HelloRequest{})
	if !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hasty caller: %v, want ErrUnreachable", err)
	}
	go func() {
		_, err := client.Hello(t.Context(), addr, HelloRequest{})
		done <- err
	}()
	close(accept)
	if err := <-done; err != nil {
		t.Errorf("patient caller: %v", err)
	}
}

func TestTooLargeARequestIsNotSent(t *testing.T) {
	server := listen(t, Config{}, &node{forward: func(_ context.Context, q ForwardRequest) (ForwardResponse, error) {
		return ForwardResponse{Index: uint64(len(q.Records[0]))}, nil
	}})
	client := listen(t, Config{}, nil).Client()
	_, err := client.Forward(t.Context(), server.Addr(), ForwardRequest{Records: [][]byte{make([]byte, MaxBody+1)}})
	if !errors.Is(err, ErrTooLarge) || !errors.Is(err, ErrRefused) || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("too large: %v, want ErrTooLarge and ErrRefused", err)
	}
	const large = MaxBody - 100
	got, err := client.Forward(t.Context(), server.Addr(), ForwardRequest{Records: [][]byte{make([]byte, large)}})
	if err != nil || got.Index != large {
		t.Errorf("just small enough: %v, %v", got, err)
	}
}

func TestAConnectionIsBoundedAndSaysSo(t *testing.T) {
	release := make(chan struct{})
	var running atomic.Int64
	server := listen(t, Config{}, &node{hello: func(ctx context.Context, _ HelloRequest) (HelloResponse, error) {
		running.Add(1)
		defer running.Add(-1)
		select {
		case <-release:
		case <-ctx.Done():
		}
		return HelloResponse{}, nil
	}})
	conn := rawCall(t, server.Addr(), nil)
	var frames []byte
	for id := range uint64(maxInFlight + 10) {
		frames = append(header{kind: kindRequest, code: methodHello, id: id, length: 1}.appendTo(frames), 0xa0)
	}
	if _, err := conn.Write(frames); err != nil {
		t.Fatal(err)
	}
	codec, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	var scratch [headerSize]byte
	for range 10 {
		h, err := readHeader(conn, &scratch)
		if err != nil {
			t.Fatal(err)
		}
		body, err := readBody(conn, int(h.length), nil)
		if err != nil {
			t.Fatal(err)
		}
		var remote RemoteError
		if err := codec.decode(body, &remote); err != nil || h.code != statusError || remote.Code != CodeOverloaded || h.id < maxInFlight {
			t.Errorf("answer to call %d: status %d, %+v, %v; want overloaded", h.id, h.code, remote, err)
		}
	}
	if n := running.Load(); n > maxInFlight {
		t.Errorf("%d handlers run at once", n)
	}
	close(release)
}

func TestMalformedFramesEndTheConnection(t *testing.T) {
	server := listen(t, Config{}, &node{hello: func(ctx context.Context, _ HelloRequest) (HelloResponse, error) {
		<-ctx.Done()
		return HelloResponse{}, nil
	}})
	request := append(header{kind: kindRequest, code: methodHello, id: 1, length: 1}.appendTo(nil), 0xa0)
	tooLong := header{kind: kindRequest, code: methodHello, id: 1}.appendTo(nil)
	binary.BigEndian.PutUint32(tooLong, MaxBody+1)
	for name, frames := range map[string][]byte{
		"too long":         tooLong,
		"unknown kind":     header{kind: 9}.appendTo(nil),
		"an answer":        header{kind: kindResponse}.appendTo(nil),
		"ping with a body": header{kind: kindPing, length: 1}.appendTo(nil),
		"an id twice":      append(bytes.Clone(request), request...),
	} {
		conn := rawCall(t, server.Addr(), nil)
		if _, err := conn.Write(frames); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if rest, err := io.ReadAll(conn); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			t.Errorf("%s: the connection stays open (%q, %v)", name, rest, err)
		}
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestBadBodiesAndMethodsAreRefusedWithoutHarm(t *testing.T) {
	server := listen(t, Config{}, &node{hello: func(context.Context, HelloRequest) (HelloResponse, error) { return HelloResponse{NodeID: "x"}, nil }})
	conn := rawCall(t, server.Addr(), nil)
	codec, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	newer, err := codec.encode(map[int]any{1: "a", 2: "c", 99: []string{"a field of a newer version"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		method uint8
		body   []byte
		code   string // empty: accepted
	}{
		{200, []byte{0xa0}, CodeUnknownMethod},
		{methodHello, []byte{0xff}, CodeBadRequest},
		{methodHello, nil, CodeBadRequest},
		{methodHello, []byte{0xa2, 1, 0x61, 'a', 1, 0x61, 'b'}, CodeBadRequest}, // a key twice
		{methodHello, newer.Bytes(), ""},
		{methodHello, []byte{0xa0}, ""},
	} {
		frame := header{kind: kindRequest, code: test.method, id: uint64(i), length: uint32(len(test.body))}.appendTo(nil)
		if _, err := conn.Write(append(frame, test.body...)); err != nil {
			t.Fatal(err)
		}
		var scratch [headerSize]byte
		h, err := readHeader(conn, &scratch)
		if err != nil {
			t.Fatal(err)
		}
		body, err := readBody(conn, int(h.length), nil)
		if err != nil {
			t.Fatal(err)
		}
		var remote RemoteError
		if h.code == statusError {
			err = codec.decode(body, &remote)
		}
		if err != nil || remote.Code != test.code {
			t.Errorf("call %d: %+v, %v, want code %q", i, remote, err, test.code)
		}
	}
}

func TestPingsAreAnswered(t *testing.T) {
	conn := rawCall(t, listen(t, Config{}, nil).Addr(), nil)
	if _, err := conn.Write(header{kind: kindPing, id: 5}.appendTo(nil)); err != nil {
		t.Fatal(err)
	}
	var scratch [headerSize]byte
	if h, err := readHeader(conn, &scratch); err != nil || h.kind != kindPong || h.id != 5 {
		t.Errorf("answer to a ping: %+v, %v", h, err)
	}
}

func TestUnusedConnectionsRetire(t *testing.T) {
	c := newClientConn(nil, nil)
	if c.retire(c.used.Add(unusedLimit - 1)) {
		t.Error("a connection retires early")
	}
	id, _ := c.register(make(chan result, 1))
	if c.retire(c.used.Add(2 * unusedLimit)) {
		t.Error("a connection retires during a call")
	}
	c.abandon(id)
	if !c.retire(c.used.Add(unusedLimit)) || !c.broken() {
		t.Error("an unused connection stays")
	}
	if _, ok := c.register(make(chan result, 1)); ok {
		t.Error("a retired connection takes a call")
	}
}

func TestTheEndOfAPeerIsSeen(t *testing.T) {
	far := listen(t, Config{}, &node{})
	client := listen(t, Config{}, nil).Client()
	if _, err := client.Hello(t.Context(), far.Addr(), HelloRequest{}); err == nil {
		t.Fatal("a node without answers answers")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("no longer of interest")
	cancel(over)
	if err := client.Watch(ctx, far.Addr()); !errors.Is(err, over) {
		t.Errorf("a watch that is given up ends with %v", err)
	}
	conn := client.peers[far.Addr()].conn
	watched := make(chan error, 1)
	go func() { watched <- client.Watch(t.Context(), far.Addr()) }()
	waitFor(t, "the watch begins", func() bool {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		return len(conn.calls) == 1
	})
	if conn.retire(conn.used.Add(2 * unusedLimit)) {
		t.Error("a watched connection retires")
	}
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-watched; err == nil || errors.Is(err, ErrUnreachable) {
		t.Errorf("the watch ends with %v", err)
	}
	if err := client.Watch(t.Context(), far.Addr()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("what cannot be dialled is watched: %v", err)
	}
}
