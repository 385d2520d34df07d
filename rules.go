// Package buildbridge makes rules.yaml, the sample, part of the program. It is at the top
// of the module because go:embed cannot read files above its own folder.
package buildbridge

import _ "embed" // for the directive below

// Rules is the text of rules.yaml. The demo uses it.
//
//go:embed rules.yaml
var Rules []byte
