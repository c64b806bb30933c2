// Package truth learns from the claims themselves how reliable each agent is on
// each predicate, and which agents copy from each other. It is what the truth
// lens weighs voices by.
//
// It owns
//   - the methods: PopAccu, Accu, PooledInvestment and CRH, one file each, as
//     their authors published them but for the departures that docs/truth.md
//     lists, and for the key: an agent's reliability is learnt over all
//     predicates first and then on each predicate, held towards the whole as
//     far as the predicate gives little evidence;
//   - the detection of copying, whose voices count for less;
//   - the choice of a method for each predicate by measurement against gold
//     labels that the method did not see;
//   - the Model, which the cluster replicates as one entry.
//
// Invariants
//   - The same claims and labels in the same order give the same model, to the
//     last byte.
//   - A gold label is used in two ways only: the beliefs on its own question are
//     held to it while learning, and a method is measured by it when it was
//     hidden. A voice that spoke after the label earns nothing by agreeing.
//   - What a model says of a question rests on the voices given alone; a model
//     never adds a value that nobody stated.
//
// The package does no I/O and reads no clock. docs/truth.md has the formulas,
// their sources and worked examples.
package truth
