package transport

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// keptBuffer is the largest buffer that is kept for reuse.
const keptBuffer = 256 << 10

// codec turns messages into bodies and back, and keeps buffers between uses.
type codec struct {
	enc     cbor.UserBufferEncMode
	dec     cbor.DecMode
	buffers sync.Pool
}

func newCodec() (*codec, error) {
	enc, err := cbor.EncOptions{}.UserBufferEncMode()
	if err != nil {
		return nil, fmt.Errorf("make the message encoder: %w", err)
	}
	dec, err := cbor.DecOptions{
		DupMapKey:       cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels: 8,
		IndefLength:     cbor.IndefLengthForbidden,
		TagsMd:          cbor.TagsForbidden,
	}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("make the message decoder: %w", err)
	}
	return &codec{enc: enc, dec: dec}, nil
}

// encode returns a buffer with the body of message; release it after use.
func (c *codec) encode(message any) (*bytes.Buffer, error) {
	buf := c.buffer()
	if err := c.enc.MarshalToBuffer(message, buf); err != nil {
		c.release(buf)
		return nil, fmt.Errorf("encode %T: %w", message, err)
	}
	if buf.Len() > MaxBody {
		size := buf.Len()
		c.release(buf)
		return nil, fmt.Errorf("%w: %d bytes, at most %d are possible", ErrTooLarge, size, MaxBody)
	}
	return buf, nil
}

// buffer returns an empty buffer.
func (c *codec) buffer() *bytes.Buffer {
	buf, ok := c.buffers.Get().(*bytes.Buffer)
	if !ok {
		return new(bytes.Buffer)
	}
	buf.Reset()
	return buf
}

// releaseBody gives back a buffer whose memory body used, or outgrew.
func (c *codec) releaseBody(buf *bytes.Buffer, body []byte) {
	if cap(body) > buf.Cap() {
		*buf = *bytes.NewBuffer(body[:0])
	}
	c.release(buf)
}

func (c *codec) release(buf *bytes.Buffer) {
	if buf.Cap() <= keptBuffer {
		c.buffers.Put(buf)
	}
}

// decode fills message from a body; nothing of body is kept.
func (c *codec) decode(body []byte, message any) error {
	if err := c.dec.Unmarshal(body, message); err != nil {
		return fmt.Errorf("%w: body of %T: %w", ErrProtocol, message, err)
	}
	return nil
}
