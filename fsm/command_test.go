package fsm

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCommandRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := rapid.Uint64().Draw(t, "now")
		records := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 1, 300)).Draw(t, "records")
		c, err := decodeCommand(EncodeWrite(FormatVersion, now, records))
		if err != nil {
			t.Fatal(err)
		}
		if c.kind != commandWrite || c.now != now || len(c.records) != len(records) {
			t.Fatalf("decoded %+v", c)
		}
		for i := range records {
			if !bytes.Equal(c.records[i], records[i]) {
				t.Fatalf("record %d = %x, want %x", i, c.records[i], records[i])
			}
		}
		id := rapid.String().Draw(t, "id")
		for kind, raw := range map[commandType][]byte{commandClusterInit: EncodeClusterInit(now, id), commandTermStart: EncodeTermStart(now, id)} {
			c, err := decodeCommand(raw)
			if err != nil || c.kind != kind || c.now != now || c.text != id {
				t.Fatalf("decoded %+v, %v; want type %d, now %d, text %q", c, err, kind, now, id)
			}
		}
	})
}

func TestCommandRefusesDamage(t *testing.T) {
	good := EncodeWrite(FormatVersion, testTime, [][]byte{[]byte("one"), []byte("second")})
	for n := range len(good) {
		if _, err := decodeCommand(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes decode", n, len(good))
		}
	}
	if _, err := decodeCommand(append(bytes.Clone(good), 0)); !errors.Is(err, errMalformed) {
		t.Errorf("a byte too many: %v", err)
	}
	long := bytes.Clone(good[:headLen])
	long = append(long, 0x81, 0x00, 0x01, 'x') // the count 1 in two bytes
	if _, err := decodeCommand(long); !errors.Is(err, errMalformed) {
		t.Errorf("a count that is not in its shortest form: %v", err)
	}
	huge := append(bytes.Clone(good[:headLen]), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
	if _, err := decodeCommand(huge); !errors.Is(err, errMalformed) {
		t.Errorf("a count of 2^64-1: %v", err)
	}
}

func TestCommandOfNewerVersion(t *testing.T) {
	newer := EncodeTermStart(testTime, "a")
	newer[1] = 2
	for name, raw := range map[string][]byte{"version": newer, "type": append([]byte{200, 1}, newer[2:]...), "type 0": append([]byte{0, 1}, newer[2:]...)} {
		_, err := decodeCommand(raw)
		if !errors.Is(err, ErrUnknownCommand) || !strings.Contains(err.Error(), "newer stemedb") || !strings.Contains(err.Error(), "upgrade this node") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCommandOfTheFormat(t *testing.T) {
	c, err := decodeCommand(EncodeFormat(testTime, FormatVersion))
	if err != nil || c.kind != commandFormat || c.format != FormatVersion || c.now != testTime {
		t.Errorf("decoded %+v, %v", c, err)
	}
	if _, err := decodeCommand(EncodeFormat(testTime, FormatVersion+1)); !errors.Is(err, ErrUnknownCommand) || !strings.Contains(err.Error(), "upgrade this node") {
		t.Errorf("a format above this build's: %v", err)
	}
	if _, err := decodeCommand(append(EncodeFormat(testTime, FormatVersion), 0)); !errors.Is(err, errMalformed) {
		t.Errorf("a byte too many: %v", err)
	}
}

func FuzzDecodeCommand(f *testing.F) {
	f.Add(EncodeWrite(FormatVersion, testTime, [][]byte{[]byte("one"), {}, []byte("three")}))
	f.Add(EncodeClusterInit(testTime, "cluster"))
	f.Add(EncodeTermStart(testTime, "node"))
	f.Add(EncodeFormat(testTime, FormatVersion))
	f.Add([]byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0x03})
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := decodeCommand(raw)
		if err != nil {
			return
		}
		var again []byte
		switch c.kind {
		case commandWrite:
			again = EncodeWrite(FormatVersion, c.now, c.records)
		case commandClusterInit:
			again = EncodeClusterInit(c.now, c.text)
		case commandTermStart:
			again = EncodeTermStart(c.now, c.text)
		case commandFormat:
			again = EncodeFormat(c.now, c.format)
		}
		if diff := cmp.Diff(raw, again); diff != "" {
			t.Fatalf("two encodings of one command:\n%s", diff)
		}
	})
}
