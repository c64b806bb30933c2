package flightseval

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/localcluster"
)

// TestFlights needs the flights data beside the checkout; it is not part of
// the repository.
func TestFlights(t *testing.T) {
	folder := filepath.Join("..", "..", "..", "shared", "data", "flights-small")
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("skipped: the flights data set is not at %s: %v", folder, err)
	}
	cluster, err := localcluster.Temporary(t.Context(), 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	c, err := client.New(cluster.URLs())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	result, err := Run(t.Context(), folder, t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", result)
	if err := result.Check(); err != nil {
		t.Error(err)
	}
}

func TestAUC(t *testing.T) {
	for _, tc := range []struct {
		wrong, right []float64
		want         float64
	}{
		{[]float64{0.9, 0.8}, []float64{0.1, 0.2}, 1}, // every wrong answer is more contested
		{[]float64{0.5}, []float64{0.5}, 0.5},         // a tie counts half
		{[]float64{0.9, 0.1}, []float64{0.5, 0.1}, (1 + 1 + 0 + 0.5) / 4.0},
	} {
		if got := AUC(tc.wrong, tc.right); got != tc.want {
			t.Errorf("AUC(%v, %v) = %v, want %v", tc.wrong, tc.right, got, tc.want)
		}
	}
}
