package clustertest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// thawAfter is when a disk is thawed whatever becomes of the test: a process that
// waits for a frozen one cannot be ended.
const thawAfter = "180"

// disk is a small file system of its own on a loop device.
type disk struct {
	t      testing.TB
	dir    string
	thawer *exec.Cmd // while it is frozen
}

// mountDisk makes a file system of the given size in MiB below dir.
func mountDisk(t testing.TB, dir string, size int) *disk {
	t.Helper()
	unable := func(args ...any) {
		t.Helper()
		if os.Getenv("CI") != "" {
			t.Fatal(args...)
		}
		t.Skip(args...)
	}
	for _, tool := range []string{"mkfs.ext4", "mount", "umount", "fsfreeze"} {
		if _, err := exec.LookPath(tool); err != nil {
			unable(err)
		}
	}
	image, d := filepath.Join(dir, "disk.img"), &disk{t: t, dir: filepath.Join(dir, "disk")}
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, int64(size)<<20), os.Mkdir(d.dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, d.dir}} {
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			unable("a file system cannot be mounted here (it takes root and a loop device): ", strings.Join(line, " "), ": ", err, ": ", string(out))
		}
	}
	return d
}

func (d *disk) command(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// unmount gives everything back; no process may use the disk any more.
func (d *disk) unmount() {
	d.thaw()
	d.command("umount", d.dir)
}

// freeze makes every write to the disk wait.
func (d *disk) freeze() {
	d.t.Helper()
	d.thawer = exec.Command("sh", "-c", `sleep "$1" && fsfreeze -u "$2"`, "sh", thawAfter, d.dir)
	d.thawer.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it outlives this process
	if err := d.thawer.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.command("fsfreeze", "-f", d.dir)
}

func (d *disk) thaw() {
	d.t.Helper()
	if d.thawer == nil {
		return
	}
	d.command("fsfreeze", "-u", d.dir)
	_ = syscall.Kill(-d.thawer.Process.Pid, syscall.SIGKILL)
	_ = d.thawer.Wait() // it was killed
	d.thawer = nil
}

// fill takes what is free on the disk, but for some bytes. It writes hardly anything,
// so that the node's writes do not wait for it.
func (d *disk) fill(name string, leave int64) {
	d.t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &s); err != nil {
		d.t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join(d.dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer file.Close()
	if take := int64(s.Bavail)*s.Bsize - leave; take > 0 {
		if err := syscall.Fallocate(int(file.Fd()), 0, 0, take); err != nil && (leave > 0 || !errors.Is(err, syscall.ENOSPC)) {
			d.t.Fatal(err)
		}
	}
	if leave > 0 {
		return
	}
	if _, err := io.Copy(file, zeros{}); !errors.Is(err, syscall.ENOSPC) { // until there is no room at all
		d.t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// free removes what fill has made.
func (d *disk) free(names ...string) {
	d.t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.t.Fatal(err)
		}
	}
}

// writers write claims through all nodes until they are stopped.
type writers struct {
	mu    sync.Mutex
	acked []assertion.Hash
	next  int // the number of the next claim
	wg    sync.WaitGroup
	stop  context.CancelFunc
}

func startWriters(c *Cluster, count, from int) *writers {
	ctx, stop := context.WithCancel(c.t.Context())
	w := &writers{stop: stop, next: from}
	for range count {
		db := c.Client()
		w.wg.Go(func() {
			for ctx.Err() == nil {
				w.mu.Lock()
				claim := Claim(c.t, w.next)
				w.next++
				w.mu.Unlock()
				answer, err := db.Assert(ctx, claim)
				if err != nil && ctx.Err() == nil {
					c.t.Errorf("a write failed at every node: %v", err)
					return
				}
				if err == nil {
					w.mu.Lock()
					w.acked = append(w.acked, answer.Hash)
					w.mu.Unlock()
				}
			}
		})
	}
	return w
}

func (w *writers) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// more waits until another so many writes are acknowledged.
func (w *writers) more(c *Cluster, count int) {
	c.t.Helper()
	want := w.acknowledged() + count
	c.WaitFor("writes go on", func() bool { return w.acknowledged() >= want || c.t.Failed() })
}

// end stops the writers and returns the claims that were acknowledged.
func (w *writers) end() []assertion.Hash {
	w.stop()
	w.wg.Wait()
	return w.acked
}

// TestADiskThatHangsOrIsFull runs a cluster of which one node keeps its data on a
// small disk. Whatever becomes of that, writes go on through the others, the node
// says why it refuses, and nothing acknowledged is lost.
func TestADiskThatHangsOrIsFull(t *testing.T) { eachLogStore(t, hangsOrIsFull) }

// hangsOrIsFull goes through all that can become of a disk with boltdb; with wal
// through what reaches a leader's log.
func hangsOrIsFull(t *testing.T, settings map[string]string) {
	t.Helper()
	const minFree, lessFree = "33554432", 16 << 20 // bytes
	size, isWAL := 160, settings["log-store"] == "wal"
	if isWAL {
		size = 320 // a segment more at each leader whose last entries are removed
	}
	settings["write-timeout"] = "4s"
	c := New(t, Options{Settings: settings})
	small := mountDisk(t, c.Dir, size)
	ill, sound := c.Nodes[0], c.Nodes[1:]
	t.Cleanup(func() { // before the cluster's own, which would wait for a frozen node
		small.thaw()
		c.KillAll()
		small.unmount()
	})
	ill.DataDir = filepath.Join(small.dir, "data")
	ill.Settings["disk-timeout"], ill.Settings["min-free-disk"] = "2s", minFree
	c.do(c.Cluster.Start())
	c.WaitReady()

	single, err := client.New([]string{ill.URL}, client.WithAttempts(1))
	c.do(err)
	t.Cleanup(single.Close)
	// refuses waits until the node answers a write with a code and a reason.
	refuses := func(code, reason string) {
		t.Helper()
		var answer *client.Error
		c.WaitFor(ill.Name+" answers "+code, func() bool {
			_, err := single.Assert(t.Context(), Claim(t, -1)) // the same one each time
			return errors.As(err, &answer) && answer.Code == code
		})
		if answer.Status != 503 || answer.RetryAfter == 0 || !strings.Contains(answer.Detail, reason) {
			t.Errorf("a write is refused with %d, Retry-After %v, %q; want 503 and %q", answer.Status, answer.RetryAfter, answer.Detail, reason)
		}
	}
	unready := func(reason string) {
		t.Helper()
		c.WaitFor(ill.Name+" is not ready for its disk", func() bool {
			var answer *client.Error
			if _, err := single.Ready(t.Context(), 0); !errors.As(err, &answer) {
				return false
			}
			for _, check := range answer.Checks {
				if check.Name == "disk" && !check.OK && strings.Contains(check.Detail, reason) {
					return true
				}
			}
			return false
		})
	}
	// seen waits until the others see a state of the node's disk and a leader, which
	// is that node or not.
	seen := func(state string, leads bool) {
		t.Helper()
		for _, n := range sound {
			c.WaitFor(n.Name+" sees the disk "+state, func() bool {
				s := c.Status(n)
				if s == nil || s.Leader == "" || (s.Leader == ill.Name) != leads {
					return false
				}
				for _, m := range s.Members {
					if m.Node == ill.Name {
						return m.Disk == state
					}
				}
				return false
			})
		}
	}
	// place makes the node the leader, or another one.
	place := func(leads bool) {
		t.Helper()
		heir := sound[0]
		if leads {
			heir = ill
		}
		c.WaitFor(heir.Name+" leads", func() bool {
			done, err := c.Client(sound...).ChangeCluster(t.Context(), "transfer", v1.ClusterChange{Node: heir.Name})
			return err == nil && done.Node == heir.Name
		})
		seen("ok", leads)
	}
	next, pid, stored := 1, ill.PID(), c.Write(0, 1)[0]
	recovered := func(load *writers) {
		t.Helper()
		c.WaitReady(ill)
		seen("ok", c.leaderSeenBy(sound[0]) == ill.Name)
		load.more(c, 20)
		hashes := load.end()
		next = load.next
		c.WaitEqual()
		for _, n := range c.Nodes {
			c.MustHold(n, client.Consistency{Level: "local"}, hashes)
		}
	}

	begin := func() *writers {
		load := startWriters(c, 4, next)
		load.more(c, 50)
		return load
	}

	hangs := func(leads bool) {
		place(leads)
		load := begin()
		small.freeze()
		began := time.Now()
		seen("unavailable", false)
		load.more(c, 50)
		t.Logf("hung (leader: %v): the others went on %v later", leads, time.Since(began).Round(time.Millisecond))
		refuses(v1.CodeDiskUnavailable, "has not completed within 2s")
		if s := ScrapeMetrics(t, ill).Values; s["stemedb_disk_unavailable"] != 1 || s["stemedb_cluster_is_leader"] != 0 {
			t.Errorf("while the disk hangs, stemedb_disk_unavailable is %v and stemedb_cluster_is_leader %v", s["stemedb_disk_unavailable"], s["stemedb_cluster_is_leader"])
		}
		unready("has not completed within 2s")
		if _, err := single.Get(t.Context(), stored, client.Consistency{Level: "local"}); err != nil {
			t.Errorf("a local read while the disk hangs: %v", err)
		}
		if _, err := single.Get(t.Context(), stored, client.Consistency{}); !errors.Is(err, client.Code(v1.CodeDiskUnavailable)) {
			t.Errorf("a linearizable read while the disk hangs: %v", err)
		}
		small.thaw()
		recovered(load)
	}
	isLow := func(leads bool) {
		place(leads)
		load := begin()
		small.fill("most", lessFree)
		seen("low", false) // a leader hands over
		load.more(c, 50)
		if low := ScrapeMetrics(t, ill).Values["stemedb_disk_low"]; low != 1 {
			t.Errorf("stemedb_disk_low is %v on a disk below its minimum", low)
		}
		small.free("most")
		recovered(load)
	}
	isFull := func(leads bool) {
		place(leads)
		load := begin()
		small.fill("all", 0)
		seen("unavailable", false)
		load.more(c, 50)
		refuses(v1.CodeDiskUnavailable, syscall.ENOSPC.Error())
		unready(syscall.ENOSPC.Error())
		small.free("all")
		recovered(load)
	}
	if isWAL {
		hangs(true)
		isFull(true)
		return
	}
	for _, happens := range []func(leads bool){hangs, isLow, isFull} {
		happens(true)
		happens(false)
	}
	// Beside a voter that is low, one that is away leaves one with room of three.
	place(false)
	small.fill("most", lessFree)
	seen("low", false)
	c.Kill(sound[1])
	refuses(v1.CodeDiskSpaceLow, "1 of 3 voters have room")
	if refused := ScrapeMetrics(t, sound[0]).Values["stemedb_disk_writes_refused"]; refused != 1 {
		t.Errorf("stemedb_disk_writes_refused is %v on the leader that refuses", refused)
	}
	c.Restart(sound[1])
	small.free("most")
	c.WaitReady()
	seen("ok", false)
	hashes := c.Write(next, 10)
	c.WaitEqual()
	c.MustHold(ill, client.Consistency{Level: "local"}, hashes)
	if pid != ill.PID() || !ill.Running() {
		t.Errorf("%s did not live through it", ill.Name)
	}
}
