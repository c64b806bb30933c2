package transport

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func TestADeafNodeLooksLikeOneWhoseProcessHasEnded(t *testing.T) {
	deaf, other := listen(t, Config{}, &node{readIndex: echoIndex}), listen(t, Config{}, &node{readIndex: echoIndex})
	call := func(from, to *Transport) error {
		_, err := from.Client().ReadIndex(t.Context(), to.Addr(), ReadIndexRequest{})
		return err
	}
	dial := func(from, to *Transport) error {
		conn, err := from.RaftLayer().Dial(raft.ServerAddress(to.Addr()), 5*time.Second)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	if err := errors.Join(call(deaf, other), call(other, deaf)); err != nil {
		t.Fatal(err)
	}
	stream, err := deaf.RaftLayer().Dial(raft.ServerAddress(other.Addr()), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	watched := make(chan error, 1)
	go func() { watched <- other.Client().Watch(t.Context(), deaf.Addr()) }()
	waitFor(t, "the connection to the node is watched", func() bool {
		other.client.mu.Lock()
		defer other.client.mu.Unlock()
		peer := other.client.peers[deaf.Addr()]
		if peer == nil || peer.conn == nil {
			return false
		}
		peer.conn.mu.Lock()
		defer peer.conn.mu.Unlock()
		return len(peer.conn.calls) == 1
	})

	deaf.SetDeaf(true)
	if err := <-watched; err == nil || errors.Is(err, ErrUnreachable) {
		t.Errorf("who watches the node hears %v", err)
	}
	if _, err := stream.Read(make([]byte, 1)); err == nil || errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a raft connection of the node goes on: %v", err)
	}
	for what, err := range map[string]error{"calls it": call(other, deaf), "raft dials it": dial(other, deaf)} {
		if !errors.Is(err, ErrUnreachable) {
			t.Errorf("who %s gets %v, want ErrUnreachable", what, err)
		}
	}
	for what, err := range map[string]error{"calls": call(deaf, other), "dials for raft": dial(deaf, other)} {
		if !errors.Is(err, ErrUnreachable) || !errors.Is(err, ErrDeaf) {
			t.Errorf("if the node %s it gets %v, want ErrUnreachable and ErrDeaf", what, err)
		}
	}

	deaf.SetDeaf(false)
	if err := errors.Join(call(deaf, other), call(other, deaf), dial(deaf, other)); err != nil {
		t.Errorf("a node that takes part again: %v", err)
	}
}
