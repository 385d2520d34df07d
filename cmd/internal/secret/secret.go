// Package secret resolves the references to secrets that rules hold.
package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"buildbridge/mapping"
)

// maxFile bounds what is read of a file: a secret is short, and a mistyped path
// may be a disk.
const maxFile = 64 << 10

// Resolve reads a secret as it is now: an environment variable, or a file
// without one trailing newline. A secret that is missing or empty is an error
// that names where it should be, never what it is. It is safe for concurrent
// use.
func Resolve(ref mapping.SecretRef) (mapping.Secret, error) {
	value, _, err := Read(ref)
	return value, err
}

// Read is [Resolve], and says what of the secret was hardly meant to be a part of
// it, where that is, and what to do: "" for nothing.
func Read(ref mapping.SecretRef) (value mapping.Secret, doubt string, err error) {
	text, place, end := "", "", "ends in white space"
	switch {
	case ref.Env != "":
		place = "environment variable " + ref.Env
		given, ok := os.LookupEnv(ref.Env)
		if !ok {
			return "", "", fmt.Errorf("%s is not set", place)
		}
		if given == "" {
			return "", "", fmt.Errorf("%s is empty", place)
		}
		text = given
	case ref.File != "":
		place, end = "secret file "+ref.File, "ends in more white space than one line break"
		if text, err = fromFile(ref.File); err != nil {
			return "", "", err
		}
	default:
		return "", "", errors.New("neither an environment variable nor a file is named")
	}
	if what := around(text, end); what != "" {
		doubt = fmt.Sprintf("%s %s, which may be taken for a part of the secret: write it without, as printf %%s does", place, what)
	}
	return mapping.Secret(text), doubt, nil
}

// around says what is around a secret; end is for white space behind it.
func around(text, end string) string {
	switch {
	case slices.ContainsFunc([]string{"\ufeff", "\xff\xfe", "\xfe\xff"}, func(mark string) bool { return strings.HasPrefix(text, mark) }):
		return "begins with a byte order mark"
	case strings.TrimRightFunc(text, unicode.IsSpace) != text:
		return end
	case strings.TrimLeftFunc(text, unicode.IsSpace) != text:
		return "begins with white space"
	}
	return ""
}

func fromFile(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the path is the user's own setting
	if err != nil {
		return "", fmt.Errorf("secret file: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", fmt.Errorf("secret file: %w", err)
	}
	if len(content) > maxFile {
		return "", fmt.Errorf("secret file %s: larger than %d bytes", path, maxFile)
	}
	value := string(content)
	if cut, ok := strings.CutSuffix(value, "\n"); ok {
		value = strings.TrimSuffix(cut, "\r")
	}
	if value == "" {
		return "", fmt.Errorf("secret file %s: empty", path)
	}
	return value, nil
}
