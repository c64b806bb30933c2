package gossip

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
)

// memberlist does not wait for a probe that is under way when it shuts down. It
// ends by itself, some seconds later if the other side is gone too.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

func TestANodeComesBackUnderItsNameAtAnotherAddress(t *testing.T) {
	for name, stop := range map[string]func(*peer){
		"after a goodbye": func(p *peer) { p.Leave(5 * time.Second) },
		"after a crash":   func(*peer) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := start(t, "a", "c", nil), start(t, "b", "c", nil)
			if _, err := b.Join(t.Context(), []string{a.Addr()}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "a sees b", func() bool { return a.state("b") == Alive })
			stop(b)
			if err := b.Shutdown(); err != nil {
				t.Fatal(err)
			}
			again := start(t, "b", "c", nil)
			if again.Addr() == b.Addr() {
				t.Skip("the system gave the same port again")
			}
			eventually(t, "a knows b at its new address", func() bool {
				_, _ = again.Join(t.Context(), []string{a.Addr()}) // as a node does until it is seen
				for _, m := range a.Members() {
					if m.NodeID == "b" {
						return m.State == Alive && m.GossipAddr == again.Addr()
					}
				}
				return false
			})
		})
	}
}

func TestAThirdNodeDoesNotBridgeTwoClusters(t *testing.T) {
	one, two := start(t, "one", "c1", nil), start(t, "two", "c2", nil)
	bridge := start(t, "bridge", "", nil) // has no cluster yet: anyone takes it
	if _, err := bridge.Join(t.Context(), []string{one.Addr()}); err != nil {
		t.Fatal(err)
	}
	_, _ = bridge.Join(t.Context(), []string{two.Addr()})
	eventually(t, "the newcomer is known", func() bool { return one.state("bridge") == Alive })
	for range 20 { // several rounds of gossip
		time.Sleep(20 * time.Millisecond)
		if one.state("two") != "" || two.state("one") != "" {
			t.Fatalf("one sees two as %q, two sees one as %q", one.state("two"), two.state("one"))
		}
	}
}

// Everything that a node does at the same time while others come and go. It
// is the race detector's test.
func TestEverythingAtOnce(t *testing.T) {
	a, b := start(t, "a", "", nil), start(t, "b", "", nil)
	if _, err := b.Join(t.Context(), []string{a.Addr()}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, p := range []*peer{a, b} {
		for i := range 3 {
			meta := p.config.Meta
			meta.CommandFormat = uint16(i)
			wg.Go(func() { _ = p.SetMeta(meta) }) // may time out when another change overtakes it
		}
		wg.Go(func() {
			for range 200 {
				p.Publish(Report{NodeID: p.config.NodeID, Index: 1})
				_, _ = p.Addr(), p.Members()
			}
		})
		wg.Go(func() { _, _ = p.Join(t.Context(), []string{a.Addr(), b.Addr()}) })
	}
	wg.Wait()
}

func TestAfterShutdownNothingIsDone(t *testing.T) {
	a := start(t, "a", "c", nil)
	if err := a.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Join(t.Context(), []string{"127.0.0.1:1"}); !errors.Is(err, ErrClosed) {
		t.Errorf("join: %v, want ErrClosed", err)
	}
	if err := a.SetMeta(Meta{}); !errors.Is(err, ErrClosed) {
		t.Errorf("set metadata: %v, want ErrClosed", err)
	}
	a.Publish(Report{NodeID: "a"})
	a.Leave(time.Second)
	if err := a.Shutdown(); err != nil {
		t.Errorf("a second shutdown: %v", err)
	}
}

func TestJoinEndsWithItsContext(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	a := start(t, "a", "c", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := a.Join(ctx, []string{mute.Addr().String()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("join of a mute address: %v, want the deadline", err)
	}
}

func TestANamedBindAddressIsNotEveryInterface(t *testing.T) {
	a := start(t, "a", "c", func(c *Config) { c.BindAddr, c.AdvertiseAddr = "localhost:0", "" })
	if host, _, err := net.SplitHostPort(a.Addr()); err != nil || !net.ParseIP(host).IsLoopback() {
		t.Errorf("bound to localhost, the node is at %s (%v)", a.Addr(), err)
	}
}

func TestReportsRoundTripAndBadDigestsAreRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Report{
			NodeID: rapid.StringN(1, 20, -1).Draw(t, "id"), Index: rapid.Uint64().Draw(t, "index"), Term: rapid.Uint64().Draw(t, "term"),
			Digest:      assertion.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest")),
			CommitIndex: rapid.Uint64().Draw(t, "commit"), SentAtMillis: rapid.Int64().Draw(t, "sent"),
		}
		raw, err := want.encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeReport(raw); err != nil || got != want {
			t.Fatalf("%+v became %+v, %v", want, got, err)
		}
	})
	for name, digest := range map[string][]byte{"short": make([]byte, 31), "long": make([]byte, 33), "absent": nil} {
		body, err := cbor.Marshal(map[int]any{1: "a", 2: 7, 4: digest})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := decodeReport(append([]byte{reportMessage}, body...)); err == nil {
			t.Errorf("a report with a %s digest was read as %+v", name, r)
		}
	}
	body, err := cbor.Marshal(map[int]any{1: "a", 2: 7, 4: make([]byte, 32), 99: "of a newer version"})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := decodeReport(append([]byte{reportMessage}, body...)); err != nil || r.Index != 7 {
		t.Errorf("a report of a newer version: %+v, %v", r, err)
	}
}

func TestMemberlistsLinesKeepTheirLevel(t *testing.T) {
	var out bytes.Buffer
	w := logWriter{slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for line, want := range map[string]string{
		"[DEBUG] memberlist: fine\n":                      "level=DEBUG msg=fine",
		"[INFO] memberlist: fine\n":                       "level=INFO msg=fine",
		"[WARN] memberlist: careful\n":                    "level=WARN msg=careful",
		"[ERR] memberlist: broken\n":                      "level=ERROR msg=broken",
		"[WARN] memberlist: ignoring alive message for x": `level=DEBUG msg="ignoring alive`,
		"no mark": `level=INFO msg="no mark"`,
	} {
		out.Reset()
		if _, err := w.Write([]byte(line)); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%q is logged as %q (%v), want %q", line, out.String(), err, want)
		}
	}
}
