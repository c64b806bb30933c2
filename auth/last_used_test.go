package auth_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/auth"
)

// However messages are lost, repeated and overtaken, one exchange of everything
// leaves all nodes with the latest use of each key.
func TestLastUsesConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := []*auth.LastUsed{auth.NewLastUsed(), auth.NewLastUsed(), auth.NewLastUsed()}
		want := map[string]uint64{}
		var wire [][]byte
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			i := rapid.IntRange(0, 2).Draw(t, "node")
			at := noon.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "second")) * time.Second)
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				id := rapid.SampledFrom([]string{"a", "bb", "root"}).Draw(t, "key")
				nodes[i].Use(id, at)
				want[id] = max(want[id], uint64(at.Unix()))
			case 1:
				if m := nodes[i].Changes(at, 1200); m != nil {
					wire = append(wire, m)
				}
			case 2:
				if len(wire) > 0 {
					if err := nodes[i].Merge(noon, rapid.SampledFrom(wire).Draw(t, "message")); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for _, from := range nodes {
			for _, to := range nodes {
				if err := to.Merge(noon, from.State(noon, 1<<20)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, n := range nodes {
			for _, id := range []string{"a", "bb", "root"} {
				if got := n.At(id); got != want[id] {
					t.Fatalf("node %d: %s was used at %d, want %d", i, id, got, want[id])
				}
			}
		}
	})
}

func TestLastUsesAreToldOnce(t *testing.T) {
	one, two := auth.NewLastUsed(), auth.NewLastUsed()
	for i := range 100 {
		one.Use(strings.Repeat("k", 20)+string(rune('a'+i%26))+string(rune('a'+i/26)), noon)
	}
	messages := 0
	for m := one.Changes(noon, 1200); m != nil; m = one.Changes(noon, 1200) {
		if len(m) > 1200 {
			t.Fatalf("a message of %d bytes", len(m))
		}
		if err := two.Merge(noon, m); err != nil {
			t.Fatal(err)
		}
		messages++
	}
	if messages < 2 || two.Changes(noon, 1200) != nil {
		t.Errorf("%d messages; what was heard is told on", messages)
	}
	if two.At(strings.Repeat("k", 20)+"aa") != uint64(noon.Unix()) {
		t.Error("a use was not heard of")
	}
	one.Use(strings.Repeat("k", 20)+"aa", noon) // the same second
	if one.Changes(noon, 1200) != nil {
		t.Error("nothing new is told")
	}
}

func TestLastUsesOfOthersAreChecked(t *testing.T) {
	ahead := auth.NewLastUsed()
	ahead.Use("a", noon.Add(2*time.Minute))
	n := auth.NewLastUsed()
	if err := n.Merge(noon, ahead.State(noon, 1200)); err == nil || n.At("a") != 0 {
		t.Error("a use in the future is taken in")
	}
	for _, message := range []string{"", "\x02", "\x01\x01a", "\x01\x00\x05", "\x01" + "\x21" + strings.Repeat("k", 33) + "\x05"} {
		if err := n.Merge(noon, []byte(message)); err == nil {
			t.Errorf("%q is taken in", message)
		}
	}
}

func FuzzMergeLastUsed(f *testing.F) {
	u := auth.NewLastUsed()
	u.Use("root", noon)
	f.Add(u.State(noon, 1200))
	f.Fuzz(func(t *testing.T, message []byte) {
		n := auth.NewLastUsed()
		_ = n.Merge(noon, message)
		if err := auth.NewLastUsed().Merge(noon, n.State(noon, 1<<20)); err != nil {
			t.Fatalf("what was taken in cannot be passed on: %v", err)
		}
	})
}
