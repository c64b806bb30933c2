package containertest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// perSubject is how many claims a subject gets, so that a set of them fits into a
// word and a check stays cheap.
const perSubject = 12

// set is the claims of a subject, by number.
type set uint64

func (s set) holds(all set) bool { return s&all == all }

// input is what a client asked: to state claim number bit of a subject, or, with
// read, which of its claims there are. output is the set that a read showed.
type input struct {
	subject string
	read    bool
	bit     int
}

// claims is a subject as one object: a set to which writes add, and which reads
// show whole.
var claims = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		subjects := map[string][]porcupine.Operation{}
		for _, op := range history {
			name := op.Input.(input).subject
			subjects[name] = append(subjects[name], op)
		}
		parts := make([][]porcupine.Operation, 0, len(subjects))
		for _, part := range subjects {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return set(0) },
	Step: func(state, in, out any) (bool, any) {
		now, asked := state.(set), in.(input)
		if asked.read {
			return out.(set) == now, now
		}
		return true, now | 1<<asked.bit
	},
	DescribeOperation: func(in, out any) string {
		if asked := in.(input); !asked.read {
			return fmt.Sprintf("%s: state %d", asked.subject, asked.bit)
		}
		return fmt.Sprintf("%s: read %b", in.(input).subject, out)
	},
}

// acknowledged is a claim that a client was told is stored.
type acknowledged struct {
	subject string
	bit     int
	index   uint64    // of the log, as the answer said
	at      time.Time // when the answer came
}

// history is what the clients of one run asked and were told. Its clock starts
// with it.
type history struct {
	began time.Time

	mu      sync.Mutex
	ops     []porcupine.Operation
	acked   []acknowledged
	longest time.Duration // between two acknowledgements
	last    time.Time
	errs    []error
	reads   map[string]int // answered, by kind and node
}

func newHistory() *history {
	now := time.Now()
	return &history{began: now, last: now, reads: map[string]int{}}
}

func (h *history) clock(t time.Time) int64 { return t.Sub(h.began).Nanoseconds() }

// wrote records a write; index is 0 if its outcome is not known, so that it may
// take effect at any time, or never.
func (h *history) wrote(client int, subject string, bit int, begun time.Time, index uint64) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	op := porcupine.Operation{ClientId: client, Input: input{subject: subject, bit: bit}, Call: h.clock(begun), Return: h.clock(now), Output: set(0)}
	if index == 0 {
		op.Return = 1 << 62
	} else {
		h.acked = append(h.acked, acknowledged{subject, bit, index, now})
		h.longest, h.last = max(h.longest, now.Sub(h.last)), now
	}
	h.ops = append(h.ops, op)
}

// read records a linearizable read.
func (h *history) read(client int, subject string, begun time.Time, seen set) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: input{subject: subject, read: true}, Call: h.clock(begun), Return: h.clock(now), Output: seen})
}

// answered counts a read of a kind that a node answered.
func (h *history) answered(kind, node string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads[kind+" at "+node]++
}

// answers is how many reads of a kind a node has answered.
func (h *history) answers(kind, node string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reads[kind+" at "+node]
}

func (h *history) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.errs = append(h.errs, err)
}

// failures are what clients were not told, or told wrongly.
func (h *history) failures() []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.errs)
}

// due is what a read of a subject must show that began at a time and may be stale
// by an age.
func (h *history) due(subject string, begun time.Time, stale time.Duration) (due set) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.acked {
		if a.subject == subject && a.at.Before(begun.Add(-stale)) {
			due |= 1 << a.bit
		}
	}
	return due
}

// since counts the writes acknowledged that began after a moment.
func (h *history) since(moment time.Time) (count int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, op := range h.ops {
		if !op.Input.(input).read && op.Return < 1<<62 && op.Call > h.clock(moment) {
			count++
		}
	}
	return count
}

func (h *history) acks() []acknowledged {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.acked)
}

// gap is the longest time between two acknowledgements, that since the last one
// included.
func (h *history) gap() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(h.longest, time.Since(h.last))
}

// restartGap forgets the gaps so far.
func (h *history) restartGap() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.longest, h.last = 0, time.Now()
}

// counts are the linearizable operations on record.
func (h *history) counts() (writes, reads int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, op := range h.ops {
		if op.Input.(input).read {
			reads++
		} else {
			writes++
		}
	}
	return writes, reads
}

// check is porcupine's verdict.
func (h *history) check() porcupine.CheckResult {
	h.mu.Lock()
	defer h.mu.Unlock()
	return porcupine.CheckOperationsTimeout(claims, h.ops, time.Minute)
}

func TestHistoriesAreJudged(t *testing.T) {
	type event struct {
		in   input
		out  set
		from int
		to   int
	}
	write := func(bit, from, to int) event { return event{in: input{subject: "s", bit: bit}, from: from, to: to} }
	read := func(seen set, from, to int) event {
		return event{in: input{subject: "s", read: true}, out: seen, from: from, to: to}
	}
	for name, c := range map[string]struct {
		events []event
		want   porcupine.CheckResult
	}{
		"a write, then a read that sees it":         {[]event{write(0, 1, 2), read(1, 3, 4)}, porcupine.Ok},
		"a read beside a write may miss it":         {[]event{write(0, 1, 5), read(0, 2, 3), read(1, 4, 6)}, porcupine.Ok},
		"a stale read":                              {[]event{write(0, 1, 2), read(0, 3, 4)}, porcupine.Illegal},
		"a claim that is seen, then not":            {[]event{write(0, 1, 9), read(1, 2, 3), read(0, 4, 5)}, porcupine.Illegal},
		"a claim that nobody stated":                {[]event{write(0, 1, 2), read(3, 3, 4)}, porcupine.Illegal},
		"an unknown outcome that took effect later": {[]event{write(0, 1, 1<<62), read(0, 2, 3), read(1, 4, 5)}, porcupine.Ok},
		"two orders of two writes":                  {[]event{write(0, 1, 9), write(1, 1, 9), read(1, 2, 3), read(2, 4, 5)}, porcupine.Illegal},
	} {
		h := newHistory()
		for i, e := range c.events {
			h.ops = append(h.ops, porcupine.Operation{ClientId: i, Input: e.in, Output: e.out, Call: int64(e.from), Return: int64(e.to)})
		}
		if got := h.check(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestWhatAReadMustShow(t *testing.T) {
	h := newHistory()
	h.wrote(0, "s", 3, time.Now(), 7)
	h.wrote(0, "s", 4, time.Now(), 0)
	later := h.last.Add(time.Minute)
	if got := h.due("s", later, time.Second); got != 1<<3 {
		t.Errorf("due %b, want what was acknowledged", got)
	}
	if got := h.due("s", later, 2*time.Minute); got != 0 {
		t.Errorf("due %b within the staleness that is allowed", got)
	}
	if got := h.due("other", later, 0); got != 0 {
		t.Errorf("due %b of a subject without claims", got)
	}
}
