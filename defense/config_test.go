package defense

import (
	"math"
	"strings"
	"testing"
)

func TestConfigIsValidated(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*Config)
		want  string
	}{
		{"defaults", func(*Config) {}, ""},
		{"no flood rule needs no bounds", func(c *Config) { c.Flood = FloodConfig{} }, ""},
		{"mode", func(c *Config) { c.Mode = 9 }, "mode 9"},
		{"quality", func(c *Config) { c.MinQuality = 1.1 }, "MinQuality is 1.1"},
		{"not a number", func(c *Config) { c.StrangerTrust = math.NaN() }, "StrangerTrust is NaN"},
		{"action", func(c *Config) { c.StrangerAction = 7 }, "StrangerAction 7"},
		{"similarity", func(c *Config) { c.Flood.Similarity = 0.5 }, "Flood.Similarity is 0.5"},
		{"copies", func(c *Config) { c.Flood.Copies = 1000 }, "Flood.Copies is 1000"},
		{"window", func(c *Config) { c.Flood.WindowSeconds = 0 }, "Flood.WindowSeconds is 0"},
		{"fewer texts than one agent's", func(c *Config) { c.Flood.Texts = 100 }, "Flood.Texts is 100"},
		{"expression", func(c *Config) { c.Patterns = []Pattern{{Name: "x", Expr: "(", Action: Flag}} }, "pattern \"x\""},
		{"no action", func(c *Config) { c.Patterns = []Pattern{{Name: "x", Expr: "a"}} }, "not flag or quarantine"},
		{"no name", func(c *Config) { c.Patterns = []Pattern{{Expr: "a", Action: Flag}} }, "name has 0 bytes"},
		{"cue in upper case", func(c *Config) { c.Patterns = []Pattern{{Name: "x", Expr: "a", Action: Flag, Cues: []string{"A"}}} }, "the cue \"A\""},
		{"within without cue", func(c *Config) { c.Patterns = []Pattern{{Name: "x", Expr: "a", Action: Flag, Within: 10}} }, "do not go together"},
		{"one name twice", func(c *Config) { c.Patterns = append(c.Patterns, c.Patterns[0]) }, "two patterns are named"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := DefaultConfig()
			c.spoil(&config)
			err := config.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if _, newErr := New(config); (newErr == nil) != (err == nil) {
				t.Errorf("New: %v, Validate: %v", newErr, err)
			}
		})
	}
}

func TestModeText(t *testing.T) {
	for _, s := range []string{"off", "flag", "quarantine"} {
		m, err := ParseMode(s)
		if err != nil || m.String() != s {
			t.Errorf("%q became %v, %v", s, m, err)
		}
	}
	if _, err := ParseMode("on"); err == nil || !strings.Contains(err.Error(), "use off, flag or quarantine") {
		t.Errorf("%v", err)
	}
	var a Action
	if err := a.UnmarshalText([]byte("quarantine")); err != nil || a != Quarantine {
		t.Errorf("%v, %v", a, err)
	}
	if err := a.UnmarshalText([]byte("drop")); err == nil {
		t.Error("an unknown action was read")
	}
}
