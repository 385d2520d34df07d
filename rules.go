// Package buildbridge makes the sample and the schema beside it part of the program. It is at
// the top of the module because go:embed cannot read files above its own folder.
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

// TestSchema is the JSON schema of files of tests, rules.test.schema.json. It is made by a test
// of package mapping/rulestest.
//
//go:embed rules.test.schema.json
var TestSchema []byte
