package backupdrill

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/localcluster"
)

// Config says how large a drill is.
type Config struct {
	// Claims are stored before the load begins.
	Claims int
	// Writers store one claim after another each while backups are taken.
	Writers int
	// Rounds are pairs of a time without and one with a backup.
	Rounds int
	// Quiet is how long the writers are measured without a backup in each round, at
	// least.
	Quiet time.Duration
	// Samples is how many random claims and questions are compared.
	Samples int
	// BackupRate is the setting backup-rate of the nodes, "" for its default.
	BackupRate string
	// Log receives what is being done.
	Log io.Writer
}

// Report is what a drill has found.
type Report struct {
	Claims, LoadClaims int
	Backup             backup.Metadata
	// BackupTook is the time of one backup under load, LogBackupTook that of the
	// log after it.
	BackupTook, LogBackupTook time.Duration
	// RestoreTook is the time of `stemedb restore`, UpTook that until three new
	// nodes are ready and hold everything, the restore included.
	RestoreTook, UpTook time.Duration
	// QuietP99 and BackupP99 are those of the writers without and with a backup
	// under way, over as many rounds.
	QuietP99, BackupP99 time.Duration
}

// Ratio is what a backup does to the slowest writes.
func (r *Report) Ratio() float64 { return r.BackupP99.Seconds() / r.QuietP99.Seconds() }

func (r *Report) String() string {
	b := r.Backup
	return fmt.Sprintf(`claims in the backup          %d, of them %d of the load
log index, digest             %d, %s
size                          %.1f MiB in %d files, %.1f MiB before compression
full backup under load        %v (%.1f MiB/s)
log backup after it           %v
restore of one node           %v
three new nodes ready         %v after the restore began
p99 of writes, quiet          %v
p99 of writes, backup         %v (ratio %.2f)
`, b.AssertionCount, int(b.AssertionCount)-r.Claims, b.Index, b.Digest, mebibytes(b.TotalBytes), b.FileCount, mebibytes(b.ContentBytes),
		r.BackupTook.Round(time.Millisecond), mebibytes(b.ContentBytes)/r.BackupTook.Seconds(), r.LogBackupTook.Round(time.Millisecond),
		r.RestoreTook.Round(time.Millisecond), r.UpTook.Round(time.Millisecond), r.QuietP99, r.BackupP99, r.Ratio())
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// drill is one that is under way.
type drill struct {
	Config
	dir              string
	server, stemectl string
	report           Report
	source           *localcluster.TemporaryCluster
	hashes           []assertion.Hash // of the claims before the load
}

// questions is how many questions the claims before the load are about.
const questions = 500

// Run does a drill with programs of the checkout. The error says what came out
// otherwise than it must.
func Run(ctx context.Context, c Config) (_ *Report, err error) {
	d := &drill{Config: c}
	if d.dir, err = os.MkdirTemp("", "stemedb-drill-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	if d.server, err = localcluster.Build(ctx, "cmd/stemedb"); err != nil {
		return nil, err
	}
	if d.stemectl, err = localcluster.Build(ctx, "cmd/stemectl"); err != nil {
		return nil, err
	}
	d.say("starting three nodes")
	settings := map[string]string{"truth-interval": "1h"}
	if d.BackupRate != "" {
		settings["backup-rate"] = d.BackupRate
	}
	if d.source, err = localcluster.Temporary(ctx, 3, settings); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.source.Close()) }()
	if err := d.fill(ctx); err != nil {
		return nil, err
	}
	path, load, err := d.backups(ctx)
	if err != nil {
		return nil, err
	}
	before, err := d.answers(ctx, d.source.URLs())
	if err != nil {
		return nil, err
	}
	if err := d.source.Kill(); err != nil {
		return nil, err
	}
	return &d.report, d.restore(ctx, path, load, before)
}

func (d *drill) say(format string, args ...any) { fmt.Fprintf(d.Log, format+"\n", args...) }

// claim is the i-th of the claims before the load (load is false) or of the load.
func claim(i int, load bool) (*assertion.Assertion, error) {
	a := &assertion.Assertion{
		Subject: fmt.Sprintf("drill-%d", i%questions), Predicate: "value", Object: assertion.Number(float64(i % 7)),
		Confidence: 0.5 + float64(i%50)/100, SourceClass: assertion.SourceClass(i % 6), SourceHash: assertion.Hash{byte(i), byte(i >> 8), byte(i >> 16), 1}, Timestamp: 1_700_000_000 + uint64(i),
	}
	if load {
		a.Subject = fmt.Sprintf("load-%d", i)
	}
	if err := a.Normalize(); err != nil {
		return nil, err
	}
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = byte(i % 5)
	a.Sign(ed25519.NewKeyFromSeed(seed), a.Timestamp)
	return a, a.Validate()
}

// fill stores the claims before the load.
func (d *drill) fill(ctx context.Context) error {
	d.say("storing %d claims", d.Claims)
	db, err := client.New(d.source.URLs())
	if err != nil {
		return err
	}
	defer db.Close()
	began := time.Now()
	const batch = 1000
	for from := 0; from < d.Claims; from += batch {
		claims := make([]*assertion.Assertion, min(batch, d.Claims-from))
		for i := range claims {
			if claims[i], err = claim(from+i, false); err != nil {
				return err
			}
		}
		answer, err := db.AssertBatch(ctx, claims)
		if err != nil {
			return err
		}
		for _, r := range answer.Results {
			if r.Hash == nil || r.Status != v1.StatusCreated && r.Status != v1.StatusExists {
				return fmt.Errorf("claim %d was refused: %+v", from+r.Line, r)
			}
			d.hashes = append(d.hashes, *r.Hash)
		}
	}
	d.report.Claims = d.Claims
	d.say("stored in %v", time.Since(began).Round(time.Second))
	return nil
}

// backups takes a backup in each round under load, and a log backup after the
// last.
func (d *drill) backups(ctx context.Context) (path string, l *load, err error) {
	l, err = startLoad(ctx, d.source.URLs(), d.Writers)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, l.stop()) }()
	folder := filepath.Join(d.dir, "backups")
	quiet := d.Quiet
	for round := range d.Rounds {
		l.phase(phaseQuiet)
		if err := wait(ctx, quiet); err != nil {
			return "", l, err
		}
		l.phase(phaseBackup)
		began := time.Now()
		acknowledged := l.count()
		if path, err = d.create(ctx, folder); err != nil {
			return "", l, err
		}
		d.report.BackupTook = time.Since(began)
		l.phase(phaseOther)
		quiet = max(d.Quiet, d.report.BackupTook)
		m, err := backup.Verify(os.DirFS(path))
		if err != nil {
			return "", l, err
		}
		if in := l.upTo(m.Index); in < acknowledged {
			return "", l, fmt.Errorf("%d claims of the load were acknowledged before the backup of log index %d was asked for, and only %d of them are of that index or before", acknowledged, m.Index, in)
		}
		d.report.Backup = *m
		d.say("round %d: backup of log index %d in %v", round+1, m.Index, d.report.BackupTook.Round(time.Millisecond))
	}
	d.report.QuietP99, d.report.BackupP99 = l.p99(phaseQuiet), l.p99(phaseBackup)
	if err := wait(ctx, d.Quiet); err != nil { // there are claims after the backup
		return "", l, err
	}
	began := time.Now()
	_, err = d.create(ctx, folder, "--log-only")
	d.report.LogBackupTook = time.Since(began)
	return path, l, err
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// create takes a backup with stemectl, at the priority that the timers in
// deploy/systemd give it: here it shares the processors with the nodes.
func (d *drill) create(ctx context.Context, folder string, flags ...string) (path string, err error) {
	args := append([]string{"backup", "create", "-o", "json", "--dir", folder, "--url", d.source.URLs()[len(d.source.URLs())-1]}, flags...)
	out, err := d.run(ctx, "nice", append([]string{"-n", "10", d.stemectl}, args...)...)
	if err != nil {
		return "", err
	}
	var made struct {
		Path string `json:"path"`
	}
	return made.Path, json.Unmarshal(out, &made)
}

// run runs a program and returns its output; its errors go to the log.
func (d *drill) run(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = localcluster.CleanEnv()
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %v: %w: %s", filepath.Base(program), args, err, complaints.Bytes())
	}
	return out.Bytes(), nil
}

// answers are what lenses say on random questions of the claims before the load,
// at a fixed time. The same questions are asked each time.
func (d *drill) answers(ctx context.Context, urls []string) (all []any, err error) {
	db, err := client.New(urls)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	random := rand.New(rand.NewPCG(1, 2))
	at := uint64(1_800_000_000)
	for range d.Samples {
		q := client.Query{Subject: fmt.Sprintf("drill-%d", random.IntN(questions)), Predicate: "value", AsOf: &at}
		skeptic, err := db.Skeptic(ctx, q)
		if err != nil {
			return nil, err
		}
		skeptic.Index, skeptic.Explanation.Index = 0, 0 // they are those of the whole state
		layered, err := db.Layered(ctx, q)
		if err != nil {
			return nil, err
		}
		layered.Index, layered.Explanation.Index = 0, 0
		all = append(all, skeptic, layered)
	}
	return all, nil
}

// restore makes a new cluster of a backup and compares it with the old one.
func (d *drill) restore(ctx context.Context, path string, l *load, before []any) (err error) {
	blocks, err := localcluster.ReserveBlocks(3)
	if err != nil {
		return err
	}
	options := localcluster.Options{Binary: d.server, Dir: filepath.Join(d.dir, "new"), Name: "new", Env: localcluster.CleanEnv(),
		Settings: map[string]string{"log-level": "error", "truth-interval": "1h", "autopilot-stabilization-time": "1s"}, Output: func(*localcluster.Node) io.WriteCloser { return discard{} }}
	for _, b := range blocks {
		options.Ports = append(options.Ports, b.Port)
		defer func() { err = errors.Join(err, b.Release()) }()
	}
	target, err := localcluster.New(options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	d.say("restoring %s", path)
	began := time.Now()
	first := target.Nodes[0]
	out, err := d.run(ctx, d.server, "restore", path, "--data-dir", first.DataDir, "--node-id", first.Name, "--cluster-addr", first.ClusterAddr)
	if err != nil {
		return err
	}
	d.report.RestoreTook = time.Since(began)
	if !bytes.Contains(out, []byte(d.report.Backup.Digest.String())) {
		return fmt.Errorf("the source's digest is %s, the restore says: %s", d.report.Backup.Digest, out)
	}
	if err := errors.Join(target.Start(), target.WaitReady(ctx)); err != nil {
		return err
	}
	d.report.UpTook = time.Since(began)
	return d.compare(ctx, target, l, before)
}

// compare looks at every node of the new cluster.
func (d *drill) compare(ctx context.Context, target *localcluster.Cluster, l *load, before []any) error {
	m := d.report.Backup
	in := l.upTo(m.Index)
	if want := uint64(d.Claims + in); m.AssertionCount != want {
		return fmt.Errorf("the backup counts %d claims, %d were decided up to its index", m.AssertionCount, want)
	}
	d.report.LoadClaims = l.count()
	for _, n := range target.Nodes {
		d.say("comparing %s", n.Name)
		if err := d.compareNode(ctx, n, l, before); err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	return nil
}

func (d *drill) compareNode(ctx context.Context, n *localcluster.Node, l *load, before []any) error {
	db, err := client.New([]string{n.URL})
	if err != nil {
		return err
	}
	defer db.Close()
	status, err := db.Cluster(ctx, 0)
	if err != nil {
		return err
	}
	if status.AssertionsCount != d.report.Backup.AssertionCount || status.ClusterID == d.report.Backup.ClusterID {
		return fmt.Errorf("%d claims in cluster %s, want %d in a new one", status.AssertionsCount, status.ClusterID, d.report.Backup.AssertionCount)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range d.Samples {
		if err := expect(ctx, db, d.hashes[random.IntN(len(d.hashes))], true); err != nil {
			return err
		}
	}
	for hash, index := range l.acknowledged() {
		if err := expect(ctx, db, hash, index <= d.report.Backup.Index); err != nil {
			return err
		}
	}
	after, err := d.answers(ctx, []string{n.URL})
	if err != nil {
		return err
	}
	if diff := cmp.Diff(before, after); diff != "" {
		return fmt.Errorf("lenses answer otherwise than in the old cluster: %s", diff)
	}
	return nil
}

// expect says whether a claim is, or is not, where it must be.
func expect(ctx context.Context, db *client.Client, hash assertion.Hash, there bool) error {
	_, err := db.Get(ctx, hash, client.Consistency{Level: "local"})
	var refusal *client.Error
	missing := errors.As(err, &refusal) && refusal.Code == v1.CodeAssertionNotFound
	if err != nil && !missing {
		return err
	}
	if there == missing {
		return fmt.Errorf("claim %s: there %v, want %v", hash, !missing, there)
	}
	return nil
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
