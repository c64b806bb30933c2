package loadtest

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestProcessorTimeIsReadFromTheFirstLine(t *testing.T) {
	got, err := parseProcessorTime([]byte("cpu  100 20 30 400 50 6 7 8 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n"))
	if want := (processorTime{busy: 163, stolen: 8, all: 621}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3 4 5 6 7 x"} {
		if got, err := parseProcessorTime([]byte(bad)); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

func TestProcessorSharesAreOfTheTimeBetween(t *testing.T) {
	before, now := processorTime{busy: 100, stolen: 10, all: 1000}, processorTime{busy: 250, stolen: 30, all: 1200}
	if got, want := now.since(before, 3*time.Second), (ProcessorSample{AtSeconds: 3, Busy: 0.75, Stolen: 0.1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	line := processorLine([]ProcessorSample{{AtSeconds: 10, Busy: 0.9}, {AtSeconds: 20, Busy: 0.5, Stolen: 0.4}, {AtSeconds: 20.001, Busy: 0, Stolen: 1}})
	for _, want := range []string{"70 % busy", "took 20.0 % away", "at most 40 %"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %q", want, line)
		}
	}
	if line := processorLine(nil); line != "" {
		t.Errorf("of nothing it says %q", line)
	}
}

func TestProcessorsAreWatchedUntilTheEnd(t *testing.T) {
	if _, err := os.Stat("/proc/stat"); err != nil {
		t.Skip("this system has no /proc/stat")
	}
	// The only sample is that of the end, which ticks of the kernel must precede. It may
	// take one back: 30 are enough.
	stop := watchProcessors(t.Context(), time.Hour)
	before, err := readProcessorTime()
	if err != nil {
		t.Fatal(err)
	}
	for now := before; now.all <= before.all+30; {
		if now, err = readProcessorTime(); err != nil {
			t.Fatal(err)
		}
	}
	samples := stop()
	if len(samples) != 1 || samples[0].Busy < 0 || samples[0].Stolen < 0 || samples[0].Busy+samples[0].Stolen > 1 {
		t.Errorf("samples: %+v", samples)
	}
}
