package settings

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// envPrefix begins the environment variable of every setting.
const envPrefix = "STEMEDB_"

// Kind says what a value looks like, in the help and in the documentation.
type Kind string

// The kinds.
const (
	Path     Kind = "path"
	Name     Kind = "name"
	Address  Kind = "host:port"
	Host     Kind = "host"
	List     Kind = "list"
	Number   Kind = "number"
	Bytes    Kind = "bytes"
	Duration Kind = "duration"
	Boolean  Kind = "true or false"
	Key      Kind = "hex or base64"
	Text     Kind = "text"
	URL      Kind = "URL"
	Ratio    Kind = "0 to 1"
	Level    Kind = "debug, info, warn or error"
	Format   Kind = "json or text"

	DefenseMode Kind = "off, flag or quarantine"
)

// Setting is one declaration.
type Setting struct {
	// Name is the flag; the environment variable and the YAML key follow from it.
	Name string
	// Default is the value in text form; "" means that there is none.
	Default string
	Kind    Kind
	// Help is what an operator needs to know: meaning, hazard, what it depends on.
	Help string
	// Secret values are masked wherever they are shown.
	Secret bool

	set func(*Server, string) error
}

// Env is the environment variable of a setting.
func (s Setting) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Key is the YAML key of a setting.
func (s Setting) Key() string { return strings.ReplaceAll(s.Name, "-", "_") }

// The functions below make the set function of a field, by its type.

func text(field func(*Server) *string) func(*Server, string) error {
	return func(s *Server, v string) error { *field(s) = v; return nil }
}

func boolean(field func(*Server) *bool) func(*Server, string) error {
	return func(s *Server, v string) (err error) { *field(s), err = strconv.ParseBool(v); return err }
}

func duration(field func(*Server) *time.Duration) func(*Server, string) error {
	return func(s *Server, v string) (err error) { *field(s), err = time.ParseDuration(v); return err }
}

func unsigned(field func(*Server) *uint64) func(*Server, string) error {
	return func(s *Server, v string) (err error) { *field(s), err = strconv.ParseUint(v, 10, 64); return err }
}

func list(field func(*Server) *[]string) func(*Server, string) error {
	return func(s *Server, v string) error {
		*field(s) = nil
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*field(s) = append(*field(s), item)
			}
		}
		return nil
	}
}

func oneOf(field func(*Server) *string, allowed ...string) func(*Server, string) error {
	return func(s *Server, v string) error {
		for _, a := range allowed {
			if v == a {
				*field(s) = v
				return nil
			}
		}
		return fmt.Errorf("possible are %s", strings.Join(allowed, ", "))
	}
}

// follows makes the set function of a switch that is left open if there is no
// value: its default is another setting's.
func follows(field func(*Server) **bool) func(*Server, string) error {
	return func(s *Server, v string) error {
		*field(s) = nil
		if v == "" {
			return nil
		}
		on, err := strconv.ParseBool(v)
		*field(s) = &on
		return err
	}
}
