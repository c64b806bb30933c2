package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Whatever is in the settings file, it gives settings or an error, and neither
// shows the secrets of another source.
func FuzzFile(f *testing.F) {
	f.Add([]byte("data_dir: x\njoin: [a, \"b:1\"]\nbootstrap_expect: 3\n"))
	f.Add([]byte("a: &x [*x]"))
	f.Add([]byte("- a\n"))
	f.Add([]byte("gossip_key: 00\nroot_api_key: short\nallowed_origins: ['*', x]\n"))
	f.Add([]byte("{{{{{{"))
	path := filepath.Join(f.TempDir(), "stemedb.yaml")
	const secret = "5e4f3a2b1c0d5e4f3a2b1c0d5e4f3a2b"
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		AddFlags(flags)
		effective, err := Resolve(flags, []string{ConfigEnv + "=" + path, "STEMEDB_GOSSIP_KEY=" + secret, "STEMEDB_ROOT_API_KEY=" + secret + secret})
		if err == nil {
			for _, e := range effective {
				if strings.Contains(e.Display(), secret) {
					t.Errorf("%s shows a secret", e.Name)
				}
			}
			_, err = Build(effective)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("an error shows a secret: %v", err)
		}
	})
}

func FuzzKey(f *testing.F) {
	for _, form := range []string{"", "30313233343536373839616263646566", "MDEyMzQ1Njc4OWFiY2RlZg==", "MDEyMzQ1Njc4OWFiY2RlZg", "!"} {
		f.Add(form)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := parseKey(text)
		if err != nil && len(text) > 8 && strings.Contains(err.Error(), text) {
			t.Errorf("the error shows the key: %v", err)
		}
		if err == nil && len(key) > len(text) {
			t.Errorf("%q became %d bytes", text, len(key))
		}
	})
}
