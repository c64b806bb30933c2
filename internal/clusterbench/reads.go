package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/loadtest"
	"github.com/stemedb/stemedb/node"
)

// readable is how many claims there are to be read.
const readable = 10_000

// measureReads measures reads of one claim by its hash, and the same client at a
// server that does nothing but send such an answer.
func measureReads(ctx context.Context, c *config, t *table) error {
	n, err := startNodes(ctx, c, c.logStores(node.LogBolt)[0])
	if err != nil {
		return err
	}
	defer n.Close()
	if err := n.source.store(ctx, n, readable); err != nil {
		return err
	}
	hashes := make([]assertion.Hash, readable)
	for i := range hashes {
		if hashes[i], err = n.source.hash(i); err != nil {
			return err
		}
	}
	db, err := client.New([]string{n.leader})
	if err != nil {
		return err
	}
	defer db.Close()
	answer, err := db.Document(ctx, 0, "/v1/assertions/"+hashes[0].String())
	if err != nil {
		return err
	}
	for range c.rounds {
		bare, err := bareReads(ctx, c, answer, hashes)
		if err != nil {
			return fmt.Errorf("reads from net/http alone: %w", err)
		}
		t.row(fmt.Sprintf("net/http and the client alone, c=%d", clients)).add(bare, nil)
		for _, at := range []struct{ url, role string }{{n.leader, "leader"}, {n.follower, "follower"}} {
			for _, level := range []string{"linearizable", "local"} {
				m, err := readClaims(ctx, c, at.url, level, hashes)
				if err != nil {
					return fmt.Errorf("%s reads from the %s: %w", level, at.role, err)
				}
				t.row(fmt.Sprintf("%s, %s, c=%d", level, at.role, clients)).add(m, bare)
			}
		}
	}
	return nil
}

func readClaims(ctx context.Context, c *config, url, level string, hashes []assertion.Hash) (*loadtest.Measurement, error) {
	db, err := client.New([]string{url})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return measured(ctx, c, loadtest.Load{Workers: clients, Duration: c.duration, Do: func(ctx context.Context, _ int, k uint64) error {
		_, err := db.Get(ctx, hashes[k%uint64(len(hashes))], client.Consistency{Level: level})
		return err
	}}, loadtest.KindRead, 1)
}

// bareReads measures what is left of a read without StemeDB: a server of net/http
// in this process sends the same body as answer to everything.
func bareReads(ctx context.Context, c *config, answer []byte, hashes []assertion.Hash) (*loadtest.Measurement, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", v1.MediaJSON)
		_, _ = w.Write(answer) // a client that has gone sees to that itself
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	m, err := readClaims(ctx, c, "http://"+listener.Addr().String(), "local", hashes)
	err = errors.Join(err, server.Close())
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return m, err
}
