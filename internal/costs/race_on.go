//go:build race

package costs

// raceDetector tells that the program is watched by the race detector, which
// allocates beside it.
const raceDetector = true
