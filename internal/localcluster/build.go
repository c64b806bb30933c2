package localcluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Build builds a main package of this module, given by its path below the
// module's root, and returns the path of the program. The program has one place
// for each checkout and set of flags, so that repeated builds leave nothing
// behind; processes that run an older one are not disturbed.
func Build(ctx context.Context, mainPackage string, flags ...string) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	place := sha256.Sum256([]byte(root + "\x00" + strings.Join(flags, "\x00")))
	dir := filepath.Join(os.TempDir(), "stemedb-build-"+strconv.Itoa(os.Getuid())+"-"+hex.EncodeToString(place[:6]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("build %s: %w", mainPackage, err)
	}
	unlock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return "", fmt.Errorf("build %s: %w", mainPackage, err)
	}
	defer func() { _ = unlock() }()
	program := filepath.Join(dir, filepath.Base(mainPackage))
	args := append([]string{"build"}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", program+".new", "./"+mainPackage)...)
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", mainPackage, err, output)
	}
	if err := os.Rename(program+".new", program); err != nil {
		return "", fmt.Errorf("build %s: %w", mainPackage, err)
	}
	return program, nil
}

// moduleRoot is the folder of the go.mod that applies to the working directory.
func moduleRoot(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	file := string(bytes.TrimSpace(output))
	if err != nil || file == "" || file == os.DevNull {
		return "", errors.Join(errors.New("find the module: run this inside the checkout"), err)
	}
	return filepath.Dir(file), nil
}

func lockFile(path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file.Close, nil
}

// CleanEnv is the environment of this process without what would change the
// settings of a node.
func CleanEnv() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "STEMEDB_") {
			env = append(env, pair)
		}
	}
	return env
}
