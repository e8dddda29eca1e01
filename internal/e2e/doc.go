// Package e2e tries the built binary out against the real Prometheus, the real
// Alertmanager and a webhook behind it. Its tests have the build tag e2e and
// are run by `make e2e`, after the rest, since they live in real time.
package e2e
