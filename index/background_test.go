package index

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What fails in the background is logged, but not each time that Pebble tries it
// again; damage is no such failure.
func TestWhatFailsInTheBackgroundIsLoggedNowAndThen(t *testing.T) {
	var log bytes.Buffer
	d, err := Open("index", Options{FS: vfs.NewMem(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range 1000 {
		d.backgroundFailed(fmt.Errorf("flush: %w", syscall.ENOSPC))
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), syscall.ENOSPC.Error()) || d.Err() != nil {
		t.Errorf("%d lines: %s; damage: %v", lines, log.String(), d.Err())
	}
	d.background.logged = d.background.logged.Add(-backgroundLogPause)
	d.backgroundFailed(syscall.ENOSPC)
	if !strings.Contains(log.String(), "failures=1001") {
		t.Errorf("after the pause: %s", log.String())
	}
	d.backgroundFailed(pebble.ErrCorruption)
	if !errors.Is(d.Err(), ErrCorrupt) {
		t.Errorf("damage: %v", d.Err())
	}
}
