package node

import (
	"testing"
	"time"
)

func TestLearningTakesATwentiethOfTheTime(t *testing.T) {
	at := time.Now()
	for _, c := range []struct {
		took, since time.Duration
		resting     bool
	}{
		{0, 0, false}, // nothing was learnt yet
		{time.Second, 0, true},
		{time.Second, 19*time.Second - 1, true},
		{time.Second, 19 * time.Second, false},
		{time.Millisecond, 20 * time.Millisecond, false},
	} {
		l := learner{at: at, took: c.took}
		if got := l.resting(at.Add(c.since)); got != c.resting {
			t.Errorf("%v after a model that took %v: resting %v, want %v", c.since, c.took, got, c.resting)
		}
	}
}
