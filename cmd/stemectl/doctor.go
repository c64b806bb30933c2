package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/version"
)

// errUnhealthy means that doctor found something that fails.
var errUnhealthy = errors.New("something is wrong: see the findings that fail")

func asProblem(err error) (*client.Error, bool) {
	var problem *client.Error
	return problem, errors.As(err, &problem)
}

// examine looks at every node given by --url, and at the ports of the members.
func (a *app) examine(ctx context.Context) (seen []sighting, d diagnosis, err error) {
	c, err := a.client()
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	var roots *x509.CertPool
	if a.ca != "" {
		if roots, err = client.ReadRootCAs(a.ca); err != nil {
			return nil, nil, &usageError{err}
		}
	}
	plain := plainClient(roots)
	defer plain.CloseIdleConnections()
	var members []v1.Member
	for i := range c.Endpoints() {
		s := look(ctx, c, i, plain)
		if s.Cluster != nil && members == nil {
			members = s.Cluster.Members
		}
		seen = append(seen, s)
	}
	var ports []port
	for _, m := range members {
		if m.State == "alive" {
			ports = append(ports, port{m.Node, "node-to-node", m.ClusterAddr}, port{m.Node, "gossip", m.GossipAddr})
		}
	}
	return seen, diagnose(seen, unreachable(ctx, ports), time.Now()), nil
}

func doctorCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Examine the cluster and say what is wrong and what to do", Args: cobra.NoArgs,
		Long: `Examine the cluster and say what is wrong and what to do: readiness, leader, quorum, digests, lag, clocks, versions, certificates,
ports, exposure, disks. Give the --url of every node. Ends with exit code 7 if something fails; warnings do not count.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, d, err := a.examine(cmd.Context())
			if err != nil {
				return err
			}
			err = a.show(cmd, d, func(w io.Writer) {
				row(w, "VERDICT", "CHECK", "NODE", "FINDING")
				for _, f := range d {
					row(w, f.Verdict, f.Check, f.About, f.Detail)
					if f.Fix != "" {
						row(w, "", "", "", "→ "+f.Fix)
					}
				}
			})
			if err == nil && d.worst() == verdictFail {
				err = errUnhealthy
			}
			return err
		},
	}
}

func debugCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "debug", Short: "Help those who look for a fault"}
	var file string
	dump := &cobra.Command{
		Use: "dump", Short: "Write a support bundle: status, members, metrics, settings and findings of every node, without secrets", Args: cobra.NoArgs,
		Long: `Write a support bundle (tar.gz) with the state of every node given by --url: health, readiness, cluster, metrics, effective settings
(with an admin key), the leader's judgement, and what doctor finds. Secrets are masked; claims are not in it, but addresses and node
names are.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				file = "stemedb-debug-" + time.Now().UTC().Format("20060102T150405Z") + ".tar.gz"
			}
			if err := a.dump(cmd.Context(), file); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), file)
			return err
		},
	}
	dump.Flags().StringVar(&file, "file", "", "name of the bundle (default: stemedb-debug-TIME.tar.gz); never overwritten")
	cmd.AddCommand(dump)
	return cmd
}

// dump writes the bundle. What could not be had is in it as the error.
func (a *app) dump(ctx context.Context, file string) (err error) {
	seen, d, err := a.examine(ctx)
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	defer c.Close()
	out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	packed := gzip.NewWriter(out)
	b := &bundle{tar: tar.NewWriter(packed), secret: a.apiKey, at: time.Now()}
	b.json("stemectl.json", map[string]any{"version": version.Number(), "commit": version.Commit(), "go": version.Go(), "time": b.at.UTC(), "urls": c.Endpoints()})
	b.json("doctor.json", d)
	judged, autopilotErr := c.Autopilot(ctx)
	b.answer("autopilot.json", judged, autopilotErr)
	for i, s := range seen {
		dir := fmt.Sprintf("node-%d", i+1)
		if s.Health != nil {
			dir = s.Health.Node
		}
		b.json(path.Join(dir, "status.json"), s)
		b.file(path.Join(dir, "metrics.txt"), s.raw)
		settings, settingsErr := c.Settings(ctx, i)
		b.answer(path.Join(dir, "settings.json"), settings, settingsErr)
	}
	return errors.Join(b.err, b.tar.Close(), packed.Close(), out.Close())
}

// bundle writes files into an archive; the first error stays.
type bundle struct {
	tar    *tar.Writer
	secret string // replaced wherever it occurs
	at     time.Time
	err    error
}

func (b *bundle) answer(name string, value any, err error) {
	if err != nil {
		value = map[string]string{"error": err.Error()}
	}
	b.json(name, value)
}

func (b *bundle) json(name string, value any) {
	raw, err := json.MarshalIndent(value, "", "  ")
	b.err = errors.Join(b.err, err)
	b.file(name, raw)
}

func (b *bundle) file(name string, content []byte) {
	if b.secret != "" {
		content = bytes.ReplaceAll(content, []byte(b.secret), []byte("********"))
	}
	name = strings.TrimLeft(path.Clean("/"+name), "/")
	err := b.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), ModTime: b.at})
	if err == nil {
		_, err = b.tar.Write(content)
	}
	b.err = errors.Join(b.err, err)
}
