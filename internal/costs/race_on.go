//go:build race

package costs

// Race tells that the program is watched by the race detector, which
// allocates beside it.
const Race = true
