// Package rulesfile reads the files and directories that `--rules` names, and
// tells when they change.
package rulesfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"buildbridge/mapping"
)

// maxFile bounds one file, in bytes: the limit of docs/rules.md.
const maxFile = 64 << 20

// Read reads every file that the paths name, in the order of the paths, those
// of a directory by name. All that cannot be read is reported at once, joined by
// [errors.Join], each a [fs.PathError] where it is about one file or directory.
func Read(paths []string) ([]mapping.File, error) {
	names, err := list(paths)
	if err != nil {
		return nil, err
	}
	var errs []error
	files := make([]mapping.File, 0, len(names))
	for _, name := range names {
		data, err := readFile(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files = append(files, mapping.File{Name: name, Data: data})
	}
	return files, errors.Join(errs...)
}

func unusable(path, format string, args ...any) error {
	return fmt.Errorf("rules: %w", &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf(format, args...)})
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the path is the user's own setting
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if len(data) > maxFile {
		return nil, unusable(name, "larger than %d MiB", maxFile>>20)
	}
	return data, nil
}

// list gives the files that the paths name, each path once.
func list(paths []string) ([]string, error) {
	var (
		names []string
		errs  []error
		seen  = map[string]bool{}
	)
	add := func(name string) {
		if clean := filepath.Clean(name); !seen[clean] {
			seen[clean] = true
			names = append(names, name)
		}
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("rules: %w", err))
			continue
		}
		if !info.IsDir() {
			add(path)
			continue
		}
		inside, err := listDir(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("rules: %w", err))
			continue
		}
		if len(inside) == 0 {
			errs = append(errs, unusable(path, "no *.yaml or *.yml in this directory"))
		}
		for _, name := range inside {
			add(name)
		}
	}
	return names, errors.Join(errs...)
}

// listDir gives the rules files of a directory, by name. Hidden entries are left
// out: among them are the directories behind the symlinks of a ConfigMap
// (..data, ..2024_01_02), which would give every file twice.
func listDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		if ext := filepath.Ext(name); strings.HasPrefix(name, ".") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		path := filepath.Join(dir, name)
		info, err := os.Stat(path) // through symlinks
		if errors.Is(err, fs.ErrNotExist) && entry.Type()&fs.ModeSymlink == 0 {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			names = append(names, path)
		}
	}
	return names, nil
}
