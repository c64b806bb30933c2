package unixtime

import (
	"strconv"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "1700000000": 1700000000, "2011-12-01T00:00:00Z": 1322697600,
		"2011-12-01T01:00:00+01:00": 1322697600, "2011-12-01T00:00:00.9Z": 1322697600} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "soon", "1.5", "2011-12-01", "1969-12-31T23:59:59Z"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q gave %d", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0", "18446744073709551615", "1970-01-01T00:00:00Z", "2026-01-01T00:00:00.5+01:00", "-1", "9999-12-31T23:59:59Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		seconds, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(strconv.FormatUint(seconds, 10)); err != nil || again != seconds {
			t.Errorf("%q is %d, read again %d (%v)", s, seconds, again, err)
		}
	})
}
