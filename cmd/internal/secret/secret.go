// Package secret reads the secrets that rules refer to.
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

// maxFile is how many bytes of a file are read: a secret is short, and a mistyped path may
// be a disk.
const maxFile = 64 << 10

// Resolve reads a secret: an environment variable, or a file without one trailing line
// break. A missing or empty secret is an error. An error names the variable or file, and
// never contains the secret. Resolve is safe for concurrent use.
func Resolve(ref mapping.SecretRef) (mapping.Secret, error) {
	value, _, err := Read(ref)
	return value, err
}

// Read is [Resolve] with a warning, doubt, about white space or a byte order mark around the
// secret, which was probably not meant to be part of it. doubt is "" if there is none.
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
	if blank := around(text, end); blank != "" {
		doubt = fmt.Sprintf("%s %s, which counts as part of the secret: write it without, as printf %%s does", place, blank)
	}
	return mapping.Secret(text), doubt, nil
}

// around describes white space or a byte order mark around a secret. end describes white
// space after it.
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
