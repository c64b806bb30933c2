package loadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// ProcessorSample is what the processors of the client's machine did since the
// sample before, as shares of their time. Nodes on that machine are in it.
type ProcessorSample struct {
	AtSeconds float64 `json:"at_seconds"`
	// Busy is what programs and the kernel took.
	Busy float64 `json:"busy"`
	// Stolen is what this virtual machine needed and its host gave to others.
	Stolen float64 `json:"stolen"`
}

// processorTime counts the ticks of all processors since the machine started.
type processorTime struct{ busy, stolen, all uint64 }

// watchProcessors samples the processors until stop is called, which returns the
// samples: none where the operating system has no /proc/stat.
func watchProcessors(ctx context.Context, every time.Duration) (stop func() []ProcessorSample) {
	ctx, cancel := context.WithCancel(ctx)
	start := time.Now()
	var samples []ProcessorSample
	var watch sync.WaitGroup
	before, err := readProcessorTime()
	if err != nil {
		return func() []ProcessorSample { cancel(); return nil }
	}
	watch.Go(func() {
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for ended := false; !ended; {
			select {
			case <-ticks.C:
			case <-ctx.Done():
				ended = true
			}
			now, err := readProcessorTime()
			// On a virtual machine that moves to another host the counts can go back.
			if err == nil && now.all > before.all && now.busy >= before.busy && now.stolen >= before.stolen {
				samples = append(samples, now.since(before, time.Since(start)))
				before = now
			}
		}
	})
	return func() []ProcessorSample {
		cancel()
		watch.Wait()
		return samples
	}
}

func (t processorTime) since(before processorTime, at time.Duration) ProcessorSample {
	all := float64(t.all - before.all)
	return ProcessorSample{AtSeconds: at.Seconds(), Busy: float64(t.busy-before.busy) / all, Stolen: float64(t.stolen-before.stolen) / all}
}

func readProcessorTime() (processorTime, error) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return processorTime{}, err
	}
	return parseProcessorTime(raw)
}

// parseProcessorTime reads the first line of /proc/stat (proc_stat(5)): the name
// cpu, then the ticks of user, nice, system, idle, iowait, irq, softirq and steal.
func parseProcessorTime(raw []byte) (t processorTime, err error) {
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return t, errors.New("/proc/stat does not begin with the time of all processors")
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseUint(string(field), 10, 64)
		if err != nil {
			return t, fmt.Errorf("/proc/stat: %w", err)
		}
		t.all += n
		switch i {
		case 3, 4: // idle, also while a disk is awaited
		case 7:
			t.stolen += n
		default:
			t.busy += n
		}
	}
	return t, nil
}

// processorLine tells in words what the processors did; "" if nothing is known.
func processorLine(samples []ProcessorSample) string {
	if len(samples) == 0 {
		return ""
	}
	var busy, stolen, most, at float64
	for _, s := range samples {
		lasted := s.AtSeconds - at
		busy, stolen, at = busy+lasted*s.Busy, stolen+lasted*s.Stolen, s.AtSeconds
		if lasted >= samples[0].AtSeconds/2 { // else it is the rest at the end, of some ticks of the kernel
			most = max(most, s.Stolen)
		}
	}
	return fmt.Sprintf("Processors of the client's machine: %.0f %% busy; its host took %.1f %% away, at most %.0f %% in one of %d windows.",
		100*busy/at, 100*stolen/at, 100*most, len(samples))
}
