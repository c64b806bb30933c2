// Package dashboards reads the Grafana dashboards in docs/grafana for the tests
// that keep them, and the alert rules, true: what they ask for exists on a real
// node, and Prometheus has an answer to every query.
package dashboards
