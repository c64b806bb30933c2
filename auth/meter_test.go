package auth_test

import (
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
)

const big = 1 << 20 // room for everything

// noon is the beginning of a window, 500,000 hours of unix time.
var noon = time.Unix(500_000*3600, 0)

func agent(n int) auth.Principal {
	var id assertion.AgentID
	binary.BigEndian.PutUint64(id[:], uint64(n)+1)
	return auth.AgentPrincipal(id)
}

// used is what a meter counts for a principal.
func used(m *auth.Meter, p auth.Principal, now time.Time) uint64 {
	return big - m.Quota(p, big, now).Remaining
}

func TestCosts(t *testing.T) {
	for lenses, want := range map[int]uint64{0: 5, 1: 5, 2: 6, 4: 8} {
		if got := auth.QueryCost(lenses); got != want {
			t.Errorf("%d lenses cost %d, want %d", lenses, got, want)
		}
	}
	for size, want := range map[int64]uint64{-1: 0, 0: 0, 1: 1, 1024: 1, 1025: 2, 8 << 20: 8192} {
		if got := auth.BodyCost(size); got != want {
			t.Errorf("%d bytes cost %d, want %d", size, got, want)
		}
	}
}

func TestChargesAreWhole(t *testing.T) {
	m, p, q := auth.NewMeter(), agent(1), auth.KeyPrincipal("k")
	reset := uint64(noon.Unix()) + 3600
	for i, step := range []struct {
		who       auth.Principal
		units     uint64
		limit     uint64
		after     time.Duration
		remaining uint64
		ok        bool
	}{
		{p, 60, 100, 0, 40, true},
		{p, 41, 100, time.Minute, 40, false},
		{p, 40, 100, 2 * time.Minute, 0, true},
		{p, 1, 100, 3 * time.Minute, 0, false},
		{p, 0, 100, 3 * time.Minute, 0, true},
		{p, 1, 50, 3 * time.Minute, 0, false}, // the trust fell
		{p, 1, 200, 3 * time.Minute, 99, true},
		{q, 100, 100, 4 * time.Minute, 0, true},
		{q, 1, 100, 59*time.Minute + 59*time.Second, 0, false},
		{p, 1 << 63, 200, 10 * time.Minute, 99, false},
	} {
		got, ok := m.Charge(step.who, step.units, step.limit, noon.Add(step.after))
		if want := (auth.Quota{Limit: step.limit, Remaining: step.remaining, Reset: reset}); got != want || ok != step.ok {
			t.Errorf("step %d: %+v, %t, want %+v, %t", i, got, ok, want, step.ok)
		}
	}
	later := noon.Add(time.Hour)
	if got, ok := m.Charge(p, 10, 100, later); !ok || got.Remaining != 90 || got.Reset != reset+3600 {
		t.Errorf("in the next hour: %+v, %t", got, ok)
	}
	if got := used(m, p, noon.Add(time.Hour-1)); got != 10 { // asked before the hour, answered after it
		t.Errorf("by a time of the hour before, %d units are used in this one", got)
	}
	if got := used(m, p, noon.Add(-5*time.Hour)); got != 0 { // the clock was far ahead
		t.Errorf("when the clock was put back, %d units are used", got)
	}
}

func TestChargesAreTakenBack(t *testing.T) {
	m, p, q := auth.NewMeter(), agent(1), agent(2)
	m.Charge(p, 50, 100, noon)
	m.Refund(p, 20, noon)
	if got := used(m, p, noon); got != 30 {
		t.Errorf("50 − 20 = %d", got)
	}
	m.Refund(p, 100, noon)
	m.Refund(agent(3), 10, noon)
	if got := used(m, p, noon) + used(m, agent(3), noon); got != 0 {
		t.Errorf("more was given back than charged: %d", got)
	}
	m.Charge(p, 50, 100, noon)
	m.Charge(q, 95, 100, noon)
	m.Move(p, q, 10, noon)
	if got, want := [2]uint64{used(m, p, noon), used(m, q, noon)}, [2]uint64{40, 105}; got != want {
		t.Errorf("after the move: %v, want %v", got, want)
	}
	later := noon.Add(time.Hour)
	m.Charge(p, 50, 100, later)
	m.Charge(q, 50, 100, later)
	m.Move(p, q, 10, noon) // of a window that is over
	if got, want := [2]uint64{used(m, p, later), used(m, q, later)}, [2]uint64{50, 50}; got != want {
		t.Errorf("after a move in the window before: %v, want %v", got, want)
	}
}

// A flood of newcomers displaces nobody who used much, and memory does not grow.
func TestAFloodForgetsNoHeavyUser(t *testing.T) {
	m := auth.NewMeter()
	const heavy = 1000
	for i := range heavy {
		m.Charge(agent(i), 101, 1000, noon)
	}
	for i := range 150_000 {
		if _, ok := m.Charge(agent(heavy+i), 10, 1000, noon); !ok {
			t.Fatalf("newcomer %d is refused", i)
		}
	}
	for i := range heavy {
		if got := used(m, agent(i), noon); got != 101 {
			t.Fatalf("agent %d used %d, not 101", i, got)
		}
	}
	known := 0
	for i := range heavy + 150_000 {
		if used(m, agent(i), noon) > 0 {
			known++
		}
	}
	if known > 100_000 || known < 99_000 {
		t.Errorf("%d principals are told apart", known)
	}
	// Nor does what another node tells of.
	other := auth.NewMeter()
	for i := range 20_000 {
		other.Charge(agent(1_000_000+i), 10, 1000, noon)
	}
	if err := m.Merge(noon, other.State(noon, big)); err != nil {
		t.Fatal(err)
	}
	for i := range heavy {
		if got := used(m, agent(i), noon); got != 101 {
			t.Fatalf("agent %d used %d, not 101", i, got)
		}
	}
}

// Where every place is taken by a heavy user, newcomers share an account.
func TestNewcomersToAFullMeterShareOneLimit(t *testing.T) {
	m := auth.NewMeter()
	for i := range 110_000 { // some parts fill up before others
		m.Charge(agent(i), 101, 1000, noon)
	}
	refused := 0
	for i := range 32_000 { // some 1,000 for each of 32 accounts
		if _, ok := m.Charge(agent(1_000_000+i), 10, 1000, noon); !ok {
			refused++
		}
	}
	if refused < 28_000 {
		t.Errorf("only %d of 32,000 newcomers are refused", refused)
	}
	if got := used(m, agent(0), noon); got != 101 {
		t.Errorf("the first heavy user used %d", got)
	}
	m.Refund(agent(1_000_000), 10, noon)
}

// meters are nodes whose messages get lost, come twice and in any order.
func TestMetersAgreeAfterAnExchange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := []*auth.Meter{auth.NewMeter(), auth.NewMeter(), auth.NewMeter()}
		var wire [][]byte
		total := map[auth.Principal]uint64{}
		own := make([]map[auth.Principal]uint64, len(nodes))
		for i := range own {
			own[i] = map[auth.Principal]uint64{}
		}
		node := rapid.IntRange(0, len(nodes)-1)
		who := rapid.Map(rapid.IntRange(0, 5), agent)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i, p := node.Draw(t, "node"), who.Draw(t, "who")
			units := rapid.Uint64Range(1, 500).Draw(t, "units")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				if _, ok := nodes[i].Charge(p, units, big, noon); !ok {
					t.Fatal("refused")
				}
				total[p], own[i][p] = total[p]+units, own[i][p]+units
			case 2:
				back := min(units, own[i][p])
				nodes[i].Refund(p, units, noon)
				total[p], own[i][p] = total[p]-back, own[i][p]-back
			case 3:
				if m := nodes[i].Changes(noon, rapid.IntRange(100, 1200).Draw(t, "limit")); m != nil {
					wire = append(wire, m)
				}
			case 4:
				wire = append(wire, nodes[i].State(noon, big))
			case 5:
				if len(wire) > 0 {
					deliver(t, nodes[i], wire[rapid.IntRange(0, len(wire)-1).Draw(t, "message")])
				}
			}
		}
		var states [][]byte
		for _, m := range nodes {
			states = append(states, m.State(noon, big))
		}
		for _, m := range nodes {
			for _, s := range states {
				deliver(t, m, s)
			}
		}
		for i, m := range nodes {
			for n := range 6 {
				if got, want := used(m, agent(n), noon), total[agent(n)]; got != want {
					t.Fatalf("node %d counts %d of agent %d, want %d", i, got, n, want)
				}
			}
		}
	})
}

type merger interface {
	Merge(now time.Time, message []byte) error
}

func deliver(t *rapid.T, m merger, message []byte) {
	if err := m.Merge(noon, message); err != nil {
		t.Fatal(err)
	}
}

func TestChangesAreToldOnceAndFitIntoPackets(t *testing.T) {
	a, b := auth.NewMeter(), auth.NewMeter()
	for i := range 1000 {
		a.Charge(agent(i), 10, 1000, noon)
	}
	packets := 0
	for m := a.Changes(noon, 1200); m != nil; m = a.Changes(noon, 1200) {
		packets++
		if len(m) > 1200 {
			t.Fatalf("a packet of %d bytes", len(m))
		}
		if err := b.Merge(noon, m); err != nil {
			t.Fatal(err)
		}
	}
	if packets < 20 || packets > 60 {
		t.Errorf("%d packets for 1,000 principals", packets)
	}
	for i := range 1000 {
		if got := used(b, agent(i), noon); got != 10 {
			t.Fatalf("agent %d used %d", i, got)
		}
	}
	if m := b.Changes(noon, 1200); m != nil {
		t.Error("what others told is told again as one's own")
	}
	if m := a.Changes(noon.Add(time.Hour), 1200); m != nil {
		t.Error("the window before is told")
	}
}

func TestTheStateHasTheHeaviest(t *testing.T) {
	a, b := auth.NewMeter(), auth.NewMeter()
	for i := range 1000 {
		a.Charge(agent(i), uint64(i+1), big, noon)
	}
	state := a.State(noon, 4000)
	if len(state) > 4000 {
		t.Fatalf("%d bytes", len(state))
	}
	if err := b.Merge(noon, state); err != nil {
		t.Fatal(err)
	}
	if used(b, agent(999), noon) != 1000 || used(b, agent(950), noon) != 951 || used(b, agent(0), noon) != 0 {
		t.Error("the heaviest users are not those of which the state tells")
	}
}

// A node that starts anew counts what it had granted before.
func TestARestartedNodeLearnsItsFormerUsage(t *testing.T) {
	before, other, after := auth.NewMeter(), auth.NewMeter(), auth.NewMeter()
	before.Charge(agent(1), 30, 100, noon)
	if err := other.Merge(noon, before.Changes(noon, 1200)); err != nil {
		t.Fatal(err)
	}
	after.Charge(agent(1), 5, 100, noon)
	if err := after.Merge(noon, other.State(noon, big)); err != nil {
		t.Fatal(err)
	}
	if got := used(after, agent(1), noon); got != 35 {
		t.Errorf("%d units, want 35", got)
	}
}

func TestMetersRefuseWhatIsNotWellFormed(t *testing.T) {
	m := auth.NewMeter()
	m.Charge(agent(1), 10, 100, noon)
	good := m.State(noon, big)
	for name, test := range map[string]struct {
		message []byte
		at      time.Time
		want    string
	}{
		"good":             {good, noon, ""},
		"an hour early":    {good, noon.Add(-time.Hour), ""}, // not taken in either
		"an hour late":     {good, noon.Add(time.Hour), ""},
		"two hours early":  {good, noon.Add(-2 * time.Hour), "clocks"},
		"two hours late":   {good, noon.Add(2 * time.Hour), "clocks"},
		"empty":            {nil, noon, "well-formed"},
		"another form":     {append([]byte{9}, good[1:]...), noon, "form"},
		"cut":              {good[:len(good)-1], noon, "well-formed"},
		"more":             {append(good[:len(good):len(good)], 7), noon, "well-formed"},
		"more given back":  {append(good[:len(good)-2:len(good)-2], 10, 11), noon, "well-formed"},
		"too many origins": {append(good[:4:4], 0xff, 0xff, 0x01), noon, "well-formed"},
	} {
		b := auth.NewMeter()
		err := b.Merge(test.at, test.message)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if name != "good" && name != "more" && used(b, agent(1), test.at) != 0 {
			t.Errorf("%s: it was taken in", name)
		}
	}
}

func TestStartsOfNodesAreBounded(t *testing.T) {
	m := auth.NewMeter()
	for range 300 {
		life := auth.NewMeter()
		life.Charge(agent(1), 1, 100, noon)
		if err := m.Merge(noon, life.State(noon, big)); err != nil {
			t.Fatal(err)
		}
	}
	if got := used(m, agent(1), noon); got != 256 {
		t.Errorf("%d lives are counted", got)
	}
	if err := auth.NewMeter().Merge(noon, m.State(noon, big)); err != nil {
		t.Errorf("the state of such a meter: %v", err)
	}
}

func TestMeterAtOnce(t *testing.T) {
	a, b := auth.NewMeter(), auth.NewMeter()
	var wg sync.WaitGroup
	for _, m := range []*auth.Meter{a, b} {
		for range 2 {
			wg.Go(func() {
				for i := range 2000 {
					m.Charge(agent(i%50), 2, big, noon)
					m.Move(agent(i%50), agent(i%7), 1, noon)
				}
			})
		}
	}
	wg.Go(func() {
		for range 200 {
			if m := a.Changes(noon, 1200); m != nil {
				_ = b.Merge(noon, m)
			}
			_ = a.Merge(noon, b.State(noon, big))
		}
	})
	wg.Wait()
	for _, m := range []*auth.Meter{a, b} {
		_ = a.Merge(noon, m.State(noon, big))
	}
	sum := uint64(0)
	for i := range 50 {
		sum += used(a, agent(i), noon)
	}
	if sum != 4*2000*2 {
		t.Errorf("%d units are counted of %d", sum, 4*2000*2)
	}
}

func FuzzMergeMeter(f *testing.F) {
	m := auth.NewMeter()
	m.Charge(agent(1), 10, 100, noon)
	m.Charge(auth.KeyPrincipal("key"), 10, 100, noon)
	f.Add(m.State(noon, big))
	f.Add(m.Changes(noon, 1200))
	f.Fuzz(func(t *testing.T, message []byte) {
		m := auth.NewMeter()
		_ = m.Merge(noon, message)
		state := m.State(noon, big)
		n := auth.NewMeter()
		if err := n.Merge(noon, state); err != nil {
			t.Fatalf("what was taken in cannot be passed on: %v", err)
		}
	})
}

func BenchmarkCharge(b *testing.B) {
	m := auth.NewMeter()
	principals := make([]auth.Principal, 10_000)
	for i := range principals {
		principals[i] = agent(i * 7919)
		m.Charge(principals[i], 10, 1<<40, noon)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, ok := m.Charge(principals[i%len(principals)], 10, 1<<40, noon); !ok {
				b.Fatal("refused")
			}
		}
	})
}

func BenchmarkChargeOfNewcomersToAFullMeter(b *testing.B) {
	m := auth.NewMeter()
	for i := range 120_000 {
		m.Charge(agent(i), 10, 1000, noon)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Charge(agent(200_000+i), 10, 1000, noon)
	}
}

func BenchmarkMeterState(b *testing.B) {
	m := auth.NewMeter()
	for i := range 100_000 {
		m.Charge(agent(i), 10, 1000, noon)
	}
	for b.Loop() {
		m.State(noon, big)
	}
}

func BenchmarkMergeMeter(b *testing.B) {
	m, n := auth.NewMeter(), auth.NewMeter()
	for i := range 100_000 {
		m.Charge(agent(i), 10, 1000, noon)
	}
	state := m.State(noon, big)
	for b.Loop() {
		if err := n.Merge(noon, state); err != nil {
			b.Fatal(err)
		}
	}
}
