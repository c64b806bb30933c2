package fsm

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// victimEnv makes the test binary the process that a test kills; its value is
// the folder of the state.
const victimEnv = "STEMEDB_FSM_TEST_VICTIM"

const victimEntries = 400

// victim replays the log, prints each index that it has applied and takes
// snapshots, until it is killed.
func victim(dir string) {
	t := new(testing.B) // for testLog, which cannot fail
	f, err := Open(dir, small(vfs.Default))
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	logs := testLog(t, victimEntries)
	for i, log := range logs {
		if r := f.Apply(log).(*Response); f.Failed() != nil {
			fmt.Println("apply:", r.Err)
			os.Exit(1)
		}
		fmt.Println(log.Index)
		if i%40 == 39 && f.AppliedIndex() == log.Index {
			if err := snapshot(f, log.Index); err != nil {
				fmt.Println("snapshot:", err)
				os.Exit(1)
			}
		}
	}
	os.Exit(0)
}

// A process is killed again and again with SIGKILL, on a real disk: what the
// last one left is a state of the log, not before its newest snapshot, and the
// next one goes on from there.
func TestCrashRecoveryAfterKills(t *testing.T) {
	logs := testLog(t, victimEntries)
	want := outlines(t, logs)
	rng := rand.New(rand.NewPCG(3, 4))
	dir := t.TempDir()
	for kills := 1; kills <= 8; kills++ {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), victimEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, after := bufio.NewScanner(out), rng.IntN(victimEntries-1)
		for n := 0; n <= after && lines.Scan(); n++ {
			if _, err := strconv.Atoi(lines.Text()); err != nil {
				t.Errorf("the process ended by itself: %s", lines.Text())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // says that it was killed
		f := mustOpen(t, dir, small(vfs.Default))
		got := outlineOf(f)
		if got != want[got.Index] {
			t.Fatalf("after %d kills: %+v, want %+v", kills, got, want[got.Index])
		}
		newest, err := f.snapshots.newest()
		if err != nil || newest != nil && newest.Index > got.Index || newest == nil && after > 60 {
			t.Fatalf("after %d kills: applied %d, newest snapshot %+v, %v", kills, got.Index, newest, err)
		}
		if kills%4 == 0 {
			replayFrom(t, f, logs)
			if got := outlineOf(f); got != want[logs[len(logs)-1].Index] {
				t.Fatalf("after %d kills and the replay: %+v", kills, got)
			}
		}
		mustClose(t, f)
	}
}
