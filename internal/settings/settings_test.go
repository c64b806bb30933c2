package settings

import (
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite docs/settings.md")

func resolve(t *testing.T, args, env []string) ([]Effective, *Server, error) {
	t.Helper()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	effective, err := Resolve(flags, env)
	if err != nil {
		return nil, nil, err
	}
	s, err := Build(effective)
	return effective, s, err
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	file := writeFile(t, "stemedb.yaml", "data_dir: from-file\nnode_id: file\nlog_level: warn\njoin: [a, \"b:1\"]\nbootstrap_expect: 3\naccept_v1_signatures: true\n")
	for _, tc := range []struct {
		name      string
		args, env []string
	}{
		{"file named by the flag", []string{"--config", file, "--node-id", "flag"}, []string{"STEMEDB_NODE_ID=env", "STEMEDB_LOG_LEVEL=error", "STEMEDB_CONFIG=/nowhere", "PATH=x"}},
		{"file named by the environment", []string{"--node-id=flag"}, []string{"STEMEDB_CONFIG=" + file, "STEMEDB_NODE_ID=env", "STEMEDB_LOG_LEVEL=error"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			effective, s, err := resolve(t, tc.args, tc.env)
			if err != nil {
				t.Fatal(err)
			}
			if s.Node.DataDir != "from-file" || s.Node.NodeID != "flag" || s.LogLevel.Level() != slog.LevelError ||
				!slices.Equal(s.Node.Join, []string{"a", "b:1"}) || s.Node.BootstrapExpect != 3 || !s.AcceptV1 {
				t.Errorf("got %+v, level %v, v1 %v", s.Node, s.LogLevel, s.AcceptV1)
			}
			from := map[string]string{}
			for _, e := range effective {
				from[e.Name] = e.From
			}
			for name, want := range map[string]string{"node-id": FromFlag, "log-level": FromEnvironment, "data-dir": FromFile, "http-addr": FromDefault} {
				if from[name] != want {
					t.Errorf("%s comes from %s, want %s", name, from[name], want)
				}
			}
		})
	}
}

func TestEverySettingHasOneNameInThreeForms(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range All() {
		if seen[s.Name] {
			t.Errorf("%s is declared twice", s.Name)
		}
		seen[s.Name] = true
		if s.Help == "" || s.Kind == "" || s.set == nil {
			t.Errorf("%s is declared in part: %+v", s.Name, s)
		}
		if !strings.HasPrefix(s.Env(), "STEMEDB_") || strings.ContainsAny(s.Env()+s.Key(), "- ") {
			t.Errorf("%s: variable %s, key %s", s.Name, s.Env(), s.Key())
		}
	}
}

func TestTheDefaultsAreValid(t *testing.T) {
	_, s, err := resolve(t, []string{"--data-dir", "x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.HTTPAddr != "127.0.0.1:18180" || s.Node.ClusterAddr != "127.0.0.1:18182" || s.Node.GossipAddr != "127.0.0.1:18183" {
		t.Errorf("ports: %s %s %s", s.HTTPAddr, s.Node.ClusterAddr, s.Node.GossipAddr)
	}
	if s.RequestTimeout() <= s.Node.WriteTimeout || s.RequestTimeout() <= s.Node.ReadTimeout || s.RequestTimeout() >= time.Minute {
		t.Errorf("a request may take %v, a write %v", s.RequestTimeout(), s.Node.WriteTimeout)
	}
}

func TestBootstrapExpectFollowsJoin(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want int
	}{
		{nil, 1},
		{[]string{"--join=a"}, 0},
		{[]string{"--join=a", "--bootstrap-expect=3"}, 3},
		{[]string{"--bootstrap-expect=1"}, 1},
	} {
		_, s, err := resolve(t, append(tc.args, "--data-dir=x"), nil)
		if err != nil || s.Node.BootstrapExpect != tc.want {
			t.Errorf("%v: %v, %v, want %d", tc.args, s, err, tc.want)
		}
	}
}

func TestWrongValuesAreNamed(t *testing.T) {
	for _, tc := range []struct {
		args, env []string
		want      string
	}{
		{nil, nil, "data directory is not set"},
		{[]string{"--data-dir=x", "--log-format=xml"}, nil, `log-format is "xml" (from flag)`},
		{[]string{"--data-dir=x", "--allow-insecure=perhaps"}, nil, "allow-insecure"},
		{[]string{"--data-dir=x"}, []string{"STEMEDB_WRITE_TIMEOUT=soon"}, `write-timeout is "soon" (from environment)`},
		{[]string{"--data-dir=x", "--write-timeout=50s"}, nil, "at most 45s"},
		{[]string{"--data-dir=x", "--read-timeout=50s"}, nil, "at most 45s"},
		{[]string{"--data-dir=x", "--shutdown-timeout=0s"}, nil, "shutdown-timeout"},
		{[]string{"--data-dir=x", "--shutdown-delay=-1s"}, nil, "shutdown-delay"},
		{[]string{"--data-dir=x", "--shutdown-delay=61s"}, nil, "shutdown-delay"},
		{[]string{"--data-dir=x", "--http-addr=0.0.0.0:1"}, nil, "--allow-insecure"},
		{[]string{"--data-dir=x", "--http-addr=18180"}, nil, "http-addr"},
		{[]string{"--data-dir=x", "--cluster-addr=10.0.0.1:1"}, nil, "TLS is off"},
		{[]string{"--data-dir=x", "--gossip-addr=10.0.0.1:1"}, nil, "not encrypted"},
		{[]string{"--data-dir=x", "--tls-cert=a"}, nil, "three files"},
		{[]string{"--data-dir=x", "--tls-cert=a", "--tls-key=b", "--tls-ca=c"}, nil, "tls-cert, tls-key: "},
		{[]string{"--data-dir=x", "--http-tls-key=a"}, nil, "two files"},
		{[]string{"--data-dir=x", "--http-tls-cert=/nowhere", "--http-tls-key=/nowhere"}, nil, "http-tls-cert, http-tls-key: "},
		{[]string{"--data-dir=x", "--http-max-connections=0"}, nil, "at least 1"},
		{[]string{"--data-dir=x", "--allowed-origins=*,https://a.example"}, nil, "every origin"},
		{[]string{"--data-dir=x", "--allowed-origins=https://*.example.com"}, nil, "no origin"},
		{[]string{"--data-dir=x", "--gossip-key=AAAA"}, nil, "gossip key has"},
		{[]string{"--data-dir=x", "--gossip-key=!"}, nil, "neither hex nor base64"},
		{[]string{"--data-dir=x", "--gossip-key=AAAA", "--gossip-key-file=x"}, nil, "both set"},
		{[]string{"--data-dir=x", "--gossip-key-file=/nowhere"}, nil, "gossip-key-file"},
		{[]string{"--data-dir=x", "--config=/nowhere"}, nil, "/nowhere"},
		{[]string{"--data-dir=x", "--bootstrap-expect=0"}, nil, "never become part"},
	} {
		_, _, err := resolve(t, tc.args, tc.env)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v %v: got %v, want %q", tc.args, tc.env, err, tc.want)
		}
	}
}

func TestUnknownNamesAreErrorsThatNameTheNearest(t *testing.T) {
	for _, tc := range []struct{ variable, want string }{
		{"STEMEDB_HTTP_ADR=1", "STEMEDB_HTTP_ADR is no setting, did you mean STEMEDB_HTTP_ADDR"},
		{"STEMEDB_BOOTSTRAP=3", "did you mean STEMEDB_BOOTSTRAP_EXPECT"},
		{"STEMEDB_HTTP_PORT=18180", "STEMEDB_HTTP_PORT is no setting"},
		{"STEMEDB_AUTH=true", "did you mean STEMEDB_AUTH_ENABLED"},
	} {
		if _, _, err := resolve(t, []string{"--data-dir=x"}, []string{tc.variable}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.variable, err, tc.want)
		}
	}
	for content, want := range map[string]string{
		"\nhttp_adr: 1\n":         `line 2: "http_adr" is no setting, did you mean http_addr`,
		"zzzzzzzzzzzzzzzzzz: 1\n": "`stemedb config` lists all settings",
		"join: {a: b}\n":          "join: it must have a single value",
		"join: [[a]]\n":           "item 1",
		"node_id:\n":              "node_id: it must have a single value",
		"node_id: a\nnode_id: b":  "already defined",
		"- a\n":                   "settings file",
	} {
		file := writeFile(t, "x.yaml", content)
		if _, _, err := resolve(t, []string{"--config=" + file}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", content, err, want)
		}
	}
}

func TestForeignVariablesAreLeftAlone(t *testing.T) {
	foreign := []string{
		"STEMEDB_URL=u", "STEMEDB_API_KEY=k", "STEMEDB_KEYRING=d", "STEMEDB_JOIN=",
		"STEMEDB_SERVICE_HOST=10.0.0.1", "STEMEDB_SERVICE_PORT=18180", "STEMEDB_SERVICE_PORT_HTTP=18180", "STEMEDB_PORT=tcp://10.0.0.1:18180",
		"STEMEDB_PORT_18180_TCP=x", "STEMEDB_PORT_18180_TCP_ADDR=x", "STEMEDB_PORT_18183_UDP_PROTO=x", "STEMEDB_HEADLESS_SERVICE_HOST=x",
	}
	if _, s, err := resolve(t, []string{"--data-dir=x"}, foreign); err != nil || s.Node.BootstrapExpect != 1 {
		t.Errorf("got %v", err)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	const secret = "000102030405060708090a0b0c0d0e0f"
	effective, s, err := resolve(t, []string{"--data-dir=x", "--gossip-key=" + secret}, nil)
	if err != nil || len(s.Node.GossipKey) != 16 {
		t.Fatal(err)
	}
	for _, e := range effective {
		if strings.Contains(e.Display(), secret) {
			t.Errorf("%s shows the gossip key", e.Name)
		}
	}
	if _, _, err := resolve(t, []string{"--data-dir=x", "--gossip-key=zz" + secret + "zz!"}, nil); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("an error shows the gossip key: %v", err)
	}
}

func TestGossipKeyForms(t *testing.T) {
	want := "0123456789abcdef"
	for _, form := range []string{"30313233343536373839616263646566", "MDEyMzQ1Njc4OWFiY2RlZg==", "MDEyMzQ1Njc4OWFiY2RlZg"} {
		file := writeFile(t, "key", form+"\n")
		for _, arg := range []string{"--gossip-key=" + form, "--gossip-key-file=" + file} {
			if _, s, err := resolve(t, []string{"--data-dir=x", arg}, nil); err != nil || string(s.Node.GossipKey) != want {
				t.Errorf("%s: %v", arg, err)
			}
		}
	}
	if _, _, err := resolve(t, []string{"--data-dir=x", "--gossip-key-file=" + writeFile(t, "empty", " \n")}, nil); err == nil {
		t.Error("an empty key file leaves gossip unprotected without a word")
	}
}

func TestAllowedOrigins(t *testing.T) {
	for origin, ok := range map[string]bool{
		"*": true, "https://app.example.com": true, "http://localhost:3000": true, "http://[::1]:8080": true,
		"app.example.com": false, "https://app.example.com/": false, "https://App.example.com": false, "https://a.example/x": false,
		"null": false, "https://": false, "https://u@a.example": false, "ftp://a.example": false, "https://a.example?x": false, "%": false,
	} {
		_, s, err := resolve(t, []string{"--data-dir=x", "--allowed-origins=" + origin}, nil)
		if (err == nil) != ok || ok && !slices.Equal(s.AllowedOrigins, []string{origin}) {
			t.Errorf("%s: %v", origin, err)
		}
	}
	if _, s, err := resolve(t, []string{"--data-dir=x"}, nil); err != nil || len(s.AllowedOrigins) > 0 || s.HTTPTLS() != nil {
		t.Errorf("by default: %v, %v", s, err)
	}
}

func TestTrustedProxies(t *testing.T) {
	for value, want := range map[string]string{
		"": "[]", "10.0.0.7": "[10.0.0.7/32]", "10.0.0.7/24, fd00::1/8": "[10.0.0.0/24 fd00::/8]", "::1": "[::1/128]",
		"0.0.0.0/0": "", "10.0.0.1,::/0": "", "proxy": "", "10.0.0.0/33": "", "10.0.0.1:80": "", "fe80::1%eth0": "", "::ffff:10.0.0.0/104": "",
	} {
		_, s, err := resolve(t, []string{"--data-dir=x", "--trusted-proxies=" + value}, nil)
		if (err == nil) != (want != "") || err == nil && fmt.Sprint(s.TrustedProxies) != want {
			t.Errorf("%q: %v, want %q (%v)", value, s, want, err)
		}
		if err != nil && !strings.Contains(err.Error(), "trusted-proxies") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestHTTPAdvertise(t *testing.T) {
	for _, tc := range []struct{ listening, advertise, cluster, want string }{
		{"127.0.0.1:1", "", "127.0.0.1:2", "127.0.0.1:1"},
		{"127.0.0.1:1", "db1.example", "127.0.0.1:2", "127.0.0.1:1"}, // only reachable here, whatever the name
		{"[::]:1", "", "10.0.0.1:2", "10.0.0.1:1"},
		{"[::]:1", "db1.example", "10.0.0.1:2", "db1.example:1"},
		{"10.0.0.9:1", "", "10.0.0.1:2", "10.0.0.9:1"},
	} {
		s := &Server{}
		s.Node.AdvertiseHost, s.Node.ClusterAddr = tc.advertise, tc.cluster
		addr, err := net.ResolveTCPAddr("tcp", tc.listening)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.HTTPAdvertise(addr); got != tc.want {
			t.Errorf("%+v: got %s", tc, got)
		}
	}
}

func TestEditDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-c]{0,6}`)
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		ab := editDistance(a, b)
		if (ab == 0) != (a == b) || ab != editDistance(b, a) || ab > editDistance(a, c)+editDistance(c, b) || ab > max(len(a), len(b)) {
			t.Errorf("distance of %q and %q is %d", a, b, ab)
		}
	})
	if d := editDistance("kitten", "sitting"); d != 3 {
		t.Errorf("kitten, sitting: %d, want 3", d)
	}
}

func TestTheSettingsPageIsCurrent(t *testing.T) {
	const page = "../../docs/settings.md"
	if *update {
		if err := os.WriteFile(page, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != Markdown() {
		t.Errorf("docs/settings.md is not what the declarations say (%v): run go test ./internal/settings -update", err)
	}
}

func TestSettingsOfTraces(t *testing.T) {
	file := writeFile(t, "headers", "authorization=Bearer%20abc, x-team=a%2Cb\n")
	_, s, err := resolve(t, []string{"--data-dir", "x", "--otlp-endpoint", "https://collector:4318", "--otlp-headers-file", file, "--trace-ratio", "0.25"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.OTLPEndpoint != "https://collector:4318" || s.TraceRatio != 0.25 || len(s.OTLPHeaders) != 2 || s.OTLPHeaders["authorization"] != "Bearer abc" || s.OTLPHeaders["x-team"] != "a,b" {
		t.Errorf("got %q, %v, %v", s.OTLPEndpoint, s.TraceRatio, s.OTLPHeaders)
	}
	for _, wrong := range []string{
		"--otlp-endpoint=collector:4318", "--otlp-endpoint=https://user:pa55@collector", "--otlp-endpoint=http://collector?token=pa55",
		"--otlp-headers=pa55word", "--otlp-headers=a=pa55%zz", "--trace-ratio=1.5", "--trace-ratio=NaN", "--trace-ratio=-1",
	} {
		_, _, err := resolve(t, []string{"--data-dir", "x", wrong}, nil)
		if err == nil {
			t.Errorf("%s is taken", wrong)
		} else if strings.Contains(wrong, "headers") && strings.Contains(err.Error(), "pa55") {
			t.Errorf("%s: the error tells the secret: %v", wrong, err)
		}
	}
}
