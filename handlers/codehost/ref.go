package codehost

import "strings"

const (
	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"
)

// isZeroID reports whether an id is all zeros, which stands for no object.
func isZeroID(id string) bool {
	return IsObjectID(id) && strings.Trim(id, "0") == ""
}

// IsObjectID reports whether a string is a whole id of SHA-1 or of SHA-256.
func IsObjectID(id string) bool {
	return (len(id) == 40 || len(id) == 64) && strings.Trim(id, "0123456789abcdefABCDEF") == ""
}
