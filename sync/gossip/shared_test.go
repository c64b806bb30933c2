package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// words is a set that nodes hold together: what a test shares.
type words struct {
	mu      sync.Mutex
	all     map[string]bool
	changed []string
}

func newWords() *words { return &words{all: map[string]bool{}} }

func (w *words) add(word string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[word] = true
	w.changed = append(w.changed, word)
}

func (w *words) has(word string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[word]
}

func (w *words) Changes(_ time.Time, limit int) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	var message []byte
	for len(w.changed) > 0 && len(message)+1+len(w.changed[0]) <= limit {
		message = append(append(message, w.changed[0]...), '\n')
		w.changed = w.changed[1:]
	}
	return message
}

func (w *words) State(_ time.Time, limit int) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	var message []byte
	for word := range w.all {
		if len(message)+1+len(word) <= limit {
			message = append(append(message, word...), '\n')
		}
	}
	return message
}

func (w *words) Merge(_ time.Time, message []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(string(message)) {
		word, ok := strings.CutSuffix(line, "\n")
		if !ok {
			return errors.New("no end of line")
		}
		w.all[word] = true
	}
	return nil
}

// sharer is a node with two things that it shares.
func sharer(t *testing.T, id, cluster string) (p *peer, one, two *words) {
	t.Helper()
	one, two = newWords(), newWords()
	p = start(t, id, cluster, func(c *Config) { c.Shared = map[byte]Shared{1: one, 200: two} })
	return p, one, two
}

func TestChangesReachEveryLiveMember(t *testing.T) {
	a, a1, a2 := sharer(t, "a", "x")
	b, b1, b2 := sharer(t, "b", "x")
	c, c1, _ := sharer(t, "c", "x")
	mute := start(t, "mute", "x", nil) // an older version, which shares nothing
	for _, p := range []*peer{b, c, mute} {
		if _, err := p.Join(t.Context(), []string{a.Addr()}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all see all", func() bool { return c.state("b") == Alive && b.state("c") == Alive && a.state("mute") == Alive })
	for i := range 200 { // some packets
		a1.add(fmt.Sprintf("one of the longer words that a node may have to tell the other ones, number %d", i))
	}
	b2.add("second")
	last := "one of the longer words that a node may have to tell the other ones, number 199"
	eventually(t, "every change is known everywhere", func() bool {
		a1.add(last) // best effort: said again until it is heard
		b2.add("second")
		return b1.has(last) && c1.has(last) && a2.has("second")
	})
	if a1.has("second") || b1.has("second") {
		t.Error("what is shared under one number came under another")
	}
}

func TestWhoComesLaterLearnsEverything(t *testing.T) {
	a, a1, _ := sharer(t, "a", "x")
	a1.add("early")
	eventually(t, "the change was told to nobody", func() bool { a1.mu.Lock(); defer a1.mu.Unlock(); return len(a1.changed) == 0 })
	b, b1, _ := sharer(t, "b", "x") // as after a restart
	b1.add("from before")
	if _, err := b.Join(t.Context(), []string{a.Addr()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both know both", func() bool { return b1.has("early") && a1.has("from before") })
}

func TestANewcomerLearnsEverythingOnceItHasACluster(t *testing.T) {
	a, a1, _ := sharer(t, "a", "x")
	a1.add("early")
	b, b1, _ := sharer(t, "b", "")
	b1.add("of no cluster")
	if _, err := b.Join(t.Context(), []string{a.Addr()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they see each other", func() bool { return b.state("a") == Alive && a.state("b") == Alive })
	a1.add("told while b has no cluster")
	eventually(t, "all is told", func() bool {
		for _, w := range []*words{a1, b1} {
			w.mu.Lock()
			told := len(w.changed) == 0
			w.mu.Unlock()
			if !told {
				return false
			}
		}
		return true
	})
	if b1.has("early") || a1.has("of no cluster") {
		t.Error("a node without a cluster shares with one that has one")
	}
	meta := b.config.Meta
	meta.ClusterID = "x"
	eventually(t, "b tells its cluster", func() bool { return b.SetMeta(meta) == nil })
	eventually(t, "both know everything", func() bool {
		return b1.has("early") && b1.has("told while b has no cluster") && a1.has("of no cluster")
	})
}

func TestNothingOfAnotherClusterIsMerged(t *testing.T) {
	a, a1, _ := sharer(t, "a", "x")
	for name, test := range map[string]struct {
		message []byte
		merged  bool
	}{
		"same cluster":    {appendPart(sharedHead("x"), 1, []byte("w\n")), true},
		"another cluster": {appendPart(sharedHead("y"), 1, []byte("w\n")), false},
		"no cluster":      {appendPart(sharedHead(""), 1, []byte("w\n")), false},
		"unknown number":  {appendPart(sharedHead("x"), 2, []byte("w\n")), false},
		"not well-formed": {appendPart(sharedHead("x"), 1, []byte("w")), false},
		"second part":     {appendPart(appendPart(sharedHead("x"), 2, []byte("v\n")), 1, []byte("w\n")), true},
		"cut":             {appendPart(sharedHead("x"), 1, []byte("w\n"))[:5], false},
		"cut in the head": {sharedHead("x")[:2], false},
		"another kind":    {append([]byte{reportMessage}, appendPart(sharedHead("x"), 1, []byte("w\n"))[1:]...), false},
		"empty":           {nil, false},
	} {
		a1.mu.Lock()
		clear(a1.all)
		a1.mu.Unlock()
		delegate{a.Gossip}.MergeRemoteState(test.message, false)
		if a1.has("w") != test.merged {
			t.Errorf("%s: merged is %t", name, a1.has("w"))
		}
	}
	// Of a node that knows no cluster of its own, not even its equal's.
	b, b1, _ := sharer(t, "b", "")
	delegate{b.Gossip}.NotifyMsg(appendPart(sharedHead(""), 1, []byte("w\n")))
	if b1.has("w") {
		t.Error("two nodes without a cluster share")
	}
}

func FuzzShared(f *testing.F) {
	f.Add(appendPart(appendPart(sharedHead("x"), 1, []byte("a\n")), 7, nil))
	f.Add(sharedHead(""))
	f.Fuzz(func(t *testing.T, message []byte) {
		w := newWords()
		g := &Gossip{config: Config{Now: time.Now}, meta: Meta{ClusterID: "x"}, shares: sharesOf(map[byte]Shared{1: w}), log: slog.New(slog.NewTextHandler(io.Discard, nil))}
		g.mergeShares(message)
		if len(message) == 0 {
			return
		}
		cluster, parts, err := splitShared(message)
		if err != nil {
			return
		}
		again := sharedHead(cluster)
		for _, p := range parts {
			again = appendPart(again, p.id, p.message)
		}
		other, same, err := splitShared(again)
		if err != nil || other != cluster || !slices.EqualFunc(parts, same, func(p, q part) bool { return p.id == q.id && bytes.Equal(p.message, q.message) }) {
			t.Fatalf("%q, %v became %q, %v, %v", cluster, parts, other, same, err)
		}
	})
}
