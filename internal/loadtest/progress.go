package loadtest

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress shows a line that tells how far something is.
type progress struct {
	to       io.Writer
	every    time.Duration
	terminal bool
	width    int // of what the terminal shows
}

// show prints line() every so often until stop is called.
func (p *progress) show(line func() string) (stop func()) {
	if p.to == nil || p.every <= 0 {
		return func() {}
	}
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		ticks := time.NewTicker(p.every)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				p.print(line())
			case <-done:
				if p.terminal && p.width > 0 {
					fmt.Fprint(p.to, "\r"+strings.Repeat(" ", p.width)+"\r")
					p.width = 0
				}
				return
			}
		}
	})
	return func() {
		close(done)
		ended.Wait()
	}
}

func (p *progress) print(line string) {
	if !p.terminal {
		fmt.Fprintln(p.to, line)
		return
	}
	fmt.Fprint(p.to, "\r"+line+strings.Repeat(" ", max(p.width-len(line), 0)))
	p.width = len(line)
}

// say prints a line that stays.
func (p *progress) say(format string, args ...any) {
	if p.to != nil {
		fmt.Fprintf(p.to, format+"\n", args...)
	}
}
