// Command pharma-ingest loads a demonstration corpus of pharmacological claims
// into a StemeDB cluster: published figures about drugs for diabetes and
// obesity, each with its citation, and on request figures that contradict them.
//
// # What it owns
//
// The command line, the exit codes and the report. The claims are those of the
// package corpus beneath it, the keys those of a keyring folder with one key
// for each organisation.
//
// # Invariants
//
//   - With one keyring, a second run adds nothing: every claim exists.
//   - A dry run sends nothing and makes no keys.
//   - The report covers every claim that the cluster has answered for, also when
//     the run ends early.
//
// # What it must never do
//
// Alter a claim of the corpus, or end with 0 while a claim was refused. The
// corpus is a demonstration, unchecked, and no medical advice.
package main
