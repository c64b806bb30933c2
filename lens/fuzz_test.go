package lens_test

import (
	"testing"

	"github.com/stemedb/stemedb/lens"
)

func FuzzParse(f *testing.F) {
	for _, spec := range append(lens.Names(), "epoch,consensus", "epoch,epoch,recency", "recency,epoch", "", ",") {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		l, err := lens.Parse(spec)
		if (err == nil) == (l == nil) {
			t.Fatalf("%q: %v, %v", spec, l, err)
		}
		if err == nil && l.Name() == "" {
			t.Errorf("%q is a lens without a name", spec)
		}
	})
}

func FuzzParseTolerance(f *testing.F) {
	for _, text := range []string{"0", "0.5", "1%", "99.9%", "100%", "-1", "NaN", "Inf", "1e400", "0x1p-2", "%"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tolerance, err := lens.ParseTolerance(text)
		if err != nil {
			return
		}
		again, err := lens.ParseTolerance(tolerance.String())
		if err != nil || again.Absolute != tolerance.Absolute || again.Relative-tolerance.Relative > 1e-12 || tolerance.Relative-again.Relative > 1e-12 {
			t.Errorf("%q is %+v, written as %s, which is %+v (%v)", text, tolerance, tolerance, again, err)
		}
	})
}
