package api

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// instant reads a time: unix seconds, or RFC 3339, whose fraction is cut off.
func instant(q url.Values, name string) (*uint64, error) {
	if !q.Has(name) {
		return nil, nil
	}
	text := q.Get(name)
	if seconds, err := strconv.ParseUint(text, 10, 63); err == nil {
		return &seconds, nil
	}
	// A plus sign of a zone that was not percent-encoded arrives as a space.
	at, err := time.Parse(time.RFC3339, strings.ReplaceAll(text, " ", "+"))
	if err != nil || at.Unix() < 0 {
		return nil, invalid(name, fmt.Sprintf("%.40q is no time", text), "give unix seconds, or RFC 3339 as in 2026-01-31T00:00:00Z")
	}
	seconds := uint64(at.Unix())
	return &seconds, nil
}

// required reads a time that must be given.
func required(q url.Values, name string) (uint64, error) {
	at, err := instant(q, name)
	if err != nil {
		return 0, err
	}
	if at == nil {
		return 0, missing(name, "give a time: unix seconds, or RFC 3339")
	}
	return *at, nil
}

// flag reads a boolean parameter.
func flag(q url.Values, name string, absent bool) (bool, error) {
	if !q.Has(name) {
		return absent, nil
	}
	switch q.Get(name) {
	case "true", "1", "":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, invalid(name, fmt.Sprintf("%.40q is neither true nor false", q.Get(name)), "use true or false")
}
