// Package chart checks the Helm chart with the real tools: what each file of
// charts/buildbridge/ci makes of it is valid for Kubernetes, safe, and accepted by
// the program. `make chart` runs it, and installs the tools; `go test ./...` alone
// skips it.
package chart
