// Package buildbridge holds the sample rules, so that the program can show
// itself without any file: embed cannot reach upwards from cmd.
package buildbridge

import _ "embed"

// SampleName is what faults call the sample.
const SampleName = "rules.yaml"

//go:embed rules.yaml
var sample string

// Sample is the annotated sample, rules.yaml.
func Sample() []byte { return []byte(sample) }
