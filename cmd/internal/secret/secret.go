// Package secret resolves the references to secrets that rules hold.
package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

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
	switch {
	case ref.Env != "":
		value, ok := os.LookupEnv(ref.Env)
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set", ref.Env)
		}
		if value == "" {
			return "", fmt.Errorf("environment variable %s is empty", ref.Env)
		}
		return mapping.Secret(value), nil
	case ref.File != "":
		return fromFile(ref.File)
	}
	return "", errors.New("neither an environment variable nor a file is named")
}

func fromFile(path string) (mapping.Secret, error) {
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
	return mapping.Secret(value), nil
}
