package gossip

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/stemedb/stemedb/assertion"
)

// peer is a gossiping node of a test with what it has heard.
type peer struct {
	*Gossip
	mu      sync.Mutex
	reports []Report
}

func (p *peer) heard() []Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Report(nil), p.reports...)
}

func start(t *testing.T, id, cluster string, tweak func(*Config)) *peer {
	t.Helper()
	p := &peer{}
	c := Config{
		NodeID: id, BindAddr: "127.0.0.1:0", AdvertiseAddr: "127.0.0.1", Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Meta: Meta{NodeID: id, ClusterID: cluster, ClusterAddr: id + ":1", HTTPAddr: id + ":2", Version: "test", CommandFormat: 3},
		OnReport: func(r Report) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.reports = append(p.reports, r)
		},
	}
	if tweak != nil {
		tweak(&c)
	}
	g, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	p.Gossip = g
	t.Cleanup(func() {
		if err := g.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("within 30 s it did not come true that %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (p *peer) state(id string) State {
	for _, m := range p.Members() {
		if m.NodeID == id {
			return m.State
		}
	}
	return ""
}

func TestMembersKnowEachOthersMetadata(t *testing.T) {
	a, b := start(t, "a", "c1", nil), start(t, "b", "", nil)
	if n, err := b.Join(t.Context(), []string{a.Addr()}); err != nil || n != 1 {
		t.Fatalf("join: %d, %v", n, err)
	}
	eventually(t, "both see both", func() bool { return a.state("b") == Alive && b.state("a") == Alive })
	for _, m := range b.Members() {
		if m.NodeID == "a" && (m.ClusterID != "c1" || m.HTTPAddr != "a:2" || m.ClusterAddr != "a:1" || m.CommandFormat != 3 || m.GossipAddr != a.Addr()) {
			t.Errorf("b knows of a: %+v", m)
		}
	}
	meta := b.config.Meta
	meta.ClusterID = "c1"
	eventually(t, "b tells its cluster", func() bool { return b.SetMeta(meta) == nil })
	eventually(t, "a learns b's cluster", func() bool {
		for _, m := range a.Members() {
			if m.NodeID == "b" && m.ClusterID == "c1" {
				return true
			}
		}
		return false
	})
}

func TestReportsReachEveryLiveMember(t *testing.T) {
	a, b := start(t, "a", "c", nil), start(t, "b", "c", nil)
	if _, err := b.Join(t.Context(), []string{a.Addr()}); err != nil {
		t.Fatal(err)
	}
	want := Report{NodeID: "a", Index: 7, Term: 2, Digest: assertion.Hash{9}, CommitIndex: 8, SentAtMillis: 5}
	eventually(t, "b hears a's report", func() bool {
		a.Publish(want) // best effort: said again until it is heard
		return len(b.heard()) > 0
	})
	if got := b.heard()[0]; got != want {
		t.Errorf("heard %+v, want %+v", got, want)
	}
	if len(a.heard()) != 0 {
		t.Error("a hears its own reports")
	}
}

func TestAGoodbyeIsNotADeath(t *testing.T) {
	a, b := start(t, "a", "c", nil), start(t, "b", "c", nil)
	if _, err := b.Join(t.Context(), []string{a.Addr()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a sees b", func() bool { return a.state("b") == Alive })
	b.Leave(5 * time.Second)
	eventually(t, "a sees b leave", func() bool { return a.state("b") == Left })
}

// memberlist's word of the end of a member may come before the member's goodbye.
func TestAGoodbyeCountsAlsoShortlyAfterTheEnd(t *testing.T) {
	for age, want := range map[time.Duration]State{0: Left, lateGoodbye + time.Second: Dead} {
		changes := make(chan Member, 1)
		g := &Gossip{config: Config{OnChange: func(m Member) { changes <- m }}, leaving: map[string]bool{}, members: map[string]Member{
			"b": {Meta: Meta{NodeID: "b"}, State: Dead, Since: time.Now().Add(-age)},
		}}
		g.noteGoodbye("b")
		if got := g.members["b"].State; got != want || len(g.leaving) != 0 {
			t.Errorf("%v after its end a goodbye makes it %s (leaving: %v), want %s", age, got, g.leaving, want)
		}
		if told := len(changes) == 1; told != (want == Left) {
			t.Errorf("%v after its end, the change was told: %v", age, told)
		}
	}
}

func TestASilentMemberIsDead(t *testing.T) {
	a, b := start(t, "a", "c", nil), start(t, "b", "c", nil)
	if _, err := b.Join(t.Context(), []string{a.Addr()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a sees b", func() bool { return a.state("b") == Alive })
	if err := b.Shutdown(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a takes b for dead", func() bool { return a.state("b") == Dead })
}

func TestNodesOfAnotherClusterAreRefused(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	a := start(t, "a", "one", func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return log.Write(p) }), nil))
	})
	b := start(t, "b", "two", nil)
	if _, err := b.Join(t.Context(), []string{a.Addr()}); err == nil {
		t.Error("a node of another cluster joined")
	}
	if a.state("b") != "" || b.state("a") != "" {
		t.Errorf("a knows b as %q, b knows a as %q", a.state("b"), b.state("a"))
	}
	// a hears the end of the exchange in a goroutine of its own, maybe after b does.
	eventually(t, "a's log says so", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(log.String(), "refused a node of another cluster")
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestTheKeyKeepsOthersOut(t *testing.T) {
	key, other := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	a := start(t, "a", "c", func(c *Config) { c.Key = key })
	for name, k := range map[string][]byte{"without": nil, "another": other} {
		x := start(t, "x"+name, "c", func(c *Config) { c.Key = k })
		if n, err := x.Join(t.Context(), []string{a.Addr()}); err == nil || n != 0 {
			t.Errorf("a node with %s key joined", name)
		}
	}
	b := start(t, "b", "c", func(c *Config) { c.Key = key })
	if _, err := b.Join(t.Context(), []string{a.Addr()}); err != nil {
		t.Errorf("a node with the key: %v", err)
	}
}

func TestSettingsAreExplained(t *testing.T) {
	long := Config{NodeID: "a", BindAddr: "127.0.0.1:0", Meta: Meta{NodeID: strings.Repeat("x", memberlist.MetaMaxSize)}}
	if _, err := Start(long); err == nil || !strings.Contains(err.Error(), "512 are possible") {
		t.Errorf("long metadata: %v", err)
	}
	if _, err := Start(Config{NodeID: "a", BindAddr: "nowhere"}); err == nil || !strings.Contains(err.Error(), "gossip address") {
		t.Errorf("a bad address: %v", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := Start(Config{NodeID: "a", BindAddr: taken.Addr().String(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}); err == nil || !strings.Contains(err.Error(), "open the gossip port") {
		t.Errorf("a port in use: %v", err)
	}
	g := start(t, "b", "", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Join(ctx, []string{"127.0.0.1:1"}); err == nil {
		t.Error("a join after the end of its context")
	}
}

func TestTheRecordOfMembersIsBounded(t *testing.T) {
	g := &Gossip{members: map[string]Member{}, leaving: map[string]bool{}, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for i := range maxMembers + 10 {
		g.members[fmt.Sprint(i)] = Member{State: Dead, Since: time.Unix(int64(i), 0)}
		g.forgetOldest()
	}
	if len(g.members) != maxMembers {
		t.Errorf("%d members are remembered, want %d", len(g.members), maxMembers)
	}
	if _, old := g.members["0"]; old {
		t.Error("the member that is gone for longest is still remembered")
	}
}

func FuzzMessages(f *testing.F) {
	report, err := Report{NodeID: "a", Index: 1}.encode()
	if err != nil {
		f.Fatal(err)
	}
	meta, err := Meta{NodeID: "a"}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(report)
	f.Add(meta)
	f.Add([]byte{goodbyeMessage, 'a'})
	f.Fuzz(func(_ *testing.T, message []byte) {
		g := &Gossip{members: map[string]Member{}, leaving: map[string]bool{}, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
		delegate{g}.NotifyMsg(message)
		_, _ = decodeMeta(message)
	})
}
