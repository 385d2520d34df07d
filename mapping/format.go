package mapping

import (
	"buildbridge/mapping/internal/yamldoc"
)

// Format gives the text of a rules file, or of a fence, in the one form that all have: the fields
// in the order of the schema, two spaces for each level. Comments, blank lines, quotes, and the
// order of rules, names and parameters stay. A file whose structure has faults is not formatted; what its
// expressions and names mean is not looked at. The faults are nil if there is none.
func Format(file File) ([]byte, Faults) {
	parsed := parseFile(file)
	if f := parsed.fault; f != nil {
		return nil, Faults{placed(file.Name, *f)}
	}
	schema := newSchema()
	newDocument := func() yamldoc.Document { return new(document) }
	if isFence(parsed.Fields()) {
		newDocument = func() yamldoc.Document { return new(fenceDocument) }
	}
	var faults Faults
	for _, f := range parsed.Decode(schema, newDocument()) {
		faults = append(faults, placed(file.Name, f))
	}
	if faults != nil {
		sortFaults(faults, []File{file})
		return nil, faults
	}
	text, fault := yamldoc.Format(file.Name, file.Data, schema, newDocument())
	if fault != nil {
		return nil, Faults{placed(file.Name, *fault)}
	}
	return text, nil
}

// isFence says whether a file is meant as a fence, by its fields and what their values are: a fence
// has lists of names where rules have definitions, and two fields that no rules file has.
func isFence(fields map[string]string) bool {
	lists := false
	for field, is := range fields {
		switch field {
		case "sources", "targets":
			lists = lists || is == "a list"
		case "repositories", "jobs":
			lists = true
		default:
			return false
		}
	}
	return lists
}

// placed is a fault of a file's structure with the file.
func placed(file string, f yamldoc.Fault) Fault {
	return Fault{File: file, Line: int(f.At.Line), Column: int(f.At.Column), Rule: f.Label, Field: f.Path, Message: f.Message}
}
