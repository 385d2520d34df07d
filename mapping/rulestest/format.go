package rulestest

import (
	"buildbridge/mapping"
	"buildbridge/mapping/internal/yamldoc"
)

// Format gives the text of a file of tests in the one form that all have, as [mapping.Format]
// does for rules. The error is that of [Parse], or says that the file cannot be rewritten.
func Format(name string, data []byte) ([]byte, error) {
	if _, err := Parse(name, data); err != nil {
		return nil, err
	}
	text, fault := yamldoc.Format(name, data, yamldoc.NewSchema(forms), new(document))
	if fault != nil {
		return nil, mapping.Faults{{File: name, Line: int(fault.At.Line), Column: int(fault.At.Column), Message: fault.Message}}
	}
	return text, nil
}
