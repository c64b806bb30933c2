package node

import (
	"testing"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

// TestLogSizesAreThoseOfTheEntries holds logSizes against a list of the entries,
// through appends, overwritten and removed entries, and gaps.
func TestLogSizesAreThoseOfTheEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s logSizes
		first := rapid.Uint64Range(1, 5).Draw(t, "first")
		model := make([]uint64, rapid.IntRange(0, 5).Draw(t, "there")) // sizes
		for i := range model {
			model[i] = 7
		}
		s.seed(first, uint64(len(model)), 7*uint64(len(model)))
		last := func() uint64 { return first + uint64(len(model)) - 1 }
		store := func(at uint64) {
			if at > last()+1 {
				first, model = at, nil
			}
			model = model[:at-first]
			var logs []*raft.Log
			for i := range rapid.Uint64Range(1, 4).Draw(t, "entries") {
				data, extensions := rapid.IntRange(0, 300).Draw(t, "data"), rapid.IntRange(0, 3).Draw(t, "extensions")
				logs = append(logs, &raft.Log{Index: at + i, Data: make([]byte, data), Extensions: make([]byte, extensions)})
				model = append(model, uint64(data+extensions))
			}
			s.appended(logs)
		}
		t.Repeat(map[string]func(*rapid.T){
			"append":    func(*rapid.T) { store(last() + 1) },
			"overwrite": func(t *rapid.T) { store(rapid.Uint64Range(first, last()+1).Draw(t, "at")) },
			"gap":       func(t *rapid.T) { store(last() + rapid.Uint64Range(2, 9).Draw(t, "further")) },
			"remove the first": func(t *rapid.T) {
				n := rapid.IntRange(0, len(model)).Draw(t, "n")
				s.removed(first, first+uint64(n)-1)
				first, model = first+uint64(n), model[n:]
			},
			"remove the last": func(t *rapid.T) {
				if len(model) < 2 {
					t.Skip("all of them are the first ones")
				}
				n := rapid.IntRange(1, len(model)-1).Draw(t, "n")
				s.removed(last()-uint64(n)+1, last())
				model = model[:len(model)-n]
			},
			"": func(t *rapid.T) {
				for skip := range model {
					want := sum(model[skip:])
					if got := s.after(first + uint64(skip) - 1); got != want {
						t.Fatalf("after entry %d of %v, which begin at %d: %d bytes, want %d", first+uint64(skip)-1, model, first, got, want)
					}
				}
				if got := s.after(last()); got != 0 {
					t.Fatalf("%d bytes after the last entry", got)
				}
				bound := rapid.Uint64Range(0, 1500).Draw(t, "bound")
				want := 0
				for want < len(model) && sum(model[len(model)-want-1:]) <= bound {
					want++
				}
				if got := s.holding(bound); got != uint64(want) {
					t.Fatalf("%d bytes hold the last %d of %v, want %d", bound, got, model, want)
				}
			},
		})
	})
}

func sum(sizes []uint64) (all uint64) {
	for _, size := range sizes {
		all += size
	}
	return all
}

func TestHalfOfTheLogIsThatOfItsFiles(t *testing.T) {
	for name, c := range map[string]struct {
		bytes, held, used, half uint64 // 0: no bound
	}{
		"small":                   {1 << 20, 100 << 10, 200 << 10, 0},
		"just half":               {1 << 20, 100 << 10, 1 << 19, 0},
		"files twice the entries": {1 << 20, 300 << 10, 600 << 10, 1 << 18},
		"files as large":          {1 << 20, 600 << 10, 600 << 10, 1 << 19},
		"fewer bytes than noted":  {1 << 20, 700 << 10, 600 << 10, 1 << 19},
		"nothing noted":           {1 << 20, 0, 600 << 10, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var s logSizes
			s.appended([]*raft.Log{{Index: 5, Data: make([]byte, c.held)}})
			if half, bounded := s.half(c.bytes, c.used); half != c.half || bounded != (c.half > 0) {
				t.Errorf("%d, %v; want %d", half, bounded, c.half)
			}
		})
	}
}

// Entries that were small for long and are large now: their mean says nothing.
func TestLargeEntriesAfterSmallOnesCountAsLarge(t *testing.T) {
	eachLogKind(t, func(t *testing.T, kind string) {
		dir := t.TempDir()
		logs, err := OpenLogStore(dir, LogOptions{Kind: kind, NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		const small, large = 3000, 10
		of := func(from, n uint64, size int) (entries []*raft.Log) {
			for i := range n {
				entries = append(entries, &raft.Log{Index: from + i, Term: 1, Data: make([]byte, size)})
			}
			return entries
		}
		if err := logs.StoreLogs(of(1, small, 100)); err != nil {
			t.Fatal(err)
		}
		if err := logs.StoreLogs(of(small+1, large, 100<<10)); err != nil {
			t.Fatal(err)
		}
		if got := logs.sizes.after(small); got != large*100<<10 {
			t.Errorf("the large entries have %d bytes", got)
		}
		if got := logs.sizes.holding(512 << 10); got != 5 {
			t.Errorf("512 KiB hold the last %d entries, want 5", got)
		}
		if err := logs.DeleteRange(1, small); err != nil {
			t.Fatal(err)
		}
		if got := logs.sizes.after(0); got != large*100<<10 {
			t.Errorf("when the small ones are gone there are %d bytes", got)
		}
		if err := logs.Close(); err != nil {
			t.Fatal(err)
		}
		if logs, err = OpenLogStore(dir, LogOptions{}); err != nil {
			t.Fatal(err)
		}
		defer logs.Close()
		used, err := logs.used()
		if all, half := logs.sizes.after(0), logs.sizes.after(small+large/2); err != nil || all != used || half != used/2 {
			t.Errorf("opened again the entries have %d bytes, the last half of them %d, and the files %d, %v", all, half, used, err)
		}
	})
}
