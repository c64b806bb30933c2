package settings

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

// ConfigFlag names the YAML file, as does the environment variable ConfigEnv.
const (
	ConfigFlag = "config"
	ConfigEnv  = envPrefix + "CONFIG"
)

// The origins of a value.
const (
	FromFlag        = "flag"
	FromEnvironment = "environment"
	FromFile        = "file"
	FromDefault     = "default"
)

// Effective is a setting as it came out.
type Effective struct {
	Setting
	Value string
	From  string
}

// Display is the value for people: secrets are masked.
func (e Effective) Display() string {
	if e.Secret && e.Value != "" {
		return "********"
	}
	return e.Value
}

// flagValue is the text of a flag; Resolve reads it, Build parses it.
type flagValue struct {
	text string
	kind Kind
}

func (f *flagValue) String() string     { return f.text }
func (f *flagValue) Set(v string) error { f.text = v; return nil }
func (f *flagValue) Type() string {
	if f.kind == Boolean {
		return "bool"
	}
	return strings.ReplaceAll(string(f.kind), " ", "-")
}

// AddFlags declares a flag for every setting, and the one for the file.
func AddFlags(flags *pflag.FlagSet) {
	flags.Var(&flagValue{kind: Path}, ConfigFlag, "YAML file with settings ("+ConfigEnv+")")
	for _, s := range All() {
		flag := flags.VarPF(&flagValue{text: s.Default, kind: s.Kind}, s.Name, "", strings.ReplaceAll(s.Help, "`", "")+" ("+s.Env()+")")
		if s.Kind == Boolean {
			flag.NoOptDefVal = "true"
		}
	}
}

// Resolve takes each setting from the flags, the environment (in the form of
// os.Environ), the file or its default. An empty variable counts as absent. A
// key of the file or a variable with our prefix that is no setting is an error.
func Resolve(flags *pflag.FlagSet, environ []string) ([]Effective, error) {
	env, err := readEnvironment(environ)
	if err != nil {
		return nil, err
	}
	path := env[ConfigEnv]
	if flags.Changed(ConfigFlag) {
		path = flags.Lookup(ConfigFlag).Value.String()
	}
	file, err := readFile(path)
	if err != nil {
		return nil, err
	}
	all := All()
	effective := make([]Effective, len(all))
	for i, s := range all {
		e := Effective{Setting: s, Value: s.Default, From: FromDefault}
		if v, ok := file[s.Key()]; ok {
			e.Value, e.From = v, FromFile
		}
		if v, ok := env[s.Env()]; ok {
			e.Value, e.From = v, FromEnvironment
		}
		if flags.Changed(s.Name) {
			e.Value, e.From = flags.Lookup(s.Name).Value.String(), FromFlag
		}
		effective[i] = e
	}
	return effective, nil
}

// serviceLink recognises the variables that Kubernetes and Docker links make up
// for a service that is called stemedb, or stemedb-something. They are no
// settings and not the operator's doing.
func serviceLink(name, value string) bool {
	if strings.HasSuffix(name, "_PORT") && !strings.HasSuffix(name, "_SERVICE_PORT") {
		return strings.HasPrefix(value, "tcp://") || strings.HasPrefix(value, "udp://")
	}
	return regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)$`).MatchString(name)
}

// clientVariables are read by the command line tools, not by the server, and
// may be set in the same shell.
func clientVariables() []string {
	return []string{envPrefix + "URL", envPrefix + "API_KEY", envPrefix + "KEYRING"}
}

func readEnvironment(environ []string) (map[string]string, error) {
	known := []string{ConfigEnv}
	for _, s := range All() {
		known = append(known, s.Env())
	}
	env := map[string]string{}
	var errs []error
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case !strings.HasPrefix(name, envPrefix), value == "":
		case slices.Contains(known, name):
			env[name] = value
		case serviceLink(name, value), slices.Contains(clientVariables(), name):
		default:
			errs = append(errs, fmt.Errorf("the environment variable %s is no setting%s", name, suggestion(name, known)))
		}
	}
	return env, errors.Join(errs...)
}

// readFile reads the YAML file as text values by key; no path gives no values.
func readFile(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	var nodes map[string]yaml.Node
	if err := yaml.Unmarshal(raw, &nodes); err != nil {
		return nil, fmt.Errorf("settings file %s: %w", path, err)
	}
	var known []string
	for _, s := range All() {
		known = append(known, s.Key())
	}
	values := map[string]string{}
	var errs []error
	for key, value := range nodes {
		if !slices.Contains(known, key) {
			errs = append(errs, fmt.Errorf("settings file %s, line %d: %q is no setting%s", path, value.Line, key, suggestion(key, known)))
			continue
		}
		if values[key], err = scalar(&value); err != nil {
			errs = append(errs, fmt.Errorf("settings file %s, line %d: %s: %w", path, value.Line, key, err))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return values, errors.Join(errs...)
}

// scalar is the text of a value; a list of values becomes a comma list.
func scalar(value *yaml.Node) (string, error) {
	switch {
	case value.Kind == yaml.ScalarNode && value.Tag != "!!null":
		return value.Value, nil
	case value.Kind == yaml.SequenceNode:
		items := make([]string, len(value.Content))
		for i, item := range value.Content {
			if item.Kind != yaml.ScalarNode {
				return "", fmt.Errorf("item %d is not a single value", i+1)
			}
			items[i] = item.Value
		}
		return strings.Join(items, ","), nil
	default:
		return "", errors.New("it must have a single value or a list of them")
	}
}
