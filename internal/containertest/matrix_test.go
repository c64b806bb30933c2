package containertest

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	v1 "github.com/stemedb/stemedb/api/v1"
)

// resumeWithin is how soon writes go on after any single fault: what the project
// promises, several times what is measured.
const resumeWithin = 5 * time.Second

// fault breaks a node and returns what mends it.
type fault struct {
	name  string
	cause func(s *stack, n *node, container string) (mend func())
	// lasting says that the node answers nothing that needs the others until it is
	// mended.
	lasting bool
}

// faults act on one node. The two one-way partitions leave HAProxy's way to the
// node open: it goes on answering, and must not lie.
var faults = []fault{
	{"kill", func(s *stack, _ *node, c string) func() {
		s.run("docker", "kill", c)
		return func() { s.run("docker", "start", c) }
	}, true},
	{"pause", func(s *stack, _ *node, c string) func() {
		s.run("docker", "pause", c)
		return func() { s.run("docker", "unpause", c) }
	}, true},
	{"restart", func(s *stack, _ *node, c string) func() {
		s.run("docker", "restart", "-t", "30", c)
		return func() {}
	}, false},
	{"disconnect", func(s *stack, n *node, c string) func() {
		network := s.inspect(c, "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}")
		address := s.address(n)
		s.run("docker", "network", "disconnect", network, c)
		return func() { s.run("docker", "network", "connect", "--ip", address, "--alias", n.name, network, c) }
	}, true},
	{"cannot hear", oneWay("INPUT", "-s"), true},
	{"cannot speak", oneWay("OUTPUT", "-d"), true},
}

// oneWay drops what comes from the other nodes, or what goes to them.
func oneWay(chain, side string) func(*stack, *node, string) func() {
	return func(s *stack, n *node, c string) func() {
		var peers []string
		for _, other := range s.others(n) {
			peers = append(peers, s.address(other))
		}
		all := strings.Join(peers, ",")
		s.filter(c, "-A", chain, side, all)
		return func() { s.filter(c, "-D", chain, side, all) }
	}
}

func TestEveryFaultOfEveryNode(t *testing.T) {
	s := open(t)
	for _, f := range faults {
		for i, n := range s.nodes {
			t.Run(f.name+" "+n.name, func(t *testing.T) {
				s.t = t
				// The first node leads when it breaks, the others follow.
				s.lead(s.nodes[(3-i)%3])
				l := s.start(strings.ReplaceAll(f.name, " ", "-") + "-" + n.name)
				defer l.stop()
				s.acknowledged(l, time.Time{}, 40)
				led := s.leader() == n
				l.h.restartGap()
				mend := f.cause(s, n, s.container(n))
				mended := false
				defer func() {
					if !mended {
						mend()
					}
				}()
				broken := time.Now()
				if led {
					s.succeeded(n)
				}
				s.acknowledged(l, broken, 60)
				if f.lasting {
					s.cutOff(l, n)
				}
				gap := l.h.gap()
				mend()
				mended = true
				s.acknowledged(l, time.Now(), 20)
				s.answering(l, n)
				l.stop()
				role := "a follower"
				if led {
					role = "the leader"
				}
				writes, reads := l.h.counts()
				t.Logf("%s %s, %s: writes paused for %d ms; %d writes, %d linearizable reads", f.name, n.name, role, gap.Milliseconds(), writes, reads)
				if gap > resumeWithin {
					t.Errorf("writes paused for %v, want at most %v", gap, resumeWithin)
				}
				s.settle()
				s.judge(l)
			})
		}
	}
}

// succeeded waits until another node leads.
func (s *stack) succeeded(n *node) {
	s.t.Helper()
	s.eventually(func() error {
		for _, other := range s.others(n) {
			if health, err := other.direct.Health(s.t.Context(), 0); err == nil && health.Role == "leader" {
				return nil
			}
		}
		return fmt.Errorf("nobody succeeds %s", n.name)
	})
}

// acknowledged waits for the acknowledgement of a number of writes that began
// after a moment.
func (s *stack) acknowledged(l *load, after time.Time, number int) {
	s.t.Helper()
	s.eventually(func() error {
		if got := l.h.since(after); got < number {
			return fmt.Errorf("%d of %d writes are acknowledged; failures: %v", got, number, errors.Join(l.h.failures()...))
		}
		return nil
	})
}

// cutOff waits until a node has answered no linearizable or bounded read for longer
// than the bound of staleness, while the others took writes.
func (s *stack) cutOff(l *load, n *node) {
	s.t.Helper()
	count := func() int { return l.h.answers(linearizable, n.name) + l.h.answers(bounded, n.name) }
	before, since := count(), time.Now()
	s.eventually(func() error {
		if now := count(); now != before {
			before, since = now, time.Now()
		}
		if time.Since(since) <= maxStale || l.h.since(since) == 0 {
			return fmt.Errorf("%s answers reads though it is cut off, or no writes are acknowledged", n.name)
		}
		return nil
	})
}

// lead makes a node the leader.
func (s *stack) lead(n *node) {
	s.t.Helper()
	s.eventually(func() error {
		if s.leader() == n {
			return nil
		}
		_, err := s.front.ChangeCluster(s.t.Context(), "transfer", v1.ClusterChange{Node: n.name})
		return fmt.Errorf("%s does not lead: %w", n.name, cmp.Or(err, errors.New("the transfer is under way")))
	})
}

// ready waits until a node is.
func (s *stack) ready(n *node) {
	s.t.Helper()
	s.eventually(func() error {
		ready, err := n.direct.Ready(s.t.Context(), 0)
		if err == nil && !ready.Ready {
			err = fmt.Errorf("%s is not ready", n.name)
		}
		return err
	})
}

// answering waits until a node answers reads of every kind.
func (s *stack) answering(l *load, n *node) {
	s.t.Helper()
	for _, kind := range []string{linearizable, bounded, local} {
		before := l.h.answers(kind, n.name)
		s.eventually(func() error {
			if l.h.answers(kind, n.name) == before {
				return fmt.Errorf("%s answers no %s read", n.name, kind)
			}
			return nil
		})
	}
}

// judge fails the test for anything that clients should not have seen.
func (s *stack) judge(l *load) {
	s.t.Helper()
	for _, err := range l.h.failures() {
		s.t.Error(err)
	}
	if err := l.lost(s.t.Context()); err != nil {
		s.t.Error(err)
	}
	if verdict := l.h.check(); verdict != porcupine.Ok {
		s.t.Errorf("porcupine finds the history %s, want %s", verdict, porcupine.Ok)
	}
}

// oneAfterTheOther changes every node under load: the leader last, so that it
// hands over once. No request may fail.
func (s *stack) oneAfterTheOther(l *load, change func(n *node)) {
	s.t.Helper()
	leader := s.leader()
	for _, n := range append(s.others(leader), leader) {
		before := time.Now()
		change(n)
		s.ready(n)
		s.acknowledged(l, before, 60)
		s.answering(l, n)
	}
}

func TestARollingRestartFailsNoRequest(t *testing.T) {
	s := open(t)
	l := s.start("restart")
	defer l.stop()
	s.acknowledged(l, time.Time{}, 40)
	l.h.restartGap()
	s.oneAfterTheOther(l, func(n *node) { s.run("docker", "restart", "-t", "30", s.container(n)) })
	t.Logf("longest pause of writes: %d ms", l.h.gap().Milliseconds())
	l.stop()
	s.settle()
	s.judge(l)
}

// formatIs waits until a node says which command format the cluster writes.
func (s *stack) formatIs(n *node, want float64) {
	s.t.Helper()
	s.eventually(func() error {
		got, err := s.metric(n, "stemedb_command_format")
		if err == nil && got != want {
			err = fmt.Errorf("%s writes command format %v, not %v", n.name, got, want)
		}
		return err
	})
}

func TestARollingUpgradeFailsNoRequest(t *testing.T) {
	s := open(t)
	old := s.image
	for _, n := range s.nodes {
		s.formatIs(n, 1)
	}
	l := s.start("upgrade")
	defer l.stop()
	s.acknowledged(l, time.Time{}, 40)
	l.h.restartGap()
	s.image = s.next
	upgraded := 0
	s.oneAfterTheOther(l, func(n *node) {
		s.become(n)
		switch upgraded++; upgraded {
		case 1:
			// A new version that leads old ones writes as they do, and may go back.
			s.ready(n)
			s.lead(n)
			s.acknowledged(l, time.Now(), 150)
			s.image = old
			s.become(n)
			s.ready(n)
			s.image = s.next
			s.become(n)
			fallthrough
		case 2:
			for _, other := range s.others(n) {
				s.formatIs(other, 1)
			}
		}
	})
	for _, n := range s.nodes {
		s.formatIs(n, 2)
	}
	s.acknowledged(l, time.Now(), 40) // in the new format
	t.Logf("longest pause of writes: %d ms", l.h.gap().Milliseconds())
	l.stop()
	s.settle()
	s.judge(l)

	// There is no way back, and the node that tries says why.
	s.image = old
	back := s.nodes[0]
	s.become(back)
	s.eventually(func() error {
		if log := s.run("docker", "logs", "--tail", "20", s.container(back)); !strings.Contains(log, "upgrade this node") {
			return fmt.Errorf("the log of the older version does not say what to do:\n%s", log)
		}
		return nil
	})
	s.image = s.next
	s.become(back)
	s.settle()
}

// TestWithoutTheReadIndexTheHistoryIsRefused shows that the checks above notice
// stale reads: a leader that no longer hears the others answers as if it still
// led. It comes last: the nodes keep its image.
func TestWithoutTheReadIndexTheHistoryIsRefused(t *testing.T) {
	s := open(t)
	s.image = s.unsafe
	for _, n := range s.nodes {
		s.become(n)
	}
	s.settle()
	deaf := s.leader()
	l := s.start("unsafe")
	defer l.stop()
	s.acknowledged(l, time.Time{}, 40)
	mend := oneWay("INPUT", "-s")(s, deaf, s.container(deaf))
	defer mend()
	s.succeeded(deaf)
	s.acknowledged(l, time.Now(), 40)
	s.eventually(func() error { // once what it lacks is older than the bound
		for _, err := range l.h.failures() {
			if errors.Is(err, errStale) {
				return nil
			}
		}
		return errors.New("no bounded read was stale")
	})
	l.stop()
	if verdict := l.h.check(); verdict != porcupine.Illegal {
		t.Errorf("porcupine finds the history of a build without the read index %s, want %s", verdict, porcupine.Illegal)
	}
}
