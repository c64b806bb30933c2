package containertest

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/client"
)

// The stack, as scripts/test-docker.sh names it.
const (
	composeEnv = "STEMEDB_TEST_COMPOSE" // command that acts on the stack, separated by spaces
	frontEnv   = "STEMEDB_TEST_FRONT"   // URL of HAProxy
	caEnv      = "STEMEDB_TEST_CA"      // authority of its certificate
	nodesEnv   = "STEMEDB_TEST_NODES"   // URLs of node1, node2, node3, separated by spaces
	imagesEnv  = "STEMEDB_TEST_IMAGES"  // image of the next format, and that without the read index
)

// bound is how long anything is waited for before the test fails.
const bound = 90 * time.Second

// stack is the running cluster.
type stack struct {
	t       *testing.T
	compose []string
	nodes   []*node
	front   *client.Client // through HAProxy, repeats what may be repeated
	key     ed25519.PrivateKey
	image   string // of the nodes; next and unsafe are the others
	next    string
	unsafe  string
}

// node is one of its nodes.
type node struct {
	name   string
	url    string
	direct *client.Client // to this node, tries once
}

// open connects to the stack of the environment, or skips the test.
func open(t *testing.T) *stack {
	t.Helper()
	compose := strings.Fields(os.Getenv(composeEnv))
	if len(compose) == 0 {
		t.Skip("needs the stack of docker-compose.yml with images made here: run `make test-docker`")
	}
	roots, err := client.ReadRootCAs(os.Getenv(caEnv))
	if err != nil {
		t.Fatal(err)
	}
	key := client.WithAPIKey(os.Getenv("STEMEDB_API_KEY"))
	s := &stack{t: t, compose: compose, image: os.Getenv("STEMEDB_IMAGE")}
	if _, err := fmt.Sscan(os.Getenv(imagesEnv), &s.next, &s.unsafe); err != nil || s.image == "" {
		t.Fatalf("%s and STEMEDB_IMAGE name %q and %q: two images and one are wanted", imagesEnv, os.Getenv(imagesEnv), s.image)
	}
	if s.front, err = client.New([]string{os.Getenv(frontEnv)}, key, client.WithRootCAs(roots)); err != nil {
		t.Fatal(err)
	}
	if s.key, err = client.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	for i, url := range strings.Fields(os.Getenv(nodesEnv)) {
		direct, err := client.New([]string{url}, key, client.WithAttempts(1), client.WithHTTPClient(&http.Client{Timeout: 3 * time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		s.nodes = append(s.nodes, &node{name: fmt.Sprintf("node%d", i+1), url: url, direct: direct})
	}
	if len(s.nodes) != 3 {
		t.Fatalf("%s names %d nodes, 3 are wanted", nodesEnv, len(s.nodes))
	}
	s.settle()
	return s
}

// run executes a command and returns what it printed.
func (s *stack) run(name string, args ...string) string {
	s.t.Helper()
	out, err := s.try(name, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *stack) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "../.." // where the compose files lie
	cmd.Env = append(os.Environ(), "STEMEDB_IMAGE="+s.image)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func (s *stack) composed(args ...string) string {
	s.t.Helper()
	return s.run(s.compose[0], append(s.compose[1:], args...)...)
}

func (s *stack) container(n *node) string {
	s.t.Helper()
	return strings.Fields(s.composed("ps", "-q", n.name))[0]
}

// inspect reads one value of a container.
func (s *stack) inspect(container, format string) string {
	s.t.Helper()
	return s.run("docker", "inspect", "-f", format, container)
}

// become runs a node with the stack's image, on the volume that it has: compose
// stops and recreates its container.
func (s *stack) become(n *node) {
	s.t.Helper()
	s.composed("up", "-d", "--no-deps", n.name)
}

// filter adds (-A) or removes (-D) a rule of a container's own packet filter.
func (s *stack) filter(container, action, chain string, match ...string) {
	s.t.Helper()
	process := s.inspect(container, "{{.State.Pid}}")
	s.run("nsenter", append([]string{"-t", process, "-n", "iptables", "-w", action, chain}, append(match, "-j", "DROP")...)...)
}

func (s *stack) address(n *node) string {
	s.t.Helper()
	return s.inspect(s.container(n), "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
}

func (s *stack) others(n *node) (others []*node) {
	for _, other := range s.nodes {
		if other != n {
			others = append(others, other)
		}
	}
	return others
}

// eventually waits for a condition, which says what is missing.
func (s *stack) eventually(condition func() error) {
	s.t.Helper()
	deadline := time.Now().Add(bound)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not within %v: %v", bound, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// settle waits until every node is ready and all have applied the same log to the
// same digest.
func (s *stack) settle() {
	s.t.Helper()
	s.eventually(func() error {
		var first *v1.Cluster
		for _, n := range s.nodes {
			ready, err := n.direct.Ready(s.t.Context(), 0)
			if err != nil {
				return fmt.Errorf("%s: %w", n.name, err)
			}
			if !ready.Ready {
				return fmt.Errorf("%s is not ready: %+v", n.name, ready)
			}
			c, err := n.direct.Cluster(s.t.Context(), 0)
			if err != nil {
				return fmt.Errorf("%s: %w", n.name, err)
			}
			if first == nil {
				first = c
			}
			if c.Leader == "" || c.Leader != first.Leader || c.AppliedIndex != first.AppliedIndex || c.CommitIndex != c.AppliedIndex || !c.Converged {
				return fmt.Errorf("%s is not level with %s: %+v, %+v", n.name, first.Node, c, first)
			}
			if c.Digest != first.Digest || c.AssertionsCount != first.AssertionsCount {
				s.t.Fatalf("DIVERGED at index %d: %s holds %d claims with digest %s, %s %d with %s",
					c.AppliedIndex, n.name, c.AssertionsCount, c.Digest, first.Node, first.AssertionsCount, first.Digest)
			}
		}
		return nil
	})
}

// leader is the node that leads.
func (s *stack) leader() (leader *node) {
	s.t.Helper()
	s.eventually(func() error {
		for _, n := range s.nodes {
			if health, err := n.direct.Health(s.t.Context(), 0); err == nil && health.Role == "leader" {
				leader = n
				return nil
			}
		}
		return fmt.Errorf("no node leads")
	})
	return leader
}

// metric reads a gauge of a node.
func (s *stack) metric(n *node, name string) (value float64, err error) {
	page, err := n.direct.Document(s.t.Context(), 0, "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(page)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			_, err := fmt.Sscan(rest, &value)
			return value, err
		}
	}
	return 0, fmt.Errorf("%s has no metric %s", n.name, name)
}
