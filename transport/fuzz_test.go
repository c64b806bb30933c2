package transport

import (
	"errors"
	"io"
	"net"
	"testing"
)

// given is the accepting end of a connection on which a peer says data and then
// nothing more; what it is answered goes nowhere.
func given(t *testing.T, data []byte) *ownedConn {
	t.Helper()
	ours, theirs := net.Pipe()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(io.Discard, theirs)
	}()
	said := make(chan struct{})
	go func() {
		defer close(said)
		_, _ = theirs.Write(data)
		_ = theirs.Close()
	}()
	t.Cleanup(func() {
		_ = ours.Close()
		<-said
		<-heard
	})
	return &ownedConn{Conn: ours, released: func(*ownedConn) {}}
}

// Whatever a stranger says to the port, from the preface to the last frame: no
// panic, and the connection ends.
func FuzzConnection(f *testing.F) {
	call := append(header{kind: kindRequest, code: methodHello, length: 1, id: 1, timeout: 5}.appendTo(nil), 0xa0)
	f.Add(append(preface(protoRPC, protocolVersion), call...))
	f.Add(append(preface(protoRPC, protocolVersion), header{kind: kindPing}.appendTo(nil)...))
	f.Add(preface(protoRPC, protocolVersion+1))
	f.Add(preface(0x7f, protocolVersion))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{tlsHandshake, 3, 1, 0, 5, 1, 0, 0, 1, 0})
	f.Add([]byte{})
	server := listen(f, Config{}, &node{readIndex: echoIndex})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 0 && data[0] == protoRaft {
			return // is raft's after the preface; FuzzClusterName has what comes between
		}
		server.receive(given(t, data))
	})
}

func FuzzClusterName(f *testing.F) {
	f.Add([]byte("\x02c1"))
	f.Add([]byte{0})
	f.Add([]byte{255, 'c'})
	server := listen(f, Config{ClusterID: func() string { return "c1" }}, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		err := server.raft.checkCluster(given(t, data))
		good := len(data) > 0 && (data[0] == 0 || data[0] == 2 && len(data) >= 3 && string(data[1:3]) == "c1")
		ended := errors.Is(err, io.ErrClosedPipe) // the peer has closed the pipe after what it said
		if (err == nil || ended) != good {
			t.Errorf("%q: %v", data, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for first := byte(0x80); first < 0x87; first++ {
		f.Add(preface(first, protocolVersion))
	}
	f.Add([]byte("HTTP/1.1"))
	f.Add([]byte{tlsAlert, 3, 3, 0, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 5 {
			return
		}
		if err := checkAnswer(data); (err == nil) != (data[0] == answerAccepted && data[1] == 'S' && data[2] == 'T') {
			t.Errorf("%q: %v", data, err)
		}
	})
}

func FuzzForwardResults(f *testing.F) {
	f.Add(uint64(1), []byte{1}, make([]byte, 32))
	f.Add(uint64(0), []byte{}, []byte{1})
	f.Fuzz(func(t *testing.T, index uint64, outcomes, hashes []byte) {
		r, err := forwardResults{Index: index, Outcomes: outcomes, Hashes: hashes}.unpack()
		if (err == nil) != (len(hashes) == 32*len(outcomes)) {
			t.Fatalf("%d outcomes, %d bytes of hashes: %v", len(outcomes), len(hashes), err)
		}
		if err != nil {
			return
		}
		if again := packResults(r); again.Index != index || string(again.Outcomes) != string(outcomes) || string(again.Hashes) != string(hashes) {
			t.Errorf("%+v became %+v", r, again)
		}
	})
}
