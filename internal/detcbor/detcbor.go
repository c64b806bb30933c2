// Package detcbor writes values in one form alone, a version byte and then
// deterministic CBOR (RFC 8949 §4.2.1), and reads nothing but that form: bytes
// that decode to the same value are the same bytes, so that their hash names the
// value.
package detcbor

import (
	"bytes"
	"errors"

	"github.com/fxamacker/cbor/v2"
)

// Encode writes a value behind a version byte.
func Encode(version byte, v any) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	raw, err := mode.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append([]byte{version}, raw...), nil
}

// Decode reads into v what Encode wrote for the version, and nothing else. An
// array may have at most elements.
func Decode(b []byte, version byte, elements int, v any) error {
	if len(b) == 0 || b[0] != version {
		return errors.New("unknown version")
	}
	mode, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxArrayElements: elements,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, IndefLength: cbor.IndefLengthForbidden}.DecMode()
	if err != nil {
		return err
	}
	if err := mode.Unmarshal(b[1:], v); err != nil {
		return err
	}
	again, err := Encode(version, v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return errors.New("not in the one form that is written")
	}
	return nil
}
