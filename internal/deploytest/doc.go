// Package deploytest holds the tests of what deploy/ ships: Kubernetes reads the
// manifests, and they, the systemd unit and the compose file name settings that
// exist and agree with each other. It has no code of its own.
package deploytest
