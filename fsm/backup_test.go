package fsm

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// A copy that is taken while entries are applied is the state of exactly one of
// them, and what is made of it goes on like the original.
func TestCopyIsOfExactlyOneIndex(t *testing.T) {
	logs := testLog(t, 150)
	want := outlines(t, logs)
	fs := vfs.NewMem()
	f := mustOpen(t, "a", small(fs))
	var applying sync.WaitGroup
	applying.Go(func() {
		for i := 0; i < len(logs); i += 3 {
			f.ApplyBatch(logs[i:min(i+3, len(logs))])
		}
	})
	last := logs[len(logs)-1].Index
	for taken, at := 0, uint64(0); at < last; taken++ {
		c, err := f.Copy(0)
		if err != nil {
			t.Fatal(err)
		}
		at = c.Applied.Index
		if got := (outline{at, c.Digest, c.Count}); at > 0 && got != want[at] {
			t.Fatalf("the copy says %+v, the state there is %+v", got, want[at])
		}
		var stream bytes.Buffer
		if err := c.Stream(&stream); err != nil || int64(stream.Len()) != c.Size() {
			t.Fatalf("the stream has %d bytes, Size says %d: %v", stream.Len(), c.Size(), err)
		}
		forked, err := c.Fork("fork", small(fs))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		imported, err := Import("import", small(fs), &stream)
		if err != nil {
			t.Fatal(err)
		}
		for name, made := range map[string]*FSM{"fork": forked, "import": imported} {
			if got := outlineOf(made); at > 0 && got != want[at] {
				t.Fatalf("the %s says %+v, the state there is %+v", name, got, want[at])
			}
			if taken%4 == 0 {
				feed(t, made, logs, 10)
				if got := outlineOf(made); got != want[last] {
					t.Errorf("the %s of index %d ends as %+v, want %+v", name, at, got, want[last])
				}
			}
			mustClose(t, made)
			if err := fs.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	applying.Wait()
	if err := f.Failed(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, f)
	if names, err := fs.List("a"); err != nil || len(names) != 3 {
		t.Errorf("the state folder holds %v, %v", names, err)
	}
}

func TestImportRefusesDamage(t *testing.T) {
	f := mustOpen(t, "a", small(vfs.NewMem()))
	feed(t, f, testLog(t, 20), 20)
	c, err := f.Copy(0)
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	if err := errors.Join(c.Stream(&stream), c.Close()); err != nil {
		t.Fatal(err)
	}
	raw := stream.Bytes()
	raw[len(raw)/2] ^= 1
	if _, err := Import("b", small(vfs.NewMem()), bytes.NewReader(raw)); !errors.Is(err, ErrDamagedSnapshot) {
		t.Errorf("a changed bit: %v", err)
	}
	mustClose(t, f)
}

func TestCommitTime(t *testing.T) {
	for _, test := range []struct {
		log          *raft.Log
		before, want uint64
	}{
		{entry(1, EncodeTermStart(50, "n")), 40, 50},
		{entry(1, EncodeTermStart(50, "n")), 60, 60},
		{&raft.Log{Index: 1, Type: raft.LogNoop}, 60, 60},
	} {
		if got, err := CommitTime(test.log, test.before); err != nil || got != test.want {
			t.Errorf("after %d: %d, %v, want %d", test.before, got, err, test.want)
		}
	}
	if _, err := CommitTime(entry(1, []byte{99, 1}), 0); !errors.Is(err, ErrUnknownCommand) {
		t.Errorf("an unknown command: %v", err)
	}
}
