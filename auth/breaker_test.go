package auth_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
)

// principals are compared by name.
var byName = cmp.Comparer(func(p, q auth.Principal) bool { return p == q })

func fail(b *auth.Breakers, p auth.Principal, n int, now time.Time) {
	for range n {
		b.Failure(p, auth.BadWork, now)
	}
}

// stateOf is the state of a principal's breaker.
func stateOf(b *auth.Breakers, p auth.Principal, now time.Time) auth.BreakerState {
	for _, breaker := range b.List(now) {
		if breaker.Principal == p {
			return breaker.State
		}
	}
	return auth.Closed
}

func TestBreakerLife(t *testing.T) {
	const second = time.Second
	type step struct {
		at   time.Duration
		do   string // "fail", "good", "allow", "refuse"
		wait time.Duration
		then auth.BreakerState
	}
	failures := func(n int, at, gap time.Duration, then auth.BreakerState) (steps []step) {
		for i := range n {
			s := step{at: at + time.Duration(i)*gap, do: "fail"}
			if i == n-1 {
				s.then = then
			}
			steps = append(steps, s)
		}
		return steps
	}
	opened := slices.Clip(failures(5, -4*second, second, auth.Open)) // at 0, until 30 s
	for name, steps := range map[string][]step{
		"four do not open":               append(failures(4, 0, 0, auth.Closed), step{0, "allow", 0, auth.Closed}),
		"five open":                      append(opened, step{second, "refuse", 29 * second, auth.Open}),
		"five within 60 s open":          failures(5, 0, 14*second, auth.Open),
		"five in 60 s do not":            append(failures(5, 0, 15*second, auth.Closed), step{61 * second, "fail", 0, auth.Open}),
		"success does not clear":         append(append(failures(4, 0, 0, auth.Closed), step{second, "good", 0, auth.Closed}), step{2 * second, "fail", 0, auth.Open}),
		"half-open after 30 s":           append(opened, step{30 * second, "allow", 0, auth.HalfOpen}),
		"one trial at a time":            append(opened, step{30 * second, "allow", 0, auth.HalfOpen}, step{31 * second, "refuse", second, auth.HalfOpen}),
		"a success closes":               append(opened, step{30 * second, "allow", 0, auth.HalfOpen}, step{31 * second, "good", 0, auth.Closed}, step{31 * second, "allow", 0, auth.Closed}),
		"closed, it takes five again":    append(append(opened, step{30 * second, "allow", 0, auth.HalfOpen}, step{31 * second, "good", 0, auth.Closed}), failures(4, 32*second, 0, auth.Closed)...),
		"a failure reopens":              append(opened, step{30 * second, "allow", 0, auth.HalfOpen}, step{40 * second, "fail", 0, auth.Open}, step{41 * second, "refuse", 29 * second, auth.Open}, step{70 * second, "allow", 0, auth.HalfOpen}),
		"a success too early":            append(opened, step{10 * second, "good", 0, auth.Open}),
		"a success without a trial":      append(opened, step{31 * second, "good", 0, auth.HalfOpen}),
		"failures while open":            append(append(opened, failures(40, second, second/2, auth.Open)...), step{30 * second, "allow", 0, auth.HalfOpen}),
		"a trial that says nothing":      append(opened, step{30 * second, "allow", 0, auth.HalfOpen}, step{89 * second, "refuse", second, auth.HalfOpen}, step{90 * second, "allow", 0, auth.HalfOpen}, step{91 * second, "refuse", second, auth.HalfOpen}),
		"the trial of an opening before": append(opened, step{30 * second, "allow", 0, auth.HalfOpen}, step{31 * second, "fail", 0, auth.Open}, step{61 * second, "allow", 0, auth.HalfOpen}),
		"nobody tries":                   append(opened, step{10*time.Minute + 29*second, "refuse?", 0, auth.HalfOpen}, step{10*time.Minute + 30*second, "allow", 0, auth.Closed}, step{10*time.Minute + 31*second, "fail", 0, auth.Closed}),
	} {
		t.Run(name, func(t *testing.T) {
			b, p := auth.NewBreakers(), agent(1)
			for i, s := range steps {
				now := noon.Add(s.at)
				switch s.do {
				case "fail":
					b.Failure(p, auth.InvalidInput, now)
				case "good":
					b.Success(p, now)
				case "allow", "refuse":
					if wait, ok := b.Allow(p, now); ok != (s.do == "allow") || wait != s.wait {
						t.Fatalf("step %d: %v, %t, want %v to %s", i, wait, ok, s.wait, s.do)
					}
				}
				last := i == len(steps)-1 || steps[i+1].do != "fail" || s.do != "fail"
				if got := stateOf(b, p, now); last && got != s.then {
					t.Fatalf("step %d: %s, want %s", i, got, s.then)
				}
				if open := b.Open(now); (open == 1) != (stateOf(b, p, now) == auth.Open) {
					t.Fatalf("step %d: %d are open", i, open)
				}
			}
			if _, ok := b.Allow(agent(2), noon.Add(second)); !ok {
				t.Error("another principal is kept out")
			}
		})
	}
}

// However often trials fail, the breaker stays as it is meant to.
func TestABreakerReopensForHours(t *testing.T) {
	b, p, now := auth.NewBreakers(), agent(1), noon
	fail(b, p, 4, now.Add(-time.Second))
	fail(b, p, 1, now)
	for i := range 500 {
		if now = now.Add(30 * time.Second); stateOf(b, p, now.Add(-1)) != auth.Open || stateOf(b, p, now) != auth.HalfOpen {
			t.Fatalf("after trial %d: %v", i, b.List(now))
		}
		if _, ok := b.Allow(p, now); !ok {
			t.Fatalf("trial %d is refused", i)
		}
		b.Failure(p, auth.OverQuota, now)
	}
}

func TestListAndReset(t *testing.T) {
	b, p, q := auth.NewBreakers(), auth.KeyPrincipal("p"), auth.KeyPrincipal("q")
	b.Failure(q, auth.InvalidSignature, noon)
	for i, reason := range []auth.Reason{auth.InvalidSignature, auth.InvalidInput, auth.BadWork, auth.OverQuota, auth.OverQuota} {
		b.Failure(p, reason, noon.Add(time.Duration(i)*time.Second))
	}
	now := noon.Add(5 * time.Second)
	want := []auth.Breaker{
		{
			Principal: p, State: auth.Open, OpenedAt: noon.Add(4 * time.Second), Until: noon.Add(34 * time.Second),
			Failures: map[auth.Reason]int{auth.InvalidSignature: 1, auth.InvalidInput: 1, auth.BadWork: 1, auth.OverQuota: 2},
		},
		{Principal: q, State: auth.Closed, Failures: map[auth.Reason]int{auth.InvalidSignature: 1}},
	}
	if diff := cmp.Diff(want, b.List(now), byName); diff != "" {
		t.Error(diff)
	}
	if b.Reset(auth.KeyPrincipal("r"), now) || !b.Reset(p, now) || b.Reset(p, now) || !b.Reset(q, now) {
		t.Error("reset says the wrong thing")
	}
	if _, ok := b.Allow(p, now); !ok || len(b.List(now)) != 0 {
		t.Errorf("after the reset: %v", b.List(now))
	}
	fail(b, p, 4, now)
	if _, ok := b.Allow(p, now); !ok {
		t.Error("four failures after the reset open")
	}
}

func TestNamesOfBreakers(t *testing.T) {
	for reason, want := range map[auth.Reason]string{
		auth.InvalidSignature: "invalid_signature", auth.InvalidInput: "invalid_input", auth.BadWork: "bad_work", auth.OverQuota: "quota", 9: "reason 9",
	} {
		if text, err := reason.MarshalText(); string(text) != want || err != nil {
			t.Errorf("%s, %v, want %s", text, err, want)
		}
	}
	for state, want := range map[auth.BreakerState]string{auth.Closed: "closed", auth.Open: "open", auth.HalfOpen: "half_open", 9: "state 9"} {
		if text, err := state.MarshalText(); string(text) != want || err != nil {
			t.Errorf("%s, %v, want %s", text, err, want)
		}
	}
}

// Nodes do what they like; messages get lost, come twice and in any order. Once
// everyone has heard everyone, all say the same, now and later.
func TestBreakersAgreeAfterAnExchange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := []*auth.Breakers{auth.NewBreakers(), auth.NewBreakers(), auth.NewBreakers()}
		skew := rapid.SliceOfN(rapid.IntRange(0, 3000), len(nodes), len(nodes)).Draw(t, "skew in ms")
		var wire [][]byte
		now := noon
		node := rapid.IntRange(0, len(nodes)-1)
		who := rapid.Map(rapid.IntRange(0, 2), agent)
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 10 * time.Second, 31 * time.Second, 9 * time.Minute}).Draw(t, "later"))
			i, p := node.Draw(t, "node"), who.Draw(t, "who")
			b, local := nodes[i], now.Add(time.Duration(skew[i])*time.Millisecond)
			switch rapid.IntRange(0, 8).Draw(t, "what") {
			case 0, 1, 2:
				reason := auth.Reason(rapid.IntRange(1, 4).Draw(t, "reason"))
				for range rapid.IntRange(1, 7).Draw(t, "times") {
					b.Failure(p, reason, local)
				}
			case 3, 4:
				if _, ok := b.Allow(p, local); ok && rapid.Bool().Draw(t, "good") {
					b.Success(p, local)
				}
			case 5:
				b.Reset(p, local)
			case 6:
				if m := b.Changes(local, 1200); m != nil {
					wire = append(wire, m)
				}
			case 7:
				wire = append(wire, b.State(local, big))
			case 8:
				if len(wire) > 0 {
					if err := b.Merge(local, wire[rapid.IntRange(0, len(wire)-1).Draw(t, "message")]); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		var states [][]byte
		for _, b := range nodes {
			states = append(states, b.State(now, big))
		}
		for i := range nodes {
			for _, j := range rapid.Permutation([]int{0, 1, 2}).Draw(t, "order") {
				if err := nodes[i].Merge(now, states[j]); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, later := range []time.Duration{0, 20 * time.Second, 40 * time.Second, 5 * time.Minute, 11 * time.Minute} {
			want := nodes[0].List(now.Add(later))
			for i, b := range nodes[1:] {
				if diff := cmp.Diff(want, b.List(now.Add(later)), byName); diff != "" {
					t.Fatalf("after %v nodes 0 and %d differ:\n%s", later, i+1, diff)
				}
			}
		}
	})
}

func TestFailuresOnAllNodesCountTogether(t *testing.T) {
	a, b, c := auth.NewBreakers(), auth.NewBreakers(), auth.NewBreakers()
	p := agent(1)
	fail(a, p, 3, noon)
	fail(b, p, 2, noon)
	tell := func(from *auth.Breakers, to ...*auth.Breakers) {
		t.Helper()
		message := from.Changes(noon, 1200)
		for _, other := range to {
			for range 2 { // twice does not count twice
				if err := other.Merge(noon, message); err != nil {
					t.Fatal(err)
				}
			}
		}
		if more := from.Changes(noon, 1200); more != nil {
			t.Errorf("%d bytes more are told", len(more))
		}
	}
	tell(a, c)
	if stateOf(c, p, noon) != auth.Closed {
		t.Error("three failures opened")
	}
	tell(b, c, a)
	if stateOf(c, p, noon) != auth.Open || stateOf(a, p, noon) != auth.Open || stateOf(b, p, noon) != auth.Closed {
		t.Error("five failures on two nodes did not open where they are known")
	}
	c.Reset(p, noon)
	tell(c, a, b)
	for _, x := range []*auth.Breakers{a, b, c} {
		if _, ok := x.Allow(p, noon); !ok || len(x.List(noon)) != 0 {
			t.Errorf("after the reset: %v", x.List(noon))
		}
	}
}

func TestBreakersAreBounded(t *testing.T) {
	b, open := auth.NewBreakers(), agent(0)
	fail(b, open, 5, noon)
	for i := range 40_000 {
		b.Failure(agent(i+1), auth.InvalidInput, noon)
	}
	if n := len(b.List(noon)); n > 16_384 || n < 16_000 {
		t.Errorf("%d are remembered", n)
	}
	if stateOf(b, open, noon) != auth.Open {
		t.Error("an open breaker was forgotten")
	}
	packets := 0
	for m := b.Changes(noon, 1200); m != nil; m = b.Changes(noon, 1200) {
		if packets++; len(m) > 1200 {
			t.Fatalf("a packet of %d bytes", len(m))
		}
	}
	if packets < 16_000*60/1200 {
		t.Errorf("%d packets", packets)
	}
	b.Changes(noon.Add(time.Hour), 1200)
	if s := b.State(noon, big); len(s) != 1 {
		t.Errorf("after an hour %d bytes are left", len(s))
	}
}

func TestOpenBreakersAreNotForgotten(t *testing.T) {
	b := auth.NewBreakers()
	for i := range 20_000 {
		fail(b, agent(i), 5, noon)
	}
	if n := b.Open(noon); n > 16_384 || n < 16_000 {
		t.Errorf("%d are open", n)
	}
	for i := range 20_000 {
		b.Failure(agent(100_000+i), auth.BadWork, noon)
	}
	if n := b.Open(noon); n < 16_000 {
		t.Errorf("%d are open after more came", n)
	}
	if s := b.State(noon, 5000); len(s) > 5000 || len(s) < 4400 {
		t.Errorf("a state of %d bytes", len(s))
	}
}

func TestBreakersRefuseWhatIsNotWellFormed(t *testing.T) {
	a := auth.NewBreakers()
	fail(a, agent(1), 5, noon)
	good := a.Changes(noon, 1200)
	edit := func(at int, to ...byte) []byte {
		b := append([]byte(nil), good...)
		copy(b[at:], to)
		return b
	}
	late := auth.NewBreakers()
	late.Failure(agent(1), auth.BadWork, noon.Add(2*time.Minute))
	ahead := late.Changes(noon, 1200)[1:]
	ahead = append(ahead, good[1:]...)
	const first = 1 + 33 + 8 + 1 // the first failure
	for name, test := range map[string]struct {
		message []byte
		at      time.Time
		want    string
	}{
		"good":                {good, noon, ""},
		"of long ago":         {good, noon.Add(time.Hour), ""},
		"a clock a bit ahead": {good, noon.Add(-59 * time.Second), ""},
		"a clock far ahead":   {good, noon.Add(-61 * time.Second), "clocks"},
		"only one is ahead":   {append(good[:1:1], ahead...), noon, "clocks"},
		"no possible time":    {edit(first, 0xff), noon, "well-formed"},
		"empty":               {nil, noon, "well-formed"},
		"another form":        {edit(0, 9), noon, "form"},
		"another kind":        {edit(1, 0), noon, "well-formed"},
		"a key of no length":  {edit(1, 2), noon, "well-formed"},
		"cut":                 {good[:len(good)-1], noon, "well-formed"},
		"more":                {append(good[:len(good):len(good)], 1), noon, "well-formed"},
		"too many failures":   {edit(first-1, 33), noon, "well-formed"},
		"an unknown reason":   {edit(first+16, 5), noon, "well-formed"},
		"no reason":           {edit(first+16, 0x80), noon, "well-formed"},
		"not in order":        {edit(first, good[first+17:first+33]...), noon, "well-formed"},
		"nothing told":        {append(edit(0)[:first-1:first-1], 0), noon, "well-formed"},
		"closed later":        {edit(first-9, good[first+17:first+25]...), noon, "well-formed"},
	} {
		b := auth.NewBreakers()
		err := b.Merge(test.at, test.message)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if open := b.Open(test.at); (open == 1) != (name == "good" || name == "a clock a bit ahead" || name == "more" || name == "only one is ahead") {
			t.Errorf("%s: %d are open", name, open)
		}
	}
}

func TestBreakersAtOnce(t *testing.T) {
	a, b := auth.NewBreakers(), auth.NewBreakers()
	var wg sync.WaitGroup
	for _, x := range []*auth.Breakers{a, b} {
		wg.Go(func() {
			for i := range 1000 {
				now := noon.Add(time.Duration(i) * 100 * time.Millisecond)
				p := agent(i % 5)
				if _, ok := x.Allow(p, now); ok && i%3 > 0 {
					x.Failure(p, auth.BadWork, now)
				} else {
					x.Success(p, now)
				}
				x.Open(now)
			}
		})
		wg.Go(func() {
			for range 200 {
				now := noon.Add(50 * time.Second)
				if m := a.Changes(now, 1200); m != nil {
					_ = b.Merge(now, m)
				}
				_ = a.Merge(now, b.State(now, big))
				x.List(now)
				x.Reset(agent(0), now)
			}
		})
	}
	wg.Wait()
}

func FuzzMergeBreakers(f *testing.F) {
	b := auth.NewBreakers()
	fail(b, agent(1), 5, noon)
	b.Failure(auth.KeyPrincipal("key"), auth.InvalidInput, noon)
	b.Reset(auth.KeyPrincipal("key"), noon)
	f.Add(b.Changes(noon, 1200))
	f.Fuzz(func(t *testing.T, message []byte) {
		b := auth.NewBreakers()
		_ = b.Merge(noon, message)
		c := auth.NewBreakers()
		if err := c.Merge(noon, b.State(noon, big)); err != nil {
			t.Fatalf("what was taken in cannot be passed on: %v", err)
		}
		if diff := cmp.Diff(b.List(noon), c.List(noon), byName); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkSuccess(b *testing.B) {
	for name, failing := range map[string]int{"nothing known": 0, "others fail": 1000} {
		b.Run(name, func(b *testing.B) {
			breakers, p := auth.NewBreakers(), auth.AgentPrincipal(assertion.AgentID{1})
			for i := range failing {
				fail(breakers, agent(i), 5, noon)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, ok := breakers.Allow(p, noon); !ok {
						b.Fatal("refused")
					}
					breakers.Success(p, noon)
				}
			})
		})
	}
}

func BenchmarkFailureOfNewcomers(b *testing.B) {
	breakers := auth.NewBreakers()
	for i := range 20_000 {
		fail(breakers, agent(i), 5, noon)
	}
	for i := 0; b.Loop(); i++ {
		breakers.Failure(agent(100_000+i), auth.BadWork, noon)
	}
}
