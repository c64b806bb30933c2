package loadtest

import (
	"os"
	"runtime"
	"testing"
)

// A folder has the same file system by whatever name it goes.
func TestTheFileSystemOfAFolder(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the mounts are read as Linux tells them")
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if absolute, relative := fileSystem(here), fileSystem("."); absolute == "" || relative != absolute {
		t.Errorf("%q by its path, %q as the working directory", absolute, relative)
	}
	if got := fileSystem("/proc"); got != "proc" {
		t.Errorf("/proc is on %q", got)
	}
	if got := fileSystem("not there"); got != "" {
		t.Errorf("a folder that is not there is on %q", got)
	}
}
