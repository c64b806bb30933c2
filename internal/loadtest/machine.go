package loadtest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"

	"github.com/stemedb/stemedb/internal/version"
)

// Machine is where the client ran. What the operating system does not tell is
// empty.
type Machine struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPUs   int    `json:"cpus"`
	Model  string `json:"model,omitempty"`
	Memory uint64 `json:"memory_bytes,omitempty"`
	Kernel string `json:"kernel,omitempty"`
}

// ThisMachine reads /proc where there is one.
func ThisMachine() Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU()}
	if raw, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(raw))
	}
	m.Model = procField("/proc/cpuinfo", "model name")
	if kib, err := strconv.ParseUint(strings.TrimSuffix(procField("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		m.Memory = kib << 10
	}
	return m
}

// String is one line for people.
func (m Machine) String() string {
	text := fmt.Sprintf("%s/%s, %d CPUs", m.OS, m.Arch, m.CPUs)
	if m.Model != "" {
		text += " (" + m.Model + ")"
	}
	if m.Memory > 0 {
		text += fmt.Sprintf(", %.1f GiB", gigabytes(m.Memory))
	}
	if m.Kernel != "" {
		text += ", kernel " + m.Kernel
	}
	return text
}

// fileSystem is the type of the file system of a folder, as Linux calls it.
func fileSystem(dir string) string {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return ""
	}
	mounts, err := procfs.GetMounts()
	if err != nil {
		return ""
	}
	kind, longest := "", 0
	for _, m := range mounts {
		// Of several that hold the folder the deepest counts, of those at one place
		// the last.
		if inside, err := filepath.Rel(m.MountPoint, dir); err == nil && filepath.IsLocal(inside) && len(m.MountPoint) >= longest {
			kind, longest = m.FSType, len(m.MountPoint)
		}
	}
	return kind
}

// procField is the first value of a name in a file of lines `name: value`.
func procField(file, name string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func thisProgram() Program {
	return Program{Version: version.Number(), Commit: version.Commit(), Go: version.Go()}
}
