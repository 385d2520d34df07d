package rulesfile

import "buildbridge/mapping"

// Load reads what the paths name and gives the rules and the warnings. Where the
// files can be read and what they say is wrong, the error is a
// [mapping.Faults].
func Load(paths []string) (*mapping.Ruleset, []mapping.Fault, error) {
	files, err := Read(paths)
	if err != nil {
		return nil, nil, err
	}
	return mapping.Parse(files...)
}
