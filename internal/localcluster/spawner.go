package localcluster

import "runtime"

// spawner starts processes from one thread that lives as long as it does: the
// kernel ends a child (see dieWithParent) when the thread that made it is gone,
// and Go may end any other thread before the process ends.
type spawner struct {
	work chan func()
	done chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{work: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for f := range s.work {
			f()
		}
	}()
	return s
}

// run calls f on the spawner's thread.
func (s *spawner) run(f func() error) error {
	result := make(chan error, 1)
	s.work <- func() { result <- f() }
	return <-result
}

// close ends the spawner; its children must have ended before.
func (s *spawner) close() {
	close(s.work)
	<-s.done
}
