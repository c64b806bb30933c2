// Package unixtime reads the times that people write.
package unixtime

import (
	"fmt"
	"strconv"
	"time"
)

// Parse reads unix seconds, or an RFC 3339 time from 1970 on, whose fraction is
// cut off.
func Parse(text string) (uint64, error) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() < 0 {
		return 0, fmt.Errorf("%q is neither unix seconds nor an RFC 3339 time", text)
	}
	return uint64(t.Unix()), nil
}
