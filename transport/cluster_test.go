package transport

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func TestRaftOfAnotherClusterIsNotHeard(t *testing.T) {
	named := func(id string) Config { return Config{ClusterID: func() string { return id }} }
	for _, tc := range []struct {
		dialer, listener string
		heard            bool
	}{
		{"one", "one", true},
		{"one", "", true}, // the listener has no cluster yet
		{"", "one", true},
		{"one", "two", false},
	} {
		from, to := listen(t, named(tc.dialer), &node{}), listen(t, named(tc.listener), &node{})
		accepted := make(chan net.Conn, 1)
		go func() {
			if conn, err := to.RaftLayer().Accept(); err == nil {
				accepted <- conn
			}
		}()
		conn, err := from.RaftLayer().Dial(raft.ServerAddress(to.Addr()), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("raft")); err != nil && tc.heard {
			t.Fatal(err)
		}
		if tc.heard {
			got := make([]byte, 4)
			peer := <-accepted
			if _, err := io.ReadFull(peer, got); err != nil || string(got) != "raft" {
				t.Errorf("%q to %q: heard %q, %v", tc.dialer, tc.listener, got, err)
			}
			peer.Close()
		} else if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%q to %q: the connection lives", tc.dialer, tc.listener)
		}
		conn.Close()
		select {
		case <-accepted:
			t.Errorf("%q to %q: raft got the connection", tc.dialer, tc.listener)
		default:
		}
	}
}
