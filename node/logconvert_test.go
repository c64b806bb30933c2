package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestALogIsConvertedThereAndBack(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DataDir = t.TempDir()
	if _, err := ConvertLog(cfg); !errors.Is(err, ErrLogStore) {
		t.Errorf("a folder without a log: %v", err)
	}
	if err := os.WriteFile(cfg.identityPath(), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	fill(t, cfg.DataDir, 1, 300, 101)
	logs, done := openTestLog(t, cfg.DataDir)
	if err := errors.Join(logs.SetUint64([]byte(voteTermKey), 2), logs.Set([]byte(voteKey), []byte("n1"))); err != nil {
		t.Fatal(err)
	}
	done()
	for _, kind := range []string{LogBolt, LogWAL, LogWAL, LogBolt, LogWAL} {
		there, err := logThere(cfg.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		cfg.LogStore = kind
		// What an interrupted one has left does not disturb.
		if err := os.MkdirAll(filepath.Join(walPath(convertPath(cfg.DataDir)), "left"), 0o700); err != nil {
			t.Fatal(err)
		}
		if entries, err := ConvertLog(cfg); kind == there && !errors.Is(err, ErrLogStore) || kind != there && (err != nil || entries != 200) {
			t.Fatalf("from %s to %s: %d entries, %v", there, kind, entries, err)
		}
		if now, err := logThere(cfg.DataDir); err != nil || now != kind {
			t.Fatalf("the log is of the kind %q, %v; want %s", now, err, kind)
		}
		check(t, cfg.DataDir, 101, 300)
		logs, done := openTestLog(t, cfg.DataDir)
		term, err := logs.GetUint64([]byte(voteTermKey))
		vote, err2 := logs.Get([]byte(voteKey))
		if err := errors.Join(err, err2); err != nil || term != 2 || string(vote) != "n1" {
			t.Errorf("the last vote is %q in term %d, %v", vote, term, err)
		}
		done()
	}
	if _, err := os.Stat(convertPath(cfg.DataDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of the conversion is still there: %v", err)
	}
	if _, err := CompactLog(cfg); !errors.Is(err, ErrLogStore) {
		t.Errorf("a log without anything to compact: %v", err)
	}
	if _, err := OpenLogStore(cfg.DataDir, LogOptions{Kind: LogBolt}); !errors.Is(err, ErrLogStore) {
		t.Errorf("a log of another kind: %v", err)
	}
}

// halfConverted is a data directory whose conversion to LogWAL was interrupted after
// the copy was put into its place.
func halfConverted(t *testing.T) Config {
	t.Helper()
	cfg := DefaultConfig()
	cfg.DataDir, cfg.LogStore = t.TempDir(), LogWAL
	if err := os.WriteFile(cfg.identityPath(), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	fill(t, cfg.DataDir, 1, 100, 51)
	if err := cfg.copyLogAs(LogBolt, LogWAL); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A conversion that was interrupted after the copy was put into its place is ended
// by the next one; until then nothing opens either log.
func TestAConversionIsEndedByTheNext(t *testing.T) {
	eachLogKind(t, func(t *testing.T, kind string) {
		cfg := halfConverted(t)
		if _, err := OpenLogStore(cfg.DataDir, LogOptions{Kind: kind}); !errors.Is(err, ErrLogStore) {
			t.Errorf("of two logs one is opened: %v", err)
		}
		cfg.LogStore = kind // whichever is wanted now
		if entries, err := ConvertLog(cfg); err != nil || entries != 50 {
			t.Fatalf("%d entries, %v", entries, err)
		}
		check(t, cfg.DataDir, 51, 100)
		if now, err := logThere(cfg.DataDir); err != nil || now != kind {
			t.Errorf("the log is of the kind %q, %v; want %s", now, err, kind)
		}
	})
}

// A copy that is another log costs nothing.
func TestAConversionThatWentWrongRemovesNothing(t *testing.T) {
	cfg := halfConverted(t)
	copied, err := openKind(cfg.DataDir, cfg.logOptions(LogWAL))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(copied.DeleteRange(100, 100), copied.StoreLog(entry(100, 9)), copied.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := ConvertLog(cfg); err == nil {
		t.Error("two logs that differ are taken for the same")
	}
	for _, path := range []string{boltPath(cfg.DataDir), walMetaPath(walPath(cfg.DataDir))} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}
