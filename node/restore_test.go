package node

import (
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/fsm"
)

// history are entries of a log: the founding of a cluster, then the beginnings of
// terms.
func history(terms ...uint64) (logs []*raft.Log) {
	for i, term := range terms {
		data := fsm.EncodeTermStart(uint64(1000+i), "n1")
		if i == 0 {
			data = fsm.EncodeClusterInit(1000, "c1")
		}
		logs = append(logs, &raft.Log{Index: uint64(i + 1), Term: term, Type: raft.LogCommand, Data: data})
	}
	return logs
}

// taken is a backup of a history in a folder: of the state if first is 0, else of
// the log from there on. change may change what the manifest says.
func taken(t *testing.T, dir string, logs []*raft.Log, first uint64, change func(*backup.Metadata)) string {
	t.Helper()
	state, err := fsm.Open(filepath.Join(t.TempDir(), "state"), fsm.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	}()
	r, err := newReplay(state, backup.Target{})
	for _, log := range logs {
		err = errors.Join(err, r.add(log))
	}
	if err = errors.Join(err, r.flush()); err != nil {
		t.Fatal(err)
	}
	b := &Backup{head: backup.Metadata{Kind: backup.Full, Node: "n1", SoftwareVersion: "test", Timestamp: time.Unix(2000, 0).UTC()}}
	if first == 0 {
		whole, err := state.Copy(0)
		if err != nil {
			t.Fatal(err)
		}
		b.ofState(whole)
	} else {
		h, err := stateHead(state)
		if err != nil {
			t.Fatal(err)
		}
		b.describe(h)
		b.head.Kind, b.head.FirstIndex = backup.Log, first
		b.content = func(w io.Writer) (err error) {
			for _, log := range logs[first-1:] {
				_, failed := w.Write(backup.AppendEntry(nil, backup.Entry{Index: log.Index, Term: log.Term, Type: uint8(log.Type), Data: log.Data}))
				err = errors.Join(err, failed)
			}
			return err
		}
	}
	if change != nil {
		change(&b.head)
	}
	sink, err := backup.NewDir(dir, time.Unix(2000, 0))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.WriteTo(t.Context(), sink)
	if err := errors.Join(err, sink.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	return sink.Path()
}

// Backups that do not belong together are found out also where the restore ends
// between two of them, with no manifest to compare the result with.
func TestRestoreToAPointHoldsEachBackupToItsManifest(t *testing.T) {
	known := history(1, 1, 1, 1, 1, 1, 1)
	// What a stopped node held of its term 1 was never committed from entry 3 on.
	committed := slices.Concat(known[:2], history(1, 1, 2, 2, 2, 2)[2:])
	other := func(m *backup.Metadata) { m.Digest[0] ^= 1 }
	for what, test := range map[string]struct {
		take func(dir string) string
		to   backup.Target
		want error
		says string
	}{
		"sound": {func(dir string) string {
			path := taken(t, dir, known[:3], 0, nil)
			taken(t, dir, known[:5], 4, nil)
			taken(t, dir, known, 6, nil)
			return path
		}, backup.Target{Index: 6}, nil, ""},
		"a log of another history": {func(dir string) string {
			path := taken(t, dir, known[:3], 0, nil)
			taken(t, dir, committed, 1, nil)
			return path
		}, backup.Target{Index: 5}, ErrLogGap, "entry 3 is of term 2"},
		"a full backup that is not what its manifest says": {func(dir string) string {
			path := taken(t, dir, known[:3], 0, other)
			taken(t, dir, known[:5], 4, nil)
			return path
		}, backup.Target{Index: 4}, backup.ErrDamaged, "at log index 3"},
		"a log backup that is not what its manifest says": {func(dir string) string {
			path := taken(t, dir, known[:3], 0, nil)
			taken(t, dir, known[:5], 4, other)
			taken(t, dir, known, 6, nil)
			return path
		}, backup.Target{Index: 6}, backup.ErrDamaged, "at log index 5"},
		"before the cluster was founded": {func(dir string) string {
			return taken(t, dir, append([]*raft.Log{{Index: 1, Term: 1, Type: raft.LogNoop}}, shifted(known)...), 1, nil)
		}, backup.Target{Index: 1}, errAny, "no name yet"},
	} {
		dir := t.TempDir()
		state, err := BackupState(t.Context(), filepath.Join(t.TempDir(), "state"), RestoreRequest{Path: test.take(dir), Target: test.to})
		if test.want == nil {
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			at, err := stateHead(state)
			if err = errors.Join(err, state.Close()); err != nil || at.applied.Index != test.to.Index {
				t.Errorf("%s: the state is that of %d, %v", what, at.applied.Index, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.says) || test.want != errAny && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v with %q", what, err, test.want, test.says)
		}
	}
}

// errAny stands for any error.
var errAny = errors.New("any")

// shifted are entries one index later.
func shifted(logs []*raft.Log) (later []*raft.Log) {
	for _, log := range logs {
		log := *log
		log.Index++
		later = append(later, &log)
	}
	return later
}

// A restore says which API keys are good again: neither revoked ones nor expired.
func TestRestoreListsTheGoodKeys(t *testing.T) {
	key := func(id string, revision uint64, change func(*assertion.APIKey)) []byte {
		k := &assertion.APIKey{ID: id, Revision: revision, Name: "of " + id, Role: assertion.RoleWrite, Secret: assertion.Hash{1}, CreatedAt: 1000}
		if change != nil {
			change(k)
		}
		record, err := assertion.AppendEntry(nil, k)
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	records := [][]byte{key("good", 1, nil), key("revoked", 1, nil), key("revoked", 2, func(k *assertion.APIKey) { k.Revoked = true }),
		key("expired", 1, func(k *assertion.APIKey) { k.ExpiresAt = 2000 })}
	logs := append(history(1, 1), &raft.Log{Index: 3, Term: 1, Type: raft.LogCommand, Data: fsm.EncodeWrite(1, 1001, records)})
	cfg := DefaultConfig()
	cfg.DataDir, cfg.ClusterAddr, cfg.Logger = filepath.Join(t.TempDir(), "data"), "127.0.0.1:18182", slog.New(slog.DiscardHandler)
	out, err := Restore(t.Context(), cfg, RestoreRequest{Path: taken(t, t.TempDir(), logs, 0, nil)})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Keys) != 1 || out.Keys[0].ID != "good" {
		t.Errorf("good keys: %v", out.Keys)
	}
}
