package node

import (
	"sort"
	"sync"

	"github.com/hashicorp/raft"
)

// logSizes knows how many bytes the entries of a log have: of those that were
// appended since it was opened each by itself, of the others the mean of what the
// files take, until a snapshot lets them go.
type logSizes struct {
	mu     sync.Mutex
	first  uint64   // index of the first entry
	before uint64   // where the first entry begins, in bytes from some point on
	ends   []uint64 // where each entry ends
}

// seed takes what a log has when it is opened, count entries of so many bytes in
// all, before anything else is called.
func (s *logSizes) seed(first, count, bytes uint64) {
	s.first, s.before, s.ends = first, 0, make([]uint64, count)
	for i := range s.ends {
		s.ends[i] = bytes * uint64(i+1) / count
	}
}

// appended notes entries that follow each other. Those that they take the place of
// are gone, and so is what lies before a gap.
func (s *logSizes) appended(logs []*raft.Log) {
	if len(logs) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := logs[0].Index; at < s.first || at > s.first+uint64(len(s.ends)) {
		s.first, s.before, s.ends = at, 0, nil
	} else {
		s.ends = s.ends[:at-s.first]
	}
	end := s.end()
	for _, l := range logs {
		end += uint64(len(l.Data) + len(l.Extensions))
		s.ends = append(s.ends, end)
	}
}

// removed notes that the entries from minimum to maximum, the first or the last
// ones, are gone.
func (s *logSizes) removed(minimum, maximum uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.first + uint64(len(s.ends))
	switch {
	case maximum < s.first || minimum >= next:
	case minimum > s.first && maximum >= next-1: // the last ones
		s.ends = s.ends[:minimum-s.first]
	default:
		n := min(maximum+1, next) - s.first
		s.first, s.before, s.ends = s.first+n, s.ends[n-1], s.ends[n:]
	}
}

// after is how many bytes the entries after one have.
func (s *logSizes) after(index uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case index < s.first:
		return s.end() - s.before
	case index >= s.first+uint64(len(s.ends)):
		return 0
	}
	return s.end() - s.ends[index-s.first]
}

// holding is how many of the last entries have no more than so many bytes together.
func (s *logSizes) holding(bytes uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := s.end()
	if end-s.before <= bytes {
		return uint64(len(s.ends))
	}
	// The entries after the first whose end is so near the last one's.
	return uint64(len(s.ends) - 1 - sort.Search(len(s.ends), func(i int) bool { return end-s.ends[i] <= bytes }))
}

// half is how many bytes of entries fill half of the bytes that a log may have, whose
// files take used bytes now: a store adds to an entry up to as much again. It is no
// bound as long as the files are that small: the first segment of a LogWAL is large
// whatever it holds, and bytes should be several times that.
func (s *logSizes) half(bytes, used uint64) (half uint64, bounded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	half = bytes / 2
	if used <= half {
		return 0, false
	}
	if held := s.end() - s.before; held < used {
		half = uint64(float64(half) * float64(held) / float64(used))
	}
	return max(half, 1), true
}

// end is where the last entry ends. The lock must be held.
func (s *logSizes) end() uint64 {
	if len(s.ends) == 0 {
		return s.before
	}
	return s.ends[len(s.ends)-1]
}
