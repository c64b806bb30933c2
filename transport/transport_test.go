package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stemedb/stemedb/assertion"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a handler whose methods a test sets; those that it does not set
// refuse.
type node struct {
	hello     func(context.Context, HelloRequest) (HelloResponse, error)
	forward   func(context.Context, ForwardRequest) (ForwardResponse, error)
	readIndex func(context.Context, ReadIndexRequest) (ReadIndexResponse, error)
	term      func(context.Context, TermRequest) (TermResponse, error)
	join      func(context.Context, JoinRequest) (JoinResponse, error)
	grant     func(context.Context, GrantRequest) (GrantResponse, error)
	member    func(context.Context, MemberRequest) (MemberResponse, error)
}

func serve[Q, A any](ctx context.Context, req Q, f func(context.Context, Q) (A, error)) (A, error) {
	if f == nil {
		var none A
		return none, fmt.Errorf("%w: not part of this test", ErrRefused)
	}
	return f(ctx, req)
}

func (n *node) Hello(ctx context.Context, q HelloRequest) (HelloResponse, error) {
	return serve(ctx, q, n.hello)
}
func (n *node) Forward(ctx context.Context, q ForwardRequest) (ForwardResponse, error) {
	return serve(ctx, q, n.forward)
}
func (n *node) ReadIndex(ctx context.Context, q ReadIndexRequest) (ReadIndexResponse, error) {
	return serve(ctx, q, n.readIndex)
}
func (n *node) Term(ctx context.Context, q TermRequest) (TermResponse, error) {
	return serve(ctx, q, n.term)
}
func (n *node) Join(ctx context.Context, q JoinRequest) (JoinResponse, error) {
	return serve(ctx, q, n.join)
}
func (n *node) Member(ctx context.Context, q MemberRequest) (MemberResponse, error) {
	return n.member(ctx, q)
}

func (n *node) Grant(ctx context.Context, q GrantRequest) (GrantResponse, error) {
	return serve(ctx, q, n.grant)
}

// listen starts a transport on a free loopback port; h may be nil.
func listen(t testing.TB, c Config, h Handler) *Transport {
	t.Helper()
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	tr, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if h != nil {
		tr.Serve(h)
	}
	return tr
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func TestEveryMethodCarriesItsMessages(t *testing.T) {
	judged := MemberResponse{NodeID: "b", Index: 4, Autopilot: &Autopilot{Healthy: true, Servers: []AutopilotServer{{NodeID: "b", LastContact: 7}}}}
	hello := HelloResponse{
		NodeID: "b", ClusterID: "c1", ClusterAddr: "h:1", GossipAddr: "h:2", HTTPAddr: "h:3", HasState: true,
		RaftState: "Follower", LeaderID: "a", LeaderAddr: "l:1", CommandFormat: 7, Version: "1.2.3",
	}
	forwarded := ForwardResponse{Index: 1 << 60, Results: []ForwardResult{{1, assertion.Hash{1, 2}}, {4, assertion.Hash{31: 9}}}}
	var got []any
	keep := func(v any) { got = append(got, v) }
	server := listen(t, Config{}, &node{
		hello:   func(_ context.Context, q HelloRequest) (HelloResponse, error) { keep(q); return hello, nil },
		forward: func(_ context.Context, q ForwardRequest) (ForwardResponse, error) { keep(q); return forwarded, nil },
		readIndex: func(_ context.Context, q ReadIndexRequest) (ReadIndexResponse, error) {
			keep(q)
			return ReadIndexResponse{Index: 9}, nil
		},
		term: func(_ context.Context, q TermRequest) (TermResponse, error) {
			keep(q)
			return TermResponse{Term: 3}, nil
		},
		join: func(_ context.Context, q JoinRequest) (JoinResponse, error) {
			keep(q)
			return JoinResponse{ClusterID: "c1", Index: 12}, nil
		},
		grant: func(_ context.Context, q GrantRequest) (GrantResponse, error) { keep(q); return GrantResponse{}, nil },
		member: func(_ context.Context, q MemberRequest) (MemberResponse, error) {
			keep(q)
			return judged, nil
		},
	})
	client, ctx := listen(t, Config{}, nil).Client(), t.Context()
	sent := []any{
		HelloRequest{NodeID: "a", ClusterID: "c1"},
		ForwardRequest{ClusterID: "c1", Callers: []Caller{{"r1", "agent", "1.2.3.4:5", ""}, {}}, Records: [][]byte{{1, 2, 3}, bytes.Repeat([]byte{7}, 100_000)}},
		ReadIndexRequest{ClusterID: "c1", NodeID: "a", Term: 3},
		TermRequest{ClusterID: "c1", NodeID: "b"},
		JoinRequest{NodeID: "a", ClusterAddr: "h:9", ClusterID: "c1", CommandFormat: 2},
		GrantRequest{Proposer: "a", Member: "b"},
		MemberRequest{ClusterID: "c1", Action: ActionRemove, NodeID: "b", ClusterAddr: "h:9", Force: true, RequestID: "r"},
	}
	want := []any{hello, forwarded, ReadIndexResponse{Index: 9}, TermResponse{Term: 3}, JoinResponse{ClusterID: "c1", Index: 12}, GrantResponse{}, judged}
	for i := range sent {
		var answer any
		var err error
		switch req := sent[i].(type) {
		case HelloRequest:
			answer, err = client.Hello(ctx, server.Addr(), req)
		case ForwardRequest:
			answer, err = client.Forward(ctx, server.Addr(), req)
		case ReadIndexRequest:
			answer, err = client.ReadIndex(ctx, server.Addr(), req)
		case TermRequest:
			answer, err = client.Term(ctx, server.Addr(), req)
		case JoinRequest:
			answer, err = client.Join(ctx, server.Addr(), req)
		case GrantRequest:
			answer, err = client.Grant(ctx, server.Addr(), req)
		case MemberRequest:
			answer, err = client.Member(ctx, server.Addr(), req)
		}
		if err != nil {
			t.Fatalf("%T: %v", sent[i], err)
		}
		if diff := cmp.Diff(want[i], answer); diff != "" {
			t.Errorf("answer to %T: %s", sent[i], diff)
		}
	}
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("requests arrived changed: %s", diff)
	}
}

func TestManyCallsShareOneConnectionAndOvertakeEachOther(t *testing.T) {
	const calls = 200
	var mu sync.Mutex
	arrived := map[string]bool{}
	release := make(chan struct{})
	server := listen(t, Config{}, &node{hello: func(ctx context.Context, q HelloRequest) (HelloResponse, error) {
		mu.Lock()
		arrived[q.NodeID] = true
		mu.Unlock()
		if q.NodeID == "0" { // the first one is answered last
			select {
			case <-release:
			case <-ctx.Done():
				return HelloResponse{}, ctx.Err()
			}
		}
		return HelloResponse{NodeID: q.NodeID}, nil
	}})
	caller := listen(t, Config{}, nil)
	var others, first sync.WaitGroup
	ask := func(i int) {
		want := fmt.Sprint(i)
		if got, err := caller.Client().Hello(t.Context(), server.Addr(), HelloRequest{NodeID: want}); err != nil || got.NodeID != want {
			t.Errorf("call %s: %q, %v", want, got.NodeID, err)
		}
	}
	first.Go(func() { ask(0) })
	for i := 1; i < calls; i++ {
		others.Go(func() { ask(i) })
	}
	others.Wait()
	close(release)
	first.Wait()
	if len(arrived) != calls {
		t.Errorf("%d of %d calls arrived", len(arrived), calls)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.accepted != 1 {
		t.Errorf("%d connections carried the calls, want 1", server.accepted)
	}
}

func TestErrorsKeepTheirMeaningAcrossTheWire(t *testing.T) {
	all := []error{ErrUnreachable, ErrOutcomeUnknown, ErrSpeaksHTTP, ErrProtocol, ErrNotLeader, ErrWrongCluster, ErrRefused, ErrOverloaded, ErrTooLarge, ErrClosed, ErrDeaf, ErrNoSpace}
	for name, test := range map[string]struct {
		err  error
		want []error
	}{
		"not leader":      {fmt.Errorf("%w: it follows b", ErrNotLeader), []error{ErrNotLeader}},
		"wrong cluster":   {ErrWrongCluster, []error{ErrWrongCluster}},
		"refused":         {ErrRefused, []error{ErrRefused}},
		"no space":        {ErrNoSpace, []error{ErrNoSpace}},
		"overloaded":      {ErrOverloaded, []error{ErrOverloaded}},
		"outcome unknown": {ErrOutcomeUnknown, []error{ErrOutcomeUnknown}},
		"the most cautious one counts": {
			fmt.Errorf("%w, after %w", ErrNotLeader, ErrOutcomeUnknown), []error{ErrOutcomeUnknown}},
		"with the leader":      {&RemoteError{Code: CodeNotLeader, Message: "it follows b", Leader: "b:1"}, []error{ErrNotLeader}},
		"anything else":        {errors.New("disk on fire"), []error{ErrOutcomeUnknown}},
		"time ran out":         {context.DeadlineExceeded, []error{ErrOutcomeUnknown}},
		"code of a newer node": {&RemoteError{Code: "brand_new"}, []error{ErrOutcomeUnknown}},
	} {
		t.Run(name, func(t *testing.T) {
			server := listen(t, Config{}, &node{forward: func(context.Context, ForwardRequest) (ForwardResponse, error) {
				return ForwardResponse{}, test.err
			}})
			_, err := listen(t, Config{}, nil).Client().Forward(t.Context(), server.Addr(), ForwardRequest{})
			for _, candidate := range all {
				want := false
				for _, w := range test.want {
					want = want || w == candidate
				}
				if errors.Is(err, candidate) != want {
					t.Errorf("errors.Is(%v, %v) is %v", err, candidate, !want)
				}
			}
			var remote, sent *RemoteError
			if !errors.As(err, &remote) || !strings.Contains(err.Error(), test.err.Error()) {
				t.Errorf("the remote text is lost: %v", err)
			}
			if errors.As(test.err, &sent) && remote.Leader != sent.Leader {
				t.Errorf("leader %q, want %q", remote.Leader, sent.Leader)
			}
		})
	}
}

func TestTheDeadlineTravelsAndBoundsTheHandler(t *testing.T) {
	left := make(chan time.Duration, 1)
	ended := make(chan error, 1)
	server := listen(t, Config{}, &node{readIndex: func(ctx context.Context, _ ReadIndexRequest) (ReadIndexResponse, error) {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		<-ctx.Done()
		ended <- ctx.Err()
		return ReadIndexResponse{}, ctx.Err()
	}})
	client := listen(t, Config{}, nil).Client()
	if _, err := client.Hello(t.Context(), server.Addr(), HelloRequest{}); !errors.Is(err, ErrRefused) { // the connection is there
		t.Fatal(err)
	}
	const patience = time.Second
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := client.ReadIndex(ctx, server.Addr(), ReadIndexRequest{}); !errors.Is(err, ErrOutcomeUnknown) {
		t.Fatalf("call whose time ran out: %v, want ErrOutcomeUnknown", err)
	}
	if got := <-left; got <= 0 || got > patience+time.Millisecond {
		t.Errorf("the handler has %v left, want at most %v", got, patience)
	}
	<-ended

	// Without a deadline, cancelling the call ends the handler.
	ctx, cancel = context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := client.ReadIndex(ctx, server.Addr(), ReadIndexRequest{})
		done <- err
	}()
	if got := <-left; got <= patience {
		t.Errorf("a call without a deadline has %v", got)
	}
	cancel()
	if err := <-done; !errors.Is(err, ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled call: %v, want ErrOutcomeUnknown and context.Canceled", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the handler's context ended with %v", err)
	}
}

func TestCloseEndsHandlersAndWaitsForThem(t *testing.T) {
	entered := make(chan struct{})
	var finished bool
	server := listen(t, Config{}, &node{hello: func(ctx context.Context, _ HelloRequest) (HelloResponse, error) {
		close(entered)
		<-ctx.Done()
		time.Sleep(20 * time.Millisecond) // tidying up; Close must wait for it
		finished = true
		return HelloResponse{}, ctx.Err()
	}})
	client := listen(t, Config{}, nil).Client()
	done := make(chan error, 1)
	go func() {
		_, err := client.Hello(context.Background(), server.Addr(), HelloRequest{})
		done <- err
	}()
	<-entered
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if !finished {
		t.Error("Close returned before the handler")
	}
	if err := <-done; !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("call during Close: %v, want ErrOutcomeUnknown", err)
	}
	if err := server.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if _, err := server.Client().Hello(t.Context(), server.Addr(), HelloRequest{}); !errors.Is(err, ErrUnreachable) || !errors.Is(err, ErrClosed) {
		t.Errorf("call of a closed transport: %v", err)
	}
}

func TestCallsBeforeServeMayBeRepeated(t *testing.T) {
	server, client := listen(t, Config{}, nil), listen(t, Config{}, nil).Client()
	if _, err := client.Hello(t.Context(), server.Addr(), HelloRequest{}); !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("before Serve: %v, want ErrUnreachable", err)
	}
	server.Serve(&node{hello: func(context.Context, HelloRequest) (HelloResponse, error) { return HelloResponse{NodeID: "x"}, nil }})
	if got, err := client.Hello(t.Context(), server.Addr(), HelloRequest{}); err != nil || got.NodeID != "x" {
		t.Errorf("after Serve: %v, %v", got, err)
	}
}

func TestAdvertisedAddress(t *testing.T) {
	bound := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000}
	any4 := &net.TCPAddr{IP: net.IPv4zero, Port: 4000}
	for _, test := range []struct {
		setting string
		bound   net.Addr
		want    string // empty: refused
	}{
		{"", bound, "127.0.0.1:4000"},
		{"", any4, ""},
		{"", &net.TCPAddr{IP: net.IPv6unspecified, Port: 1}, ""},
		{"db1.example", any4, "db1.example:4000"},
		{"db1.example:5000", any4, "db1.example:5000"},
		{"2001:db8::1", any4, "[2001:db8::1]:4000"},
		{"0.0.0.0", any4, ""},
		{"db1.example:0", any4, ""},
		{":4000", any4, ""},
	} {
		got, err := advertised(test.setting, test.bound)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q on %v: %q, %v, want %q", test.setting, test.bound, got, err, test.want)
		}
	}
}

func TestListenSaysWhichAddressIsTaken(t *testing.T) {
	first := listen(t, Config{}, nil)
	_, err := Listen(Config{Addr: first.Addr()})
	if err == nil || !strings.Contains(err.Error(), first.Addr()) {
		t.Errorf("a taken port: %v", err)
	}
}

// rawCall opens a call connection by hand and returns it after the handshake.
func rawCall(t testing.TB, addr string, secure *tls.Config) net.Conn {
	t.Helper()
	var conn net.Conn
	var err error
	if secure != nil {
		conn, err = tls.Dial("tcp", addr, secure)
	} else {
		conn, err = net.Dial("tcp", addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write(preface(protoRPC, protocolVersion)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, prefaceSize)
	if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != answerAccepted {
		t.Fatalf("handshake: %q, %v", answer, err)
	}
	return conn
}
