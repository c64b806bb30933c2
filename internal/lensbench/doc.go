// Package lensbench holds every lens against claim sets with known answers:
// accuracy, coverage, time, and how well disagreement tells of a wrong answer.
//
// The claim sets are not part of this repository: the flights of the Raha
// project, Evidence Inference 2.0, and potential drug-drug interactions.
package lensbench
