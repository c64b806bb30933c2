package api

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
)

// mediaType returns the media type of the body if it is one of accepted.
func mediaType(r *http.Request, accepted ...string) (string, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return "", &fault{code: v1.CodeUnsupportedEncoding, field: "Content-Encoding",
			detail: fmt.Sprintf("the encoding %.40q", encoding), fix: "send the body as it is"}
	}
	given := r.Header.Get("Content-Type")
	for _, want := range accepted {
		if given == want {
			return want, nil
		}
	}
	media, parameters, err := mime.ParseMediaType(given)
	charset, hasCharset := parameters["charset"]
	if err == nil && (!hasCharset || strings.EqualFold(charset, "utf-8")) {
		for _, want := range accepted {
			if media == want {
				return want, nil
			}
		}
	}
	return "", &fault{code: v1.CodeUnsupportedMediaType, field: "Content-Type",
		detail: fmt.Sprintf("the media type %.80q", given), fix: "send " + strings.Join(accepted, " or ") + " in UTF-8"}
}

// firstRead is how much memory a body gets before its first byte; a promised
// length alone must not cost more.
const firstRead = 64 << 10

// readBody reads the whole body, at most limit bytes.
func readBody(c echo.Context, limit int64) (_ []byte, err error) {
	var read int64
	r := c.Request()
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	defer func() { c.Set(bodyLenKey, read) }()
	body := bytes.NewBuffer(make([]byte, 0, min(max(r.ContentLength, 0), firstRead)+bytes.MinRead))
	read, err = body.ReadFrom(http.MaxBytesReader(c.Response().Writer, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(limit)
	case err != nil && r.Context().Err() != nil:
		return nil, r.Context().Err()
	case err != nil:
		return nil, &fault{code: v1.CodeBodyUnreadable, detail: "the connection ended or stalled inside the body", fix: "send the request again"}
	}
	return body.Bytes(), nil
}

func tooLarge(limit int64) error {
	return &fault{code: v1.CodeBodyTooLarge, detail: fmt.Sprintf("the body has more than %d bytes", limit), fix: "send less in one request"}
}
