package node

import (
	"fmt"
	"testing"
)

// The nodes of a cluster flush far from each other, and in the bounds that the
// index needs.
func TestNodesFlushAtDifferentTimes(t *testing.T) {
	const set = 64 << 20
	placed := func(name string) (size, first uint64) {
		if size, first = staggered(set, name); size > set || size <= set*3/4 || first < set/16 || first >= set*3/16 {
			t.Errorf("%q: memtables of %d bytes, the first flush after %d", name, size, first)
		}
		return size, first
	}
	for _, name := range []string{"node%d", "stemedb-%d", "n%d", "%d", "db-%02d"} {
		for _, from := range []int{0, 1, 9, 98} {
			sizes, firsts := []uint64{}, []uint64{}
			for i := range 3 {
				size, first := placed(fmt.Sprintf(name, from+i))
				sizes, firsts = append(sizes, size), append(firsts, first)
			}
			// Three successive multiples of the golden ratio are 0.236 apart.
			for i := range sizes {
				for j := range i {
					if apart(sizes[i], sizes[j]) < set/4/5 || apart(firsts[i], firsts[j]) < set/8/5 {
						t.Errorf("%s from %d: memtables of %d bytes, first flushes after %d", name, from, sizes, firsts)
					}
				}
			}
		}
	}
	for _, name := range []string{"", "a", "a99999999999999999999999"} {
		placed(name)
	}
	same := map[uint64]bool{}
	for _, name := range []string{"alpha", "beta", "gamma"} {
		size, _ := placed(name)
		same[size] = true
	}
	if len(same) != 3 {
		t.Errorf("names without numbers: %v", same)
	}
}

func apart(a, b uint64) uint64 { return max(a, b) - min(a, b) }
