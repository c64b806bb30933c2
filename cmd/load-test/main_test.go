package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/loadtest"
)

func TestExitCodes(t *testing.T) {
	met, missed := loadtest.Target{Met: true}, loadtest.Target{}
	report := func(lost uint64, targets ...loadtest.Target) *loadtest.Report {
		return &loadtest.Report{Results: []*loadtest.Result{{Verification: loadtest.Verification{Lost: lost}, Targets: targets}}}
	}
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"a missed target", verdict(report(0, met, missed)), exitMissed},
		{"a lost claim", verdict(report(1, met)), exitLost},
		{"a lost claim and a missed target", verdict(report(1, missed)), exitLost},
		{"quotas", asCoded(fmt.Errorf("it: %w", loadtest.ErrMetered)), exitMetered},
		{"no answer", asCoded(fmt.Errorf("it: %w", client.ErrUnreachable)), exitUnavailable},
		{"anything else", asCoded(errors.New("disk full")), exitError},
		{"a fault after some results", errors.Join(asCoded(errors.New("disk full")), verdict(report(0, missed))), exitError},
		{"the command line", errors.New("unknown flag"), exitUsage},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%s: exit code %d, want %d", c.name, got, c.want)
		}
	}
	if err := verdict(report(0, met)); err != nil {
		t.Errorf("every target met: %v", err)
	}
}

// execute runs a command line and returns what it printed.
func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := rootCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestWrongCommandLines(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--scenario", "fast"}, "--scenario"},
		{[]string{"--scenario", "failover", "--api-url", "http://127.0.0.1:1"}, "cluster of its own"},
		{[]string{"--output", "report.pdf"}, "--output"},
		{[]string{"--output", "no/such/folder/report.html"}, "there is no folder no/such/folder"},
		{[]string{"--ca", "no-such-file.pem"}, "--ca"},
		{[]string{"--rate", "-1"}, "--rate"},
		{[]string{"--duration", "soon"}, "--duration"},
		{[]string{"--duration", "fast=1h"}, "--duration"},
		{[]string{"--readers", "0"}, "--readers"},
		{[]string{"--assertions", "-1"}, "--assertions"},
		{[]string{"surplus"}, "surplus"},
	} {
		_, err := execute(t, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) || exitCode(err) != exitUsage {
			t.Errorf("%q: %v, want %q and exit code %d", c.args, err, c.want, exitUsage)
		}
	}
}

func TestAClusterThatIsNotThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	listener.Close()
	if _, err := execute(t, "--api-url", url); exitCode(err) != exitUnavailable {
		t.Errorf("%v: exit code %d, want %d", err, exitCode(err), exitUnavailable)
	}
	_, err = execute(t, "--server", filepath.Join(t.TempDir(), "stemedb"), "--dir", t.TempDir())
	if exitCode(err) != exitError || !strings.Contains(err.Error(), "--server") {
		t.Errorf("without the server's program: %v, exit code %d", err, exitCode(err))
	}
}

func TestSettingsHoldNoSecret(t *testing.T) {
	cmd := rootCommand()
	if err := cmd.ParseFlags([]string{"--api-key", "secret-of-mine", "--rate", "5", "--api-url", "http://a", "--api-url", "http://b"}); err != nil {
		t.Fatal(err)
	}
	in := settings(cmd.Flags())
	if in["rate"] != "5" || in["scenario"] != "baseline" || in["api-url"] != "http://a,http://b" || in["batch"] != "1" {
		t.Errorf("settings %v", in)
	}
	if _, set := in["duration"]; set {
		t.Errorf("a duration that nobody chose: %v", in)
	}
	for name, value := range in {
		if strings.Contains(value, "secret") {
			t.Errorf("--%s holds the key", name)
		}
	}
}

func TestOutputsGoWhereTheyShould(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	files := map[string]string{"r.json": `"results"`, "r.html": "<!DOCTYPE html>", "r.md": "# Load test"}
	outputs := []string{formTable}
	for name := range files {
		outputs = append(outputs, filepath.Join(dir, name))
	}
	write, err := openOutputs(outputs, &out)
	if err != nil {
		t.Fatal(err)
	}
	report := &loadtest.Report{Results: []*loadtest.Result{{Scenario: loadtest.Baseline}}}
	if err := write(report); err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if raw, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(raw), want) {
			t.Errorf("%s: %v, %.80s", name, err, raw)
		}
	}
	if !strings.Contains(out.String(), "metering") {
		t.Errorf("the table: %s", out.String())
	}
}
