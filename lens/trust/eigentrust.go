package trust

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/stemedb/stemedb/assertion"
)

// Endorsement is one agent's word for another, weight 0 to 1.
type Endorsement struct {
	From, To assertion.AgentID
	Weight   float64
}

// The parameters of EigenTrust.
const (
	// Damping is the part of trust that flows from the seeds anew in each round
	// (the paper's a).
	Damping = 0.15
	// maxRounds and precision end the iteration.
	maxRounds = 200
	precision = 1e-12
)

// Standing is the EigenTrust of one agent: the trust of the graph sums to 1.
type Standing struct {
	Agent assertion.AgentID
	Trust float64
}

// EigenTrust computes the global trust of the agents of a graph (Kamvar,
// Schlosser and Garcia-Molina, "The EigenTrust Algorithm for Reputation
// Management in P2P Networks", WWW 2003, Algorithm 2): the fixed point of
//
//	t = (1 − Damping) × Cᵀ t + Damping × p
//
// where row i of C is what i endorses, normalised to sum to 1, or p if i
// endorses nobody, and p is uniform over the seeds. Without seeds p is uniform
// over all agents of the graph; then whoever makes many agents makes trust, so
// that seeds should be set wherever agents are not known to be few. An agent's
// word for itself, weights that are not positive and agents that nobody owns
// are left out. The result is ordered by agent; rounds is how many were needed.
func EigenTrust(edges []Endorsement, seeds []assertion.AgentID) (standings []Standing, rounds int) {
	g := newGraph(edges, seeds)
	if len(g.agents) == 0 {
		return nil, 0
	}
	t, next := slices.Clone(g.seed), make([]float64, len(g.agents))
	for rounds < maxRounds {
		rounds++
		idle := 0.0 // trust of those who endorse nobody: it flows to the seeds
		for i := range t {
			if len(g.out[i]) == 0 {
				idle += t[i]
			}
		}
		for i := range next {
			next[i] = (Damping + (1-Damping)*idle) * g.seed[i]
		}
		for i, out := range g.out {
			for _, e := range out {
				next[e.to] += (1 - Damping) * t[i] * e.part
			}
		}
		moved := 0.0
		for i := range t {
			moved += math.Abs(next[i] - t[i])
		}
		t, next = next, t
		if moved < precision {
			break
		}
	}
	standings = make([]Standing, len(g.agents))
	for i, agent := range g.agents {
		standings[i] = Standing{Agent: agent, Trust: t[i]}
	}
	return standings, rounds
}

// graph is the normalised graph, its agents in their order.
type graph struct {
	agents []assertion.AgentID
	out    [][]edge
	seed   []float64 // p
}

type edge struct {
	to   int
	part float64
}

func newGraph(edges []Endorsement, seeds []assertion.AgentID) *graph {
	edges = slices.Clone(edges)
	edges = slices.DeleteFunc(edges, func(e Endorsement) bool {
		return e.From == e.To || !(e.Weight > 0) || !e.From.Owned() || !e.To.Owned()
	})
	slices.SortFunc(edges, func(a, b Endorsement) int { // float sums depend on their order
		return cmp.Or(bytes.Compare(a.From[:], b.From[:]), bytes.Compare(a.To[:], b.To[:]), cmp.Compare(a.Weight, b.Weight))
	})
	places := map[assertion.AgentID]int{}
	g := &graph{}
	add := func(agents ...assertion.AgentID) {
		for _, a := range agents {
			if _, ok := places[a]; !ok && a.Owned() {
				places[a] = 0
				g.agents = append(g.agents, a)
			}
		}
	}
	for _, e := range edges {
		add(e.From, e.To)
	}
	add(seeds...)
	slices.SortFunc(g.agents, func(a, b assertion.AgentID) int { return bytes.Compare(a[:], b[:]) })
	for i, a := range g.agents {
		places[a] = i
	}
	g.out, g.seed = make([][]edge, len(g.agents)), make([]float64, len(g.agents))
	for _, e := range edges {
		from := places[e.From]
		g.out[from] = append(g.out[from], edge{places[e.To], e.Weight})
	}
	for _, out := range g.out {
		total := 0.0
		for _, e := range out {
			total += e.part
		}
		for i := range out {
			out[i].part /= total
		}
	}
	g.plant(seeds, places)
	return g
}

// plant fills in p.
func (g *graph) plant(seeds []assertion.AgentID, places map[assertion.AgentID]int) {
	planted := 0
	for _, s := range seeds {
		if i, ok := places[s]; ok && g.seed[i] == 0 {
			g.seed[i] = 1
			planted++
		}
	}
	for i := range g.seed {
		if planted > 0 {
			g.seed[i] /= float64(planted)
		} else {
			g.seed[i] = 1 / float64(len(g.seed))
		}
	}
}
