// Package buildbridge makes files at the top of the module part of the program, because
// go:embed cannot read files above its own folder: the sample, and the schema beside it.
package buildbridge

import _ "embed" // for the directives below

// Rules is the text of rules.yaml. The demo uses it.
//
//go:embed rules.yaml
var Rules []byte

// Schema is the JSON schema of rules files, rules.schema.json. It is made by a test of
// package mapping from what that package decodes.
//
//go:embed rules.schema.json
var Schema []byte
