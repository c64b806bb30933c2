package localcluster

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"time"
)

// TemporaryCluster is a cluster of the checkout's own server, on ports and in a
// folder that are given back when it is closed.
type TemporaryCluster struct {
	*Cluster
	dir    string
	blocks []*Block
}

// Temporary builds the server, starts nodes with the given settings besides the
// defaults, and waits until they are ready. Their errors go to standard error.
func Temporary(ctx context.Context, nodes int, settings map[string]string) (*TemporaryCluster, error) {
	binary, err := Build(ctx, "cmd/stemedb")
	if err != nil {
		return nil, err
	}
	return TemporaryOf(ctx, binary, "", nodes, settings)
}

// TemporaryOf is Temporary with a server that is built already, and the folder
// that the nodes' data goes into a new folder of; empty means that for temporary
// files.
func TemporaryOf(ctx context.Context, binary, dir string, nodes int, settings map[string]string) (*TemporaryCluster, error) {
	t := &TemporaryCluster{}
	var err error
	if t.dir, err = os.MkdirTemp(dir, "stemedb-cluster-"); err != nil {
		return nil, err
	}
	if t.blocks, err = ReserveBlocks(nodes); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	options := Options{
		Binary: binary, Dir: t.dir, Env: CleanEnv(), Settings: map[string]string{"log-level": "error"},
		Output: func(*Node) io.WriteCloser { return standardError{} },
	}
	for name, value := range settings {
		options.Settings[name] = value
	}
	for _, b := range t.blocks {
		options.Ports = append(options.Ports, b.Port)
	}
	if t.Cluster, err = New(options); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := errors.Join(t.Start(), t.WaitReady(ready)); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Dir is the folder of the nodes' data.
func (t *TemporaryCluster) Dir() string { return t.dir }

// Settings are those of the nodes that were asked for, besides addresses and the
// like.
func (t *TemporaryCluster) Settings() map[string]string { return maps.Clone(t.options.Settings) }

// Close ends the nodes at once and removes what they left.
func (t *TemporaryCluster) Close() error {
	var errs []error
	if t.Cluster != nil {
		errs = append(errs, t.Kill(), t.Cluster.Close())
	}
	for _, b := range t.blocks {
		errs = append(errs, b.Release())
	}
	return errors.Join(append(errs, os.RemoveAll(t.dir))...)
}

// standardError cannot be closed by a node that ends.
type standardError struct{}

func (standardError) Write(p []byte) (int, error) { return os.Stderr.Write(p) }
func (standardError) Close() error                { return nil }
