// Package yamldoc decodes YAML into structs and keeps the position of each value.
// [Parse] reads the text of a file, [File.Decode] fills a struct and finds all faults
// of the structure in one go, and [File.Inside] finds a position inside of a text. The
// package knows no document: its structs say with tags and methods what is allowed.
//
// Anchors, aliases and merge keys are faults: [Schema.Instead] says what to write.
//
// A struct of a map embeds [Object], whose tag ignored:"x-" says that fields whose names begin
// so are not looked at. Where a scalar may be written in place of the map, the
// struct has a field for it whose tag is `yaml:",scalar"`: a boolean, or a text of an enum.
// The other fields are of the types [Text], [Texts], [Duration], [Size], [Integer], [Number],
// [Boolean] and [Map], pointers to structs, and slices of structs. The tags of a field:
//
//	yaml       the name, then options: "required"; "null" (may be written without a
//	           value; of a Map, each of its values); "label" (this text names the struct in faults); "strict" (text
//	           that a reader of YAML 1.1 takes for something else has to be quoted);
//	           "constant" (the form of a text with ${ in it is not checked);
//	           "none" (a list that is left out means none, not all);
//	           "empty" (a list of texts may have none)
//	form       the name of the [Form] of a text
//	keys       the name of the Form of the names of a Map
//	values     the name of the Form of the names in the Maps that are its values
//	enum       the texts that are allowed, separated by |
//	min, max   bounds of a number, a size, a duration, or of the length of a list; above
//	           is an open bound
//	default    what absence means, as JSON; for a schema
//
// The struct of a map may have two methods. Misnamed gives a hint for a field that it
// does not have: the name of the field that is meant, or a sentence. Shape says what
// has to be written instead of a value that is not a map, and why.
package yamldoc
