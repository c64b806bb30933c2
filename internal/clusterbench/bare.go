package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/internal/loadtest"
	"github.com/stemedb/stemedb/node"
)

// nothing is a state machine that does nothing.
type nothing struct{}

func (nothing) Apply(*raft.Log) any                 { return nil }
func (nothing) ApplyBatch(logs []*raft.Log) []any   { return make([]any, len(logs)) }
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("no snapshots here") }
func (nothing) Restore(r io.ReadCloser) error       { return r.Close() }

// measureBare runs three raft nodes in this process, over TCP on loopback, with
// a log store of StemeDB's nodes and nothing else: no HTTP, no signatures, no
// index.
func measureBare(ctx context.Context, c *config, kind string) ([]*loadtest.Measurement, error) {
	dir, err := os.MkdirTemp(c.dir, "stemedb-bare-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	nodes, stop, err := startBare(dir, kind)
	defer stop()
	if err != nil {
		return nil, err
	}
	leader, err := bareLeader(nodes)
	if err != nil {
		return nil, err
	}
	payload := make([]byte, c.valueBytes+bytesAroundValue)
	var results []*loadtest.Measurement
	for _, n := range c.concurrency {
		load := loadtest.Load{Workers: n, Duration: c.duration, Do: func(context.Context, int, uint64) error {
			return leader.Apply(payload, 10*time.Second).Error()
		}}
		m, err := measured(ctx, c, load, loadtest.KindWrite, 1)
		if err != nil {
			return nil, err
		}
		results = append(results, m)
	}
	return results, nil
}

// bytesAroundValue is what a claim's record adds to its value, so that both
// sides write as much.
const bytesAroundValue = 240

func startBare(dir, kind string) (nodes []*raft.Raft, stop func(), err error) {
	var closers []func()
	stop = func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	var members raft.Configuration
	for i := range 3 {
		own := filepath.Join(dir, fmt.Sprint("n", i))
		if err := os.Mkdir(own, 0o700); err != nil {
			return nil, stop, err
		}
		store, err := node.OpenLogStore(own, node.LogOptions{Kind: kind})
		if err != nil {
			return nil, stop, err
		}
		closers = append(closers, func() { store.Close() })
		network, err := raft.NewTCPTransport("127.0.0.1:0", nil, 3, 10*time.Second, io.Discard)
		if err != nil {
			return nil, stop, err
		}
		closers = append(closers, func() { network.Close() })
		conf := raft.DefaultConfig()
		conf.LocalID = raft.ServerID(fmt.Sprint("n", i))
		conf.Logger = hclog.NewNullLogger()
		conf.SnapshotThreshold = 1 << 40
		cached, err := raft.NewLogCache(512, store)
		if err != nil {
			return nil, stop, err
		}
		r, err := raft.NewRaft(conf, nothing{}, cached, store, raft.NewDiscardSnapshotStore(), network)
		if err != nil {
			return nil, stop, err
		}
		closers = append(closers, func() { _ = r.Shutdown().Error() })
		nodes = append(nodes, r)
		members.Servers = append(members.Servers, raft.Server{ID: conf.LocalID, Address: network.LocalAddr()})
	}
	return nodes, stop, nodes[0].BootstrapCluster(members).Error()
}

func bareLeader(nodes []*raft.Raft) (*raft.Raft, error) {
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		for _, r := range nodes {
			if r.State() == raft.Leader {
				return r, nil
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, errors.New("no leader within 30 s")
}
