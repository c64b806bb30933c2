package defense

import (
	"errors"
	"fmt"
)

// Config says which rules apply and where they bite. DefaultConfig is the place
// of the defaults.
type Config struct {
	// Mode limits what verdicts may do.
	Mode Mode
	// MinQuality is the quality score below which a claim is quarantined, 0..1;
	// 0 turns the rule off.
	MinQuality float64
	// Flood says what a flood of near-copies is.
	Flood FloodConfig
	// HighConfidenceRule turns on the rule of the overconfident stranger: an
	// agent below StrangerTrust (0..1) that claims with a confidence above
	// StrangerConfidence (0..1) gets StrangerAction.
	HighConfidenceRule bool
	StrangerTrust      float64
	StrangerConfidence float64
	StrangerAction     Action
	// HighConfidenceForBound applies the rule to agents bound to an API key too:
	// somebody has vouched for those, so it is off by default.
	HighConfidenceForBound bool
	// InjectionRule turns on the rules on text that instructs the reading agent.
	InjectionRule bool
	// Patterns are the known patterns. They replace the default ones; append to
	// DefaultPatterns() to keep those.
	Patterns []Pattern
}

// FloodConfig bounds the rule on near-copies and its memory.
type FloodConfig struct {
	// Copies is how many earlier near-copies by the same agent within the window
	// make the next one part of a flood; 0 turns the rule off. At most
	// maxFloodCopies.
	Copies int
	// WindowSeconds is how long a text counts.
	WindowSeconds uint64
	// Similarity is the estimated Jaccard similarity from which two texts are
	// near-copies, 0.8 to 1. Below 0.8 the bands would miss pairs.
	Similarity float64
	// MinWords and MinLetters are the least that a text object must have to be
	// compared at all: both, or half of MinLetters in a script that is written
	// without spaces. Lower ones hit the coded values of honest tables.
	MinWords, MinLetters int
	// TextsPerAgent and Texts bound the texts remembered, of one agent and in
	// all. A text takes 0.3 to 0.8 KB, signed or not, and an agent 0.2 KB: the
	// default of 65,536 takes up to 52 MB, or 65 if each is of another agent.
	TextsPerAgent, Texts int
}

// DefaultConfig returns the defaults: every rule on, in quarantine mode.
func DefaultConfig() Config {
	return Config{
		Mode:       QuarantineMode,
		MinQuality: 0.4,
		Flood: FloodConfig{
			Copies:        10,
			WindowSeconds: 3600,
			Similarity:    0.9,
			MinWords:      8,
			MinLetters:    40,
			TextsPerAgent: 256,
			Texts:         65536,
		},
		HighConfidenceRule: true,
		StrangerTrust:      0.5,
		StrangerConfidence: 0.8,
		StrangerAction:     Quarantine,
		InjectionRule:      true,
		Patterns:           DefaultPatterns(),
	}
}

// Validate reports every setting that is out of range.
func (c Config) Validate() error {
	errs := []error{
		inRange("MinQuality", c.MinQuality, 0, 1),
		inRange("StrangerTrust", c.StrangerTrust, 0, 1),
		inRange("StrangerConfidence", c.StrangerConfidence, 0, 1),
		inRange("Flood.Copies", float64(c.Flood.Copies), 0, maxFloodCopies),
	}
	if c.Mode > QuarantineMode {
		errs = append(errs, fmt.Errorf("mode %d is none", c.Mode))
	}
	if c.StrangerAction > Quarantine {
		errs = append(errs, fmt.Errorf("StrangerAction %d is none", c.StrangerAction))
	}
	if c.Flood.Copies > 0 {
		errs = append(errs, c.Flood.validate())
	}
	names := map[string]bool{}
	for _, p := range c.Patterns {
		if names[p.Name] {
			errs = append(errs, fmt.Errorf("two patterns are named %q", p.Name))
		}
		names[p.Name] = true
		_, err := p.compile()
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("content defence: %w", err)
	}
	return nil
}

func (f FloodConfig) validate() error {
	const many = 1 << 24
	return errors.Join(
		inRange("Flood.WindowSeconds", float64(f.WindowSeconds), 1, 366*86400),
		inRange("Flood.Similarity", f.Similarity, 0.8, 1),
		inRange("Flood.MinWords", float64(f.MinWords), 1, many),
		inRange("Flood.MinLetters", float64(f.MinLetters), 2*shingleLen, many),
		inRange("Flood.TextsPerAgent", float64(f.TextsPerAgent), 1, 4096),
		inRange("Flood.Texts", float64(f.Texts), float64(numShards*f.TextsPerAgent), many),
	)
}

func inRange(name string, v, low, high float64) error {
	if v >= low && v <= high { // false for NaN
		return nil
	}
	return fmt.Errorf("%s is %v, not %v to %v", name, v, low, high)
}
