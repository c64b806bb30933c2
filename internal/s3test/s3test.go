// Package s3test runs a real S3-compatible server, versitygw, for tests. It keeps
// objects as files in a folder, where tests can look at them and damage them.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// version is that of the server, which is built once by the go command and kept.
const version = "v1.8.0"

// startTime bounds the start of the server.
const startTime = time.Minute

// Bucket is the only bucket of a server.
const Bucket = "backups"

// Server is one server. It ends with its test.
type Server struct {
	// Endpoint is its base URL.
	Endpoint string
	// Dir is the folder that holds the objects of Bucket, each a file named by its
	// key.
	Dir string

	mu   sync.Mutex
	hold *hold
}

// hold stops requests.
type hold struct {
	match   func(method, key string) bool
	reached chan struct{}
	once    sync.Once
	dropped chan struct{}
}

// Start runs a server, and sets the variables of this process by which S3 clients
// find it.
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "s3test-") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Dir: filepath.Join(dir, "data", Bucket)}
	for _, d := range []string{s.Dir, filepath.Join(dir, "meta")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(dir, "s3")
	var output bytes.Buffer
	cmd := exec.Command(program, "--port", socket, "--quiet", "posix", "--sidecar", filepath.Join(dir, "meta"), filepath.Join(dir, "data"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=test", "ROOT_SECRET_KEY=test-secret")
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	proxy := httptest.NewServer(s.proxy(socket))
	s.Endpoint = proxy.URL
	t.Cleanup(func() {
		s.Drop()
		proxy.Close()
		err := cmd.Process.Kill()
		if !errors.Is(err, os.ErrProcessDone) {
			_ = <-ended // it was killed
		}
		if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
			t.Errorf("end the S3 server: %v\n%s", err, output.String())
		}
	})
	for deadline := time.Now().Add(startTime); ; {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close() // it was only to be opened
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the S3 server has ended: %v\n%s", err, output.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the S3 server does not listen: %v", err)
		}
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.Endpoint, "AWS_ENDPOINT_URL_S3": "", "AWS_REGION": "us-east-1",
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_SESSION_TOKEN": "",
	} {
		t.Setenv(name, value)
	}
	return s
}

// proxy passes requests on to the server's socket, unless they are held.
func (s *Server) proxy(socket string) http.Handler {
	return &httputil.ReverseProxy{
		Transport: &http.Transport{
			DisableCompression: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			},
		},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: r.In.Host})
			r.Out.Host = r.In.Host // it is signed
			s.wait(r.In)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}

// wait holds a request if it is to be held; none that was held goes on.
func (s *Server) wait(r *http.Request) {
	s.mu.Lock()
	h := s.hold
	s.mu.Unlock()
	if h == nil || !h.match(r.Method, strings.TrimPrefix(r.URL.Path, "/"+Bucket+"/")) {
		return
	}
	h.once.Do(func() { close(h.reached) })
	select {
	case <-h.dropped:
	case <-r.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

// Hold holds requests that match until Drop, before they reach the server. The
// channel is closed once one came.
func (s *Server) Hold(match func(method, key string) bool) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = &hold{match: match, reached: make(chan struct{}), dropped: make(chan struct{})}
	return s.hold.reached
}

// Drop cuts off what is held, so that it never reaches the server, and holds no
// more.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold != nil {
		close(s.hold.dropped)
		s.hold = nil
	}
}

// build makes the server's program, once for all tests of this clone.
func build(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	dir := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), ".cache", "versitygw-"+version)
	program := filepath.Join(dir, "versitygw")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("wait for another build of versitygw: %w", err)
	}
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	cmd := exec.CommandContext(ctx, "go", "install", "github.com/versity/versitygw/cmd/versitygw@"+version)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build versitygw: %w\n%s", err, output)
	}
	return program, nil
}
