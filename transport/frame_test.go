package transport

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := header{
			kind: frameKind(rapid.IntRange(1, 5).Draw(t, "kind")), code: rapid.Uint8().Draw(t, "code"),
			timeout: rapid.Uint32().Draw(t, "timeout"), id: rapid.Uint64().Draw(t, "id"),
		}
		if h.kind <= kindResponse {
			h.length = rapid.Uint32Range(0, MaxBody).Draw(t, "length")
		}
		b := h.appendTo(nil)
		got, err := parseHeader((*[headerSize]byte)(b))
		if err != nil || got != h {
			t.Fatalf("%+v became %+v, %v", h, got, err)
		}
	})
}

func TestBodyOfADishonestHeaderCostsLittle(t *testing.T) {
	got, err := readBody(bytes.NewReader(make([]byte, 100)), MaxBody, nil)
	if !errors.Is(err, io.ErrUnexpectedEOF) || cap(got) > 2*bodyChunk {
		t.Errorf("100 of %d bytes: %v and %d bytes of memory", MaxBody, err, cap(got))
	}
}

func TestWireTimeout(t *testing.T) {
	for left, want := range map[time.Duration]uint32{
		-time.Second: 1, 0: 1, time.Nanosecond: 1, time.Millisecond: 1, time.Millisecond + 1: 2,
		time.Second: 1000, math.MaxInt64: math.MaxUint32,
	} {
		if got := wireTimeout(left); got != want {
			t.Errorf("%v is %d ms on the wire, want %d", left, got, want)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(append(header{kind: kindRequest, code: methodHello, length: 1, id: 1, timeout: 5}.appendTo(nil), 0xa0))
	f.Add(header{kind: kindPing}.appendTo(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		var scratch [headerSize]byte
		h, err := readHeader(r, &scratch)
		if err != nil {
			return
		}
		if again := h.appendTo(nil); !bytes.Equal(again, data[:headerSize]) {
			t.Errorf("header %x was read as %+v, which is %x", data[:headerSize], h, again)
		}
		body, err := readBody(r, int(h.length), nil)
		if (err == nil) != (len(data)-headerSize >= int(h.length)) {
			t.Errorf("body of %d out of %d bytes: %v", h.length, len(data)-headerSize, err)
		}
		if err == nil && !bytes.Equal(body, data[headerSize:headerSize+int(h.length)]) {
			t.Error("the body changed")
		}
	})
}

// fuzzMessage feeds bytes to the decoder of one message: it must not panic,
// and what it accepts must survive being encoded again.
func fuzzMessage[M any](f *testing.F, seed M) {
	c, err := newCodec()
	if err != nil {
		f.Fatal(err)
	}
	body, err := c.encode(seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(body.Bytes()))
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second M
		if c.decode(data, &first) != nil {
			return
		}
		body, err := c.encode(first)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", first, err)
		}
		if err := c.decode(body.Bytes(), &second); err != nil {
			t.Fatalf("%x was read, rewritten as %x, and is no more readable: %v", data, body.Bytes(), err)
		}
		if diff := cmp.Diff(first, second, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%x changed: %s", data, diff)
		}
	})
}

func FuzzHelloRequest(f *testing.F) { fuzzMessage(f, HelloRequest{NodeID: "a", ClusterID: "b"}) }
func FuzzHelloResponse(f *testing.F) {
	fuzzMessage(f, HelloResponse{NodeID: "a", HTTPAddr: "h:1", HasState: true, CommandFormat: 3})
}
func FuzzForwardRequest(f *testing.F) {
	fuzzMessage(f, ForwardRequest{ClusterID: "a", Callers: []Caller{{RequestID: "r"}}, Records: [][]byte{{1}, {}}})
}
func FuzzForwardResponse(f *testing.F) {
	fuzzMessage(f, packResults(ForwardResponse{Index: 1, Results: []ForwardResult{{Outcome: 2}}}))
}
func FuzzReadIndexRequest(f *testing.F) {
	fuzzMessage(f, ReadIndexRequest{ClusterID: "a", NodeID: "b", Term: 3})
}
func FuzzReadIndexResponse(f *testing.F) { fuzzMessage(f, ReadIndexResponse{Index: 2}) }
func FuzzTermRequest(f *testing.F)       { fuzzMessage(f, TermRequest{ClusterID: "a", NodeID: "b"}) }
func FuzzTermResponse(f *testing.F)      { fuzzMessage(f, TermResponse{Term: 1}) }
func FuzzJoinRequest(f *testing.F) {
	fuzzMessage(f, JoinRequest{NodeID: "a", ClusterAddr: "h:1", CommandFormat: 9})
}
func FuzzJoinResponse(f *testing.F) { fuzzMessage(f, JoinResponse{ClusterID: "a", Index: 2}) }
func FuzzMemberRequest(f *testing.F) {
	fuzzMessage(f, MemberRequest{Action: ActionRemove, NodeID: "a", Force: true})
}
func FuzzGrantRequest(f *testing.F) { fuzzMessage(f, GrantRequest{Proposer: "a", Member: "b"}) }
func FuzzRemoteError(f *testing.F) {
	fuzzMessage(f, RemoteError{Code: CodeNotLeader, Message: "m", Leader: "l:1"})
}

func TestForwardResultsOfOddLengthAreRefused(t *testing.T) {
	for _, w := range []forwardResults{{Outcomes: []byte{1}, Hashes: make([]byte, 31)}, {Hashes: make([]byte, 32)}, {Outcomes: []byte{1}}} {
		if r, err := w.unpack(); !errors.Is(err, ErrProtocol) {
			t.Errorf("%d outcomes with %d bytes of hashes: %v, %v", len(w.Outcomes), len(w.Hashes), r, err)
		}
	}
}

// A node of before traces, and one of after, understand each other's requests.
func TestTracesDoNotBreakOlderNodes(t *testing.T) {
	type olderCaller struct {
		RequestID string `cbor:"1,keyasint,omitempty"`
	}
	type olderForward struct {
		ClusterID string        `cbor:"1,keyasint,omitempty"`
		Callers   []olderCaller `cbor:"2,keyasint,omitempty"`
	}
	type olderReadIndex struct {
		ClusterID string `cbor:"1,keyasint,omitempty"`
	}
	codec, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	carry := func(from, to any) {
		t.Helper()
		body, err := codec.encode(from)
		if err == nil {
			err = codec.decode(body.Bytes(), to)
		}
		if err != nil {
			t.Errorf("%T to %T: %v", from, to, err)
		}
	}
	var older olderForward
	carry(&ForwardRequest{ClusterID: "c", Callers: []Caller{{RequestID: "r", TraceParent: "00-1"}}}, &older)
	var newer ForwardRequest
	carry(&older, &newer)
	if newer.ClusterID != "c" || len(newer.Callers) != 1 || newer.Callers[0] != (Caller{RequestID: "r"}) {
		t.Errorf("a forwarded write arrives as %+v", newer)
	}
	var read olderReadIndex
	carry(&ReadIndexRequest{ClusterID: "c", TraceParent: "00-1"}, &read)
	var readBack ReadIndexRequest
	carry(&read, &readBack)
	if readBack != (ReadIndexRequest{ClusterID: "c"}) {
		t.Errorf("a request for a read index arrives as %+v", readBack)
	}
}
