// Package chart tests the Helm chart with the real tools: with the values of each file in
// charts/buildbridge/ci its manifests are valid for Kubernetes and safe, and the program
// accepts its rules. make chart installs the tools and runs the tests; make test skips them.
package chart
