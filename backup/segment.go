package backup

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
)

// A segment is a header of headLen bytes, frames, and an empty frame as the
// end. All numbers are big-endian.
//
//	header  "STEM" · u16 format version · u8 kind ('S' state, 'L' log) · u8 0 · u32 number of the segment
//	frame   u32 length of the content · u32 length as stored · BLAKE3-256 · the content as one zstd frame
//
// The checksum covers the header, the number of the frame as u32, both lengths
// and the stored bytes.
const (
	magic        = "STEM"
	headLen      = len(magic) + 2 + 1 + 1 + 4
	frameHeadLen = 4 + 4 + sumLen
	sumLen       = 32

	// SegmentBytes is how much content every segment but the last holds. Segments and
	// frames are small so that none occupies a processor for long.
	SegmentBytes = 4 << 20
	frameBytes   = 256 << 10

	// What a reader takes: another writer may have made larger ones. What cannot be
	// compressed grows a little.
	maxSegmentContent = 16 << 20
	maxSegmentBytes   = maxSegmentContent + maxSegmentContent/64 + 1<<16
	maxFrameBytes     = 1 << 20
	// maxStored bounds a frame as stored, by the bound that zstd gives.
	maxStored = maxFrameBytes + maxFrameBytes/128 + 1<<10
)

func segmentName(k Kind, number int) string {
	prefix := "state"
	if k == Log {
		prefix = "log"
	}
	return fmt.Sprintf("%s-%06d.seg", prefix, number)
}

func segmentHead(k Kind, number int) []byte {
	b := binary.BigEndian.AppendUint16([]byte(magic), FormatVersion)
	letter := byte('S')
	if k == Log {
		letter = 'L'
	}
	b = append(b, letter, 0)
	return binary.BigEndian.AppendUint32(b, uint32(number))
}

// coders are made once: each holds about a megabyte.
var coders = sync.OnceValues(func() (*zstd.Encoder, *zstd.Decoder) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFrameBytes))
	if err != nil {
		panic(err)
	}
	return e, d
})

func frameSum(head []byte, number int, lengths, stored []byte) [sumLen]byte {
	h := blake3.New()
	_, _ = h.Write(head) // a hash never fails
	_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(number)))
	_, _ = h.Write(lengths)
	_, _ = h.Write(stored)
	return [sumLen]byte(h.Sum(nil))
}

// encoding is the file of a segment as it is made, frame by frame.
type encoding struct {
	head, file, stored []byte
	sum                *blake3.Hasher // of file, as far as it goes: taken piece by piece, it delays nobody for long
	frames             int
	content            int // bytes in it
}

// begin makes it an empty segment.
func (e *encoding) begin(k Kind, number int) {
	e.head = segmentHead(k, number)
	e.file, e.frames, e.content = append(e.file[:0], e.head...), 0, 0
	if e.sum == nil {
		e.sum = blake3.New()
	}
	e.sum.Reset()
	_, _ = e.sum.Write(e.file) // a hash never fails
}

// add appends a frame.
func (e *encoding) add(content []byte) {
	encoder, _ := coders()
	e.stored = encoder.EncodeAll(content, e.stored[:0])
	e.append(len(content), e.stored)
	e.frames++
	e.content += len(content)
}

func (e *encoding) append(length int, stored []byte) {
	before := len(e.file)
	e.file = appendFrame(e.file, e.head, e.frames, length, stored)
	_, _ = e.sum.Write(e.file[before:])
}

// end returns the whole file, until the next begin, and its BLAKE3.
func (e *encoding) end() (file []byte, sum [sumLen]byte) {
	e.append(0, nil)
	return e.file, [sumLen]byte(e.sum.Sum(nil))
}

func appendFrame(out, head []byte, number, length int, stored []byte) []byte {
	lengths := binary.BigEndian.AppendUint32(nil, uint32(length))
	lengths = binary.BigEndian.AppendUint32(lengths, uint32(len(stored)))
	sum := frameSum(head, number, lengths, stored)
	out = append(out, lengths...)
	out = append(out, sum[:]...)
	return append(out, stored...)
}

// readSegment checks a segment's file and hands each frame's content, which it
// uses again, to take.
//
// Errors: ErrNotBackup, ErrVersion, ErrDamaged.
func readSegment(k Kind, number int, file []byte, take func(content []byte)) error {
	name := segmentName(k, number)
	damaged := func(what string) error { return fmt.Errorf("%w: %s %s", ErrDamaged, name, what) }
	if len(file) < headLen || string(file[:len(magic)]) != magic {
		return fmt.Errorf("%w: %s does not begin with the magic bytes %s", ErrNotBackup, name, magic)
	}
	if v := binary.BigEndian.Uint16(file[len(magic):]); v != FormatVersion {
		return fmt.Errorf("%w: %s is of version %d, this software reads %d: use the version of StemeDB that wrote it, or a newer one", ErrVersion, name, v, FormatVersion)
	}
	head := segmentHead(k, number)
	if string(file[:headLen]) != string(head) {
		return damaged("is not the segment that its name says")
	}
	_, decoder := coders()
	var plain []byte
	rest := file[headLen:]
	for frame := 0; ; frame++ {
		if len(rest) < frameHeadLen {
			return damaged("ends early")
		}
		lengths := rest[:8]
		length, stored := binary.BigEndian.Uint32(lengths), binary.BigEndian.Uint32(lengths[4:])
		sum := [sumLen]byte(rest[8:])
		rest = rest[frameHeadLen:]
		if length > maxFrameBytes || stored > maxStored || uint64(stored) > uint64(len(rest)) {
			return damaged(fmt.Sprintf("has a frame %d of impossible length", frame))
		}
		if frameSum(head, frame, lengths, rest[:stored]) != sum {
			return damaged(fmt.Sprintf("has a wrong checksum in frame %d", frame))
		}
		if length == 0 {
			break
		}
		var err error
		if plain, err = decoder.DecodeAll(rest[:stored], plain[:0]); err != nil || len(plain) != int(length) {
			return damaged(fmt.Sprintf("cannot be decompressed in frame %d", frame))
		}
		take(plain)
		rest = rest[stored:]
	}
	if len(rest) > 0 {
		return damaged("goes on after its end")
	}
	return nil
}
