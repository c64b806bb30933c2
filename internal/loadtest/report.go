package loadtest

import (
	"encoding/json"
	"io"
	"time"
)

// The kinds of loop, and of operations.
const (
	LoopOpen   = "open"
	LoopClosed = "closed"

	KindWrite = "write"
	KindRead  = "read"
)

// Report is what a run came to. All times in it are of the client.
type Report struct {
	Program Program   `json:"program"`
	Started time.Time `json:"started"`
	Machine Machine   `json:"machine"`
	Cluster Cluster   `json:"cluster"`
	// Settings are the flags of the run, defaults among them, by name.
	Settings map[string]string `json:"settings"`
	Results  []*Result         `json:"results"`
	// Notes say what was left out, and why.
	Notes []string `json:"notes,omitempty"`
}

// Program says which build has measured.
type Program struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// Cluster says what was measured. The scenario failover runs on a cluster of its
// own, which is like it.
type Cluster struct {
	// Own says that this program started the nodes, on the machine that it runs
	// on.
	Own   bool     `json:"own"`
	URLs  []string `json:"urls"`
	Nodes []Node   `json:"nodes"`
	// Metering says that at least one node holds agents to a quota an hour.
	Metering bool `json:"metering"`
	// Settings are those of the nodes of an own cluster that are not the defaults.
	Settings map[string]string `json:"settings,omitempty"`
	// FileSystem is what holds the data of an own cluster; empty where it is not known.
	FileSystem string `json:"file_system,omitempty"`
}

// Node is one node as it described itself at the beginning.
type Node struct {
	Node    string `json:"node"`
	Version string `json:"version"`
	Role    string `json:"role"`
	// Claims is how many it held.
	Claims uint64 `json:"claims"`
}

// Result is what one scenario came to.
type Result struct {
	Scenario string    `json:"scenario"`
	Started  time.Time `json:"started"`
	Agents   int       `json:"agents"`
	// ValueBytes is the size of each claim's value.
	ValueBytes  int    `json:"value_bytes"`
	Consistency string `json:"consistency"`
	// Signing says when the claims were signed.
	Signing string   `json:"signing"`
	Phases  []*Phase `json:"phases"`
	// Memory is the resident memory of each node while it ran.
	Memory []*Memory `json:"memory"`
	// Processors are those of the client's machine while it ran.
	Processors   []ProcessorSample `json:"processors,omitempty"`
	Verification Verification      `json:"verification"`
	// Quarantined are acknowledged claims that the content defence keeps out of the
	// answers.
	Quarantined uint64   `json:"quarantined"`
	Targets     []Target `json:"targets"`
	// Events are what was done to the cluster meanwhile.
	Events []Event `json:"events,omitempty"`
}

// Phase is one load, or several at the same time.
type Phase struct {
	Name   string       `json:"name"`
	Writes *Measurement `json:"writes,omitempty"`
	Reads  *Measurement `json:"reads,omitempty"`
}

// measurements are those of the phase that exist.
func (p *Phase) measurements() []*Measurement {
	var all []*Measurement
	for _, m := range []*Measurement{p.Writes, p.Reads} {
		if m != nil {
			all = append(all, m)
		}
	}
	return all
}

// Measurement is what one load came to. Latencies are milliseconds and those of
// successful operations, and of such as were due and never sent.
type Measurement struct {
	// Kind is write or read.
	Kind string `json:"kind"`
	// Loop is open or closed; Workers is how many operations were under way at
	// most.
	Loop    string `json:"loop"`
	Workers int    `json:"workers"`
	// ItemsPerOperation is how many claims an operation has; the rates count
	// claims.
	ItemsPerOperation int     `json:"items_per_operation"`
	AskedPerSecond    float64 `json:"asked_per_second,omitempty"`
	PerSecond         float64 `json:"per_second"`
	Seconds           float64 `json:"seconds"`
	// Operations are the successful ones. Unsent were due by the schedule of an
	// open loop and never sent.
	Operations   uint64 `json:"operations"`
	Failed       uint64 `json:"failed"`
	Unsent       uint64 `json:"unsent"`
	FirstFailure string `json:"first_failure,omitempty"`

	MeanMS float64 `json:"mean_ms"`
	P50    float64 `json:"p50_ms"`
	P90    float64 `json:"p90_ms"`
	P99    float64 `json:"p99_ms"`
	P999   float64 `json:"p99_9_ms"`
	Max    float64 `json:"max_ms"`
	// LongestGapMS is the longest time without a successful operation, and
	// LongestGapAtSeconds when it began.
	LongestGapMS        float64 `json:"longest_gap_ms"`
	LongestGapAtSeconds float64 `json:"longest_gap_at_seconds"`

	Distribution  []Percentile `json:"distribution"`
	WindowSeconds float64      `json:"window_seconds"`
	Series        []Window     `json:"series"`
}

// worstWindow is the highest p99 of any window.
func (m *Measurement) worstWindow() float64 {
	worst := 0.0
	for _, w := range m.Series {
		worst = max(worst, w.P99)
	}
	return worst
}

// Percentile is one point of a distribution.
type Percentile struct {
	Percentile float64 `json:"percentile"`
	MS         float64 `json:"ms"`
}

// Window is one stretch of time: operations count where they end.
type Window struct {
	AtSeconds float64 `json:"at_seconds"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
}

// Memory is a node's resident memory, by the node's own /metrics.
type Memory struct {
	URL     string         `json:"url"`
	Samples []MemorySample `json:"samples"`
	// Fault says why there is no more.
	Fault string `json:"fault,omitempty"`
}

// MemorySample is one reading.
type MemorySample struct {
	AtSeconds float64 `json:"at_seconds"`
	Bytes     float64 `json:"bytes"`
}

// Verification is the check after the load that every acknowledged claim can be
// read.
type Verification struct {
	Acknowledged uint64 `json:"acknowledged"`
	// EveryNode says that each claim was read from every node, not from one.
	EveryNode bool   `json:"every_node"`
	Reads     uint64 `json:"reads"`
	// Lost claims are not there, or are not what was sent.
	Lost uint64 `json:"lost"`
	// Unread could not be read: no node answered.
	Unread  uint64  `json:"unread"`
	Seconds float64 `json:"seconds"`
	// FirstFault is the first that was wrong.
	FirstFault string `json:"first_fault,omitempty"`
}

// Target is a bound that a scenario is held to.
type Target struct {
	Name string `json:"name"`
	// Met says that the value is within the limit. A value that was not measured
	// is not.
	Met   bool    `json:"met"`
	Value float64 `json:"value"`
	// Limit is exclusive if Below, else the value may be equal to it. AtLeast
	// turns it round.
	Limit   float64 `json:"limit"`
	Below   bool    `json:"below,omitempty"`
	AtLeast bool    `json:"at_least,omitempty"`
	Unit    string  `json:"unit"`
	// Note says how it was judged, or why it could not be.
	Note string `json:"note,omitempty"`
}

// Event is something that was done to the cluster.
type Event struct {
	AtSeconds float64 `json:"at_seconds"`
	What      string  `json:"what"`
}

// Passed says that every target of every scenario is met.
func (r *Report) Passed() bool {
	for _, s := range r.Results {
		for _, t := range s.Targets {
			if !t.Met {
				return false
			}
		}
	}
	return true
}

// Lost is how many acknowledged claims are lost.
func (r *Report) Lost() uint64 {
	lost := uint64(0)
	for _, s := range r.Results {
		lost += s.Verification.Lost
	}
	return lost
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
