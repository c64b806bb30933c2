package detcbor

import (
	"bytes"
	"testing"
)

type sample struct {
	Numbers []int `cbor:"1,keyasint"`
}

// Only what Encode writes is read: no other version, form, field or length.
func TestOneFormAlone(t *testing.T) {
	raw, err := Encode(1, &sample{[]int{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{1, 0xa1, 0x01, 0x82, 0x01, 0x02}; !bytes.Equal(raw, want) { // {1: [1, 2]} by RFC 8949
		t.Fatalf("%x, want %x", raw, want)
	}
	var back sample
	if err := Decode(raw, 1, 16, &back); err != nil || len(back.Numbers) != 2 {
		t.Fatalf("%v: %+v", err, back)
	}
	for name, bad := range map[string][]byte{
		"nothing":                   {},
		"another version":           {2, 0xa1, 0x01, 0x82, 0x01, 0x02},
		"a longer head":             {1, 0xa1, 0x01, 0x82, 0x18, 0x01, 0x02},
		"an indefinite length":      {1, 0xa1, 0x01, 0x9f, 0x01, 0x02, 0xff},
		"an unknown field":          {1, 0xa2, 0x01, 0x80, 0x02, 0x01},
		"a field twice":             {1, 0xa2, 0x01, 0x80, 0x01, 0x80},
		"something behind":          {1, 0xa1, 0x01, 0x80, 0x00},
		"more elements than may be": append([]byte{1, 0xa1, 0x01, 0x91}, make([]byte, 17)...),
	} {
		if err := Decode(bad, 1, 16, &sample{}); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}
