// Package defense judges what a claim says before it goes to the log: whether
// it passes, is flagged (visible, and marked in answers), or is quarantined
// (stored, left out of answers until a reviewer decides).
//
// It owns
//   - the rules: low quality, flooding by near-copies, the overconfident
//     stranger, known patterns, and text that instructs the reading agent;
//   - their thresholds (Config) and the default patterns;
//   - the memory of recent texts by agent that the flood rule compares with.
//
// Invariants
//   - With the mode off every verdict is Pass without a reason, and nothing is
//     remembered. With the mode flag no verdict exceeds Flag.
//   - A verdict is a function of the configuration, of the claim, of the subject
//     and of the time handed in, and of what this Defense inspected earlier from
//     the same agent within the window. No other agent's claims make it worse:
//     agreement between independent agents is never spam.
//   - Inspecting the same content again gives the earlier answer of the flood
//     rule and is not counted twice.
//   - All else equal, a higher trust never makes a verdict worse.
//   - Memory is bounded by Config.Flood, whatever is inspected.
//   - Numbers, booleans and references are not judged for being short, and no
//     script is judged by the habits of another.
//
// What instructs the reading agent is flagged and not hidden, because a claim
// about such text quotes it; together with any other reason it is quarantined.
//
// The memory is local and is lost on a restart, so two nodes may judge one
// claim differently. Whoever proposes the claim therefore records the verdict
// in the log entry, and nobody asks again when the entry is applied.
//
// The package never does I/O, never reads a clock or randomness, starts no
// goroutine, never alters a claim, and decides nothing about truth. It knows
// common attacks by their wording: paraphrase, novel wording and word salad in
// good spelling pass (TestParaphrase measures it). What reads claims must treat
// them as data all the same.
//
// Costs: 1 to 2 µs for a short claim; 6 to 9 µs for a sentence of 150 characters
// that the flood rule compares, while its agent has stated fewer than
// FloodConfig.Copies such within the window; from then on about 20 µs with a full
// memory, for texts are signed only then, or if they are longer than a signature.
// Each further character takes 0.04 µs, of which the flood rule reads
// maxShingleBytes. At most maxMatchBytes of a claim go through expressions, so
// that one made of cues takes about 0.1 s at worst.
// BenchmarkInspect measures it. New takes about 20 ms.
package defense
