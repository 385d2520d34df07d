package rulesfile

import (
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// Load reads what the paths name and gives the rules and the warnings. Whatever
// is wrong, a file that cannot be read included, is a fault: the error is a
// [mapping.Faults].
func Load(paths []string) (*mapping.Ruleset, []mapping.Fault, error) {
	return mapping.Parse(codehost.Providers(), Read(paths)...)
}
