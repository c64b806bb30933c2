package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// counter is a raft FSM that counts entries.
type counter struct{ applied chan []byte }

func (c counter) Apply(l *raft.Log) any              { c.applied <- l.Data; return nil }
func (counter) Snapshot() (raft.FSMSnapshot, error)  { return nil, errors.New("no snapshots here") }
func (counter) Restore(snapshot io.ReadCloser) error { return snapshot.Close() }

func startRaft(t *testing.T, tr *Transport, id string, network raft.Transport, logger hclog.Logger) (*raft.Raft, counter) {
	t.Helper()
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(id)
	conf.Logger = logger
	conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = time.Second, time.Second, time.Second
	conf.CommitTimeout = 5 * time.Millisecond
	store, fsm := raft.NewInmemStore(), counter{make(chan []byte, 100)}
	r, err := raft.NewRaft(conf, fsm, store, store, raft.NewInmemSnapshotStore(), network)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Shutdown().Error(); err != nil {
			t.Error(err)
		}
		if closer, ok := network.(io.Closer); ok {
			closer.Close()
		}
	})
	return r, fsm
}

func TestRaftRunsOverThePortBesideCalls(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			authority := newAuthority(t)
			var members []raft.Server
			var nodes []*raft.Raft
			var fsms []counter
			var transports []*Transport
			for i := range 3 {
				id, cfg := fmt.Sprint("n", i), Config{}
				if secure {
					cfg.TLS = authority.config(t, id)
				}
				tr := listen(t, cfg, &node{readIndex: echoIndex})
				r, fsm := startRaft(t, tr, id, tr.RaftTransport(hclog.NewNullLogger()), hclog.NewNullLogger())
				transports, nodes, fsms = append(transports, tr), append(nodes, r), append(fsms, fsm)
				members = append(members, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(tr.Addr())})
			}
			if err := nodes[0].BootstrapCluster(raft.Configuration{Servers: members}).Error(); err != nil {
				t.Fatal(err)
			}
			payload := bytes.Repeat([]byte("x"), 1<<20)
			waitFor(t, "a leader applies an entry", func() bool {
				for _, r := range nodes {
					if r.State() == raft.Leader && r.Apply(payload, 5*time.Second).Error() == nil {
						return true
					}
				}
				return false
			})
			for i, fsm := range fsms {
				select {
				case got := <-fsm.applied:
					if !bytes.Equal(got, payload) {
						t.Errorf("node %d applied %d bytes, want %d", i, len(got), len(payload))
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("node %d did not apply the entry", i)
				}
			}
			waitFor(t, "the leader knows itself", func() bool {
				for _, r := range nodes {
					if _, id := r.LeaderWithID(); r.State() == raft.Leader && id != "" {
						return true
					}
				}
				return false
			})
			if _, err := transports[0].Client().ReadIndex(t.Context(), transports[1].Addr(), ReadIndexRequest{}); err != nil {
				t.Errorf("a call beside raft: %v", err)
			}
		})
	}
}

// raft may send on a pipeline once more after it has stopped reading answers.
func TestAPipelineThatNobodyReadsEnds(t *testing.T) {
	server, client := listen(t, Config{}, nil), listen(t, Config{}, nil)
	peer, network := server.RaftTransport(hclog.NewNullLogger()), client.RaftTransport(hclog.NewNullLogger())
	network.patience = time.Second
	ctx, cancel := context.WithCancel(t.Context())
	var answering sync.WaitGroup
	answering.Go(func() {
		for {
			select {
			case rpc := <-peer.Consumer():
				rpc.Respond(&raft.AppendEntriesResponse{Success: true}, nil)
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		answering.Wait()
		network.Close()
		peer.Close()
	})
	open := func() raft.AppendPipeline {
		pipeline, err := network.AppendEntriesPipeline("n1", raft.ServerAddress(server.Addr()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pipeline.Close() })
		return pipeline
	}
	send := func(p raft.AppendPipeline) error {
		_, err := p.AppendEntries(&raft.AppendEntriesRequest{}, new(raft.AppendEntriesResponse))
		return err
	}
	unread := open()
	sent, err := 0, error(nil)
	for ; err == nil && sent < 100; sent++ {
		err = send(unread)
	}
	if !errors.Is(err, raft.ErrPipelineShutdown) || sent < 2 {
		t.Errorf("call %d without a reader: %v, want %v after the first", sent, err, raft.ErrPipelineShutdown)
	}
	network.patience = 10 * time.Second // one whose answers are read goes on
	read := open()
	for range 100 {
		if err := send(read); err != nil {
			t.Fatal(err)
		}
		if answer := <-read.Consumer(); !answer.Response().Success {
			t.Fatal("no success")
		}
	}
}

// The timer of a call ends with the call, and is longer for large entries.
func TestAPipelineOutlivesItsCalls(t *testing.T) {
	const large = 2 * pipelineRate
	for name, test := range map[string]struct {
		takes time.Duration
		size  int
		ends  bool
	}{
		"quick":           {0, 0, false},
		"slow":            {2 * time.Second, 0, true},
		"slow, and large": {2 * time.Second, large, false},
		"slower":          {4 * time.Second, large, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := &timedPipeline{takes: test.takes}
				pipeline := boundedPipeline{inner, time.Second}
				for range 3 {
					if _, err := pipeline.AppendEntries(&raft.AppendEntriesRequest{Entries: []*raft.Log{{Data: make([]byte, test.size)}}}, nil); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
				}
				if inner.closed.Load() != test.ends {
					t.Errorf("the pipeline ended: %v, want %v", inner.closed.Load(), test.ends)
				}
			})
		})
	}
}

// timedPipeline is one whose calls take a while.
type timedPipeline struct {
	raft.AppendPipeline

	takes  time.Duration
	closed atomic.Bool
}

func (p *timedPipeline) AppendEntries(*raft.AppendEntriesRequest, *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	time.Sleep(p.takes)
	return nil, nil
}

func (p *timedPipeline) Close() error { p.closed.Store(true); return nil }

// withoutPreVote is what a transport looks like that wraps raft's without
// embedding it.
type withoutPreVote struct{ raft.Transport }

func TestRaftSeesThePreVote(t *testing.T) {
	const warning = "pre-vote is disabled because it is not supported by the Transport"
	for name, test := range map[string]struct {
		wrap func(*RaftTransport) raft.Transport
		want bool
	}{
		"the transport":       {func(r *RaftTransport) raft.Transport { return r }, true},
		"a careless wrapping": {func(r *RaftTransport) raft.Transport { return withoutPreVote{r} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var logged lockedBuffer
			logger := hclog.New(&hclog.LoggerOptions{Output: &logged, Level: hclog.Debug})
			tr := listen(t, Config{}, nil)
			network := tr.RaftTransport(logger)
			t.Cleanup(func() { network.Close() })
			startRaft(t, tr, "n0", test.wrap(network), logger)
			if _, has := test.wrap(network).(raft.WithPreVote); has != test.want {
				t.Errorf("raft.WithPreVote is %v", has)
			}
			if warned := strings.Contains(logged.String(), warning); warned == test.want {
				t.Errorf("raft's log: %s", logged.String())
			}
		})
	}
}

func TestRaftDialsOnlyItsOwnProtocol(t *testing.T) {
	tr := listen(t, Config{}, nil)
	addr := stranger(t, func(conn net.Conn) {
		_, _ = io.CopyN(io.Discard, conn, prefaceSize)
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
	})
	if _, err := tr.RaftLayer().Dial(raft.ServerAddress(addr), time.Second); !errors.Is(err, ErrSpeaksHTTP) {
		t.Errorf("raft dials an HTTP server: %v", err)
	}
	stuck := stranger(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	if _, err := tr.RaftLayer().Dial(raft.ServerAddress(stuck), 30*time.Millisecond); !errors.Is(err, ErrUnreachable) {
		t.Errorf("raft dials a mute server: %v", err)
	}
}

func TestAClosedRaftLayerLeavesTheCalls(t *testing.T) {
	server := listen(t, Config{}, &node{readIndex: echoIndex})
	other := listen(t, Config{}, nil)
	layer := server.RaftLayer()
	if err := layer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := layer.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
	if _, err := layer.Dial(raft.ServerAddress(other.Addr()), time.Second); !errors.Is(err, ErrClosed) {
		t.Errorf("dial after close: %v", err)
	}
	conn, err := other.RaftLayer().Dial(raft.ServerAddress(server.Addr()), time.Second)
	if err == nil {
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a raft connection to a closed layer stays open: %v", err)
		}
	}
	if _, err := other.Client().ReadIndex(t.Context(), server.Addr(), ReadIndexRequest{}); err != nil {
		t.Errorf("call: %v", err)
	}
	if got := layer.Addr().String(); got != server.Addr() {
		t.Errorf("the layer calls itself %s, the transport %s", got, server.Addr())
	}
}
