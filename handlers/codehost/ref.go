package codehost

import (
	"errors"
	"fmt"
	"strings"

	"buildbridge/mapping"
)

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

// CheckRef says what is wrong with the full name of a branch or a tag. Git forbids such
// names (https://git-scm.com/docs/git-check-ref-format), so no host has them. A name that
// is not UTF-8 is refused too: what the host sends for it names another ref.
func CheckRef(ref string) error {
	switch {
	case len(ref) > mapping.MaxRef:
		return fmt.Errorf("has %d bytes, at most %d are taken", len(ref), mapping.MaxRef)
	case !isUTF8(ref):
		return errors.New("is not UTF-8")
	}
	forbidden := func(part string) error { return fmt.Errorf("is not a name that Git allows: it has %s", part) }
	for _, c := range ref {
		switch {
		case c < ' ', c == 0x7f:
			return forbidden("a control character")
		case strings.ContainsRune(` ~^:?*[\`, c):
			return forbidden(fmt.Sprintf("%q", c))
		}
	}
	for _, part := range []string{"..", "@{", "//"} {
		if strings.Contains(ref, part) {
			return forbidden(fmt.Sprintf("%q", part))
		}
	}
	for part := range strings.SplitSeq(ref, "/") {
		switch {
		case part == "":
			return forbidden(`a "/" at its end`)
		case strings.HasPrefix(part, "."):
			return forbidden(`a part that begins with "."`)
		case strings.HasSuffix(part, ".lock"):
			return forbidden(`a part that ends in ".lock"`)
		}
	}
	if strings.HasSuffix(ref, ".") {
		return forbidden(`a "." at its end`)
	}
	return nil
}
