package backupdrill

import (
	"testing"
	"time"
)

// A small drill; scripts/backup-drill.sh does a large one.
func TestDrill(t *testing.T) {
	if testing.Short() {
		t.Skip("whole clusters are not run with -short")
	}
	r, err := Run(t.Context(), Config{Claims: 3000, Writers: 2, Rounds: 1, Quiet: 500 * time.Millisecond, Samples: 50, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r)
	if r.LoadClaims == 0 || r.Backup.AssertionCount <= uint64(r.Claims) || r.Backup.AssertionCount >= uint64(r.Claims+r.LoadClaims) {
		t.Errorf("%d claims, then %d of the load, of which the backup holds some: it counts %d", r.Claims, r.LoadClaims, r.Backup.AssertionCount)
	}
}
