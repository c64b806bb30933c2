package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
)

// maxPooledBuffer keeps a few large answers from pinning their memory.
const maxPooledBuffer = 256 << 10

// answer writes a JSON body. It is encoded whole first, so that an answer that
// cannot be encoded becomes a problem and not half a body.
func (s *Server) answer(c echo.Context, status int, media string, body any) error {
	buffer, ok := s.buffers.Get().(*bytes.Buffer)
	if !ok {
		buffer = new(bytes.Buffer)
	}
	defer func() {
		if buffer.Cap() <= maxPooledBuffer {
			buffer.Reset()
			s.buffers.Put(buffer)
		}
	}()
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	send(c, status, media, buffer.Bytes())
	return nil
}

// ok answers 200 with JSON.
func (s *Server) ok(c echo.Context, body any) error {
	return s.answer(c, http.StatusOK, v1.MediaJSON, body)
}

// send writes a body. That the client is gone is no error of the server.
func send(c echo.Context, status int, media string, body []byte) {
	header := c.Response().Header()
	header["Content-Type"] = []string{media}
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.Response().WriteHeader(status)
	_, _ = c.Response().Write(body)
}

// setIndex tells the log index that the answer rests on.
func setIndex(c echo.Context, index uint64) {
	c.Response().Header()[v1.HeaderIndex] = []string{strconv.FormatUint(index, 10)}
}
