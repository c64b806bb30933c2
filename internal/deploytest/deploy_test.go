package deploytest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/stemedb/stemedb/internal/settings"
)

const root = "../.."

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// serviceMonitor is as much of the Prometheus operator's type as the manifest
// may use.
type serviceMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		JobLabel  string               `json:"jobLabel"`
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port          string `json:"port"`
			Path          string `json:"path"`
			Interval      string `json:"interval"`
			ScrapeTimeout string `json:"scrapeTimeout"`
		} `json:"endpoints"`
	} `json:"spec"`
}

type manifests struct {
	services []*corev1.Service
	set      *appsv1.StatefulSet
	budget   *policyv1.PodDisruptionBudget
	policy   *networkingv1.NetworkPolicy
	monitor  *serviceMonitor
}

// strictly decodes one document; a field that the type does not have fails.
func strictly[T any](t *testing.T, raw []byte) *T {
	t.Helper()
	var out T
	if err := yaml.UnmarshalStrict(raw, &out); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	return &out
}

func decode(t *testing.T) manifests {
	t.Helper()
	var m manifests
	documents := kyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(read(t, "deploy/kubernetes/stemedb.yaml"))))
	for {
		raw, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return m
		}
		if err != nil {
			t.Fatal(err)
		}
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(raw, &kind); err != nil {
			t.Fatal(err)
		}
		switch kind.APIVersion + " " + kind.Kind {
		case "v1 Service":
			m.services = append(m.services, strictly[corev1.Service](t, raw))
		case "apps/v1 StatefulSet":
			m.set = strictly[appsv1.StatefulSet](t, raw)
		case "policy/v1 PodDisruptionBudget":
			m.budget = strictly[policyv1.PodDisruptionBudget](t, raw)
		case "networking.k8s.io/v1 NetworkPolicy":
			m.policy = strictly[networkingv1.NetworkPolicy](t, raw)
		case "monitoring.coreos.com/v1 ServiceMonitor":
			m.monitor = strictly[serviceMonitor](t, raw)
		default:
			t.Errorf("unexpected %s %s", kind.APIVersion, kind.Kind)
		}
	}
}

func TestKubernetes(t *testing.T) {
	m := decode(t)
	if len(m.services) != 2 || m.set == nil || m.budget == nil || m.policy == nil || m.monitor == nil {
		t.Fatalf("something is missing: %+v", m)
	}
	pod := m.set.Spec.Template
	for what, selector := range map[string]map[string]string{
		"service":        m.services[0].Spec.Selector,
		"api service":    m.services[1].Spec.Selector,
		"stateful set":   m.set.Spec.Selector.MatchLabels,
		"budget":         m.budget.Spec.Selector.MatchLabels,
		"network policy": m.policy.Spec.PodSelector.MatchLabels,
	} {
		if !contains(pod.Labels, selector) {
			t.Errorf("the %s selects %v, pods have %v", what, selector, pod.Labels)
		}
	}
	headless := m.services[0]
	if headless.Name != m.set.Spec.ServiceName || headless.Spec.ClusterIP != corev1.ClusterIPNone || !headless.Spec.PublishNotReadyAddresses {
		t.Error("the set needs a headless service that publishes addresses that are not ready")
	}
	if !contains(headless.Labels, m.monitor.Spec.Selector.MatchLabels) || contains(m.services[1].Labels, m.monitor.Spec.Selector.MatchLabels) {
		t.Error("the monitor must select the headless service alone")
	}
	if headless.Labels[m.monitor.Spec.JobLabel] != "stemedb" {
		t.Error("the job is not named stemedb, as the rules want")
	}
	c := pod.Spec.Containers[0]
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	for _, s := range m.services {
		for _, p := range s.Spec.Ports {
			if ports[p.TargetPort.StrVal] != p.Port {
				t.Errorf("service %s: port %s is %d, the container's is %d", s.Name, p.Name, p.Port, ports[p.TargetPort.StrVal])
			}
		}
	}
	for name, probe := range map[string]*corev1.Probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet.Path != name || ports[probe.HTTPGet.Port.StrVal] != 18180 {
			t.Errorf("probe of %s: %+v", name, probe)
		}
	}
	if c.StartupProbe == nil {
		t.Error("no startup probe")
	}
	if s := c.SecurityContext; !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !*pod.Spec.SecurityContext.RunAsNonRoot {
		t.Error("the pod is not confined")
	}
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	checkSettings(t, "deploy/kubernetes/stemedb.yaml", env)
	if got, want := strings.Count(env["STEMEDB_JOIN"], ",")+1, int(*m.set.Spec.Replicas); got != want || env["STEMEDB_BOOTSTRAP_EXPECT"] != "3" || want != 3 {
		t.Errorf("%d names to join, %d replicas", got, want)
	}
}

// The pods of the backup jobs are confined, reach the nodes, and run commands that
// are there.
func TestKubernetesBackups(t *testing.T) {
	var jobs []*batchv1.CronJob
	var claim *corev1.PersistentVolumeClaim
	documents := kyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(read(t, "deploy/kubernetes/backup.yaml"))))
	for {
		raw, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if claim == nil {
			claim = strictly[corev1.PersistentVolumeClaim](t, raw)
			continue
		}
		jobs = append(jobs, strictly[batchv1.CronJob](t, raw))
	}
	if len(jobs) != 2 {
		t.Fatalf("%d jobs, want one for full backups and one for the log", len(jobs))
	}
	m := decode(t)
	for _, job := range jobs {
		pod := job.Spec.JobTemplate.Spec.Template
		if !contains(pod.Labels, m.policy.Spec.Ingress[1].From[0].PodSelector.MatchLabels) {
			t.Errorf("%s: the network policy does not let pods with %v in", job.Name, pod.Labels)
		}
		if !*pod.Spec.SecurityContext.RunAsNonRoot || pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != claim.Name {
			t.Errorf("%s: the pod is not confined, or has another volume", job.Name)
		}
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			if !*c.SecurityContext.ReadOnlyRootFilesystem || c.Image != m.set.Spec.Template.Spec.Containers[0].Image {
				t.Errorf("%s: the container %s is not confined, or of another image", job.Name, c.Name)
			}
			if c.Command[0] != "/stemectl" || c.Command[1] != "backup" || !slices.Contains(c.Command, c.VolumeMounts[0].MountPath) {
				t.Errorf("%s: the container %s runs %v", job.Name, c.Name, c.Command)
			}
		}
	}
}

func contains(labels, selector map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// checkSettings reports settings that do not exist, and those that a deployment
// must have.
func checkSettings(t *testing.T, where string, env map[string]string) {
	t.Helper()
	var known []string
	for _, s := range settings.All() {
		known = append(known, s.Env())
	}
	for name := range env {
		if !slices.Contains(known, name) {
			t.Errorf("%s sets %s, which is no setting", where, name)
		}
	}
	for _, name := range []string{"STEMEDB_DATA_DIR", "STEMEDB_TLS_CA", "STEMEDB_TLS_CERT", "STEMEDB_TLS_KEY", "STEMEDB_GOSSIP_KEY_FILE", "STEMEDB_ROOT_API_KEY_FILE"} {
		if env[name] == "" {
			t.Errorf("%s does not set %s", where, name)
		}
	}
	if env["STEMEDB_AUTH_ENABLED"] != "true" || env["STEMEDB_ALLOW_INSECURE"] != "" {
		t.Errorf("%s: authentication is off, or the network is trusted", where)
	}
}

func TestSystemd(t *testing.T) {
	for _, kind := range []string{"stemedb-backup", "stemedb-backup-log"} {
		if unit := string(read(t, "deploy/systemd/"+kind+".service")); !strings.Contains(unit, "\nExecStart=/usr/local/bin/stemectl backup create ") ||
			!strings.Contains(unit, "\nReadWritePaths=/var/backups/stemedb\n") || !strings.Contains(string(read(t, "deploy/systemd/"+kind+".timer")), "\nOnCalendar=") {
			t.Errorf("%s: no backup is taken", kind)
		}
	}
	unit := string(read(t, "deploy/systemd/stemedb.service"))
	for _, line := range []string{"NoNewPrivileges=yes", "ProtectSystem=strict", "User=stemedb", "CapabilityBoundingSet=", "KillSignal=SIGTERM", "Restart=on-failure", "RestartPreventExitStatus=78 79", "StartLimitIntervalSec=0"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit has no line %s", line)
		}
	}
	env := map[string]string{}
	for line := range strings.Lines(string(read(t, "deploy/systemd/settings.env"))) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			env[name] = value
		}
	}
	checkSettings(t, "deploy/systemd/settings.env", env)
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	// The program that the unit starts need not be installed here.
	dir := t.TempDir()
	path := filepath.Join(dir, "stemedb.service")
	programs := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/\S+`)
	files := []string{path}
	if err := os.WriteFile(path, programs.ReplaceAll([]byte(unit), []byte("ExecStart=/bin/true")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stemedb-backup.service", "stemedb-backup.timer", "stemedb-backup-log.service", "stemedb-backup-log.timer"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, programs.ReplaceAll(read(t, "deploy/systemd/"+name), []byte("ExecStart=/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	out, err := exec.CommandContext(t.Context(), analyze, append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte(dir)) {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}

// .env.example lists every variable of docker-compose.yml with its default.
func TestComposeVariables(t *testing.T) {
	example := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z_0-9]+)=(.*)$`).FindAllStringSubmatch(string(read(t, ".env.example")), -1) {
		example[m[1]] = m[2]
	}
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`\$\{([A-Z_0-9]+):-([^}]*)\}`).FindAllStringSubmatch(string(read(t, "docker-compose.yml")), -1) {
		used[m[1]] = true
		if example[m[1]] != m[2] {
			t.Errorf("%s is %q in docker-compose.yml, %q in .env.example", m[1], m[2], example[m[1]])
		}
	}
	for name := range example {
		if !used[name] {
			t.Errorf(".env.example names %s, which docker-compose.yml does not use", name)
		}
	}
}
