package mapping

import (
	"buildbridge/mapping/internal/yamldoc"
)

// Format gives the text of a rules file in the one form that all have: the fields in the order
// of the schema, two spaces for each level. Comments, blank lines, quotes, and the order of
// rules, names and parameters stay. A file whose structure has faults is not formatted; what its
// expressions and names mean is not looked at. The faults are nil if there is none.
func Format(file File) ([]byte, Faults) {
	parsed := parseFile(file)
	if f := parsed.fault; f != nil {
		return nil, Faults{placed(file.Name, *f)}
	}
	schema := yamldoc.NewSchema(forms)
	var faults Faults
	for _, f := range parsed.Decode(schema, new(document)) {
		faults = append(faults, placed(file.Name, f))
	}
	if faults != nil {
		sortFaults(faults, []File{file})
		return nil, faults
	}
	text, fault := yamldoc.Format(file.Name, file.Data, schema, new(document))
	if fault != nil {
		return nil, Faults{placed(file.Name, *fault)}
	}
	return text, nil
}

// placed is a fault of a file's structure with the file.
func placed(file string, f yamldoc.Fault) Fault {
	return Fault{File: file, Line: int(f.At.Line), Column: int(f.At.Column), Rule: f.Label, Field: f.Path, Message: f.Message}
}
