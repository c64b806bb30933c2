package loadtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stemedb/stemedb/internal/localcluster"
)

// ErrMetered means that a constant rate was asked of a cluster that would refuse
// it.
var ErrMetered = errors.New("quotas are on, so agents would be refused after their 10,000 units an hour: run the nodes with STEMEDB_METER_ENABLED=false, or measure the refusals too with --metered")

// Run runs the scenarios one after the other. The report holds what was
// measured until an error.
func Run(ctx context.Context, o Options) (*Report, error) {
	r := &Report{Program: thisProgram(), Started: time.Now().UTC(), Machine: ThisMachine()}
	left, err := o.Check()
	if err != nil {
		return r, err
	}
	r.Notes = left
	p := &progress{to: o.Progress, every: o.ProgressEvery, terminal: o.Terminal}
	for _, note := range left {
		p.say("%s", note)
	}
	if len(o.URLs) == 0 {
		disk, err := checkDisk(&o)
		if err != nil {
			return r, err
		}
		p.say("%s", disk)
	}
	// The leader is killed in a cluster that nothing else is measured on.
	shared := slices.DeleteFunc(slices.Clone(o.Scenarios), func(s string) bool { return s == Failover })
	if len(shared) > 0 {
		err = r.runOn(ctx, &o, p, shared)
	}
	if err == nil && slices.Contains(o.Scenarios, Failover) {
		err = r.runOn(ctx, &o, p, []string{Failover})
	}
	return r, err
}

// runOn runs scenarios on one cluster: that of the options, or a new one.
func (r *Report) runOn(ctx context.Context, o *Options, p *progress, scenarios []string) (err error) {
	urls := o.URLs
	var own *localcluster.TemporaryCluster
	if len(urls) == 0 {
		if own, err = startOwn(ctx, o); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, own.Close()) }()
		urls = own.URLs()
	}
	n, err := openNodes(urls, o)
	if err != nil {
		return err
	}
	defer n.close()
	cluster, err := n.describe(ctx)
	if err != nil {
		return err
	}
	if cluster.Own = own != nil; cluster.Own {
		cluster.Settings, cluster.FileSystem = own.Settings(), fileSystem(own.Dir())
	}
	if r.Cluster.URLs == nil { // that of the first scenarios
		r.Cluster = cluster
	}
	p.say("nodes: %v, metering %s", urls, meterText(cluster.Metering))
	if cluster.Metering && !o.Metered && slices.Contains(scenarios, Sustained) {
		return ErrMetered
	}
	for _, name := range scenarios {
		s := &scenario{name: name, options: o, plan: o.plan(name), nodes: n, own: own, progress: p}
		result, err := s.run(ctx)
		if err != nil {
			return fmt.Errorf("scenario %s: %w", name, err)
		}
		r.Results = append(r.Results, result)
	}
	return nil
}

// meterText names the setting as operators know it.
func meterText(on bool) string {
	if on {
		return "on (STEMEDB_METER_ENABLED=true)"
	}
	return "off (STEMEDB_METER_ENABLED=false)"
}
