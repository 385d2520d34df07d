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

// maxFiles is how large all files may be together, in bytes.
const maxFiles = 256 << 20

// Read reads every file that the paths name, in the order of the paths, those
// of a directory by name. What cannot be read is among them, with the reason.
func Read(paths []string) []mapping.File { return read(paths, maxFiles) }

func read(paths []string, most int) []mapping.File {
	found := list(paths)
	files := make([]mapping.File, len(found))
	for i, f := range found {
		files[i].Name = f.name
		switch {
		case f.err != nil:
			files[i].Err = f.err
		case most <= 0:
			files[i].Err = fmt.Errorf("not read: the files before it are as large as all may be together, %d MiB", maxFiles>>20)
		default:
			files[i].Data, files[i].Err = readFile(f.name)
			most -= len(files[i].Data)
		}
	}
	return files
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the path is the user's own setting
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mapping.MaxFile+1))
	if err != nil {
		return nil, reason(err)
	}
	return data, nil // too much is a fault like any other
}

// reason is an error without the path, which is told beside it.
func reason(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

// entry is a file that a path names, or what cannot be looked at, and why.
type entry struct {
	name string
	err  error
}

// list gives the files that the paths name, each path once.
func list(paths []string) []entry {
	var entries []entry
	seen := map[string]bool{}
	add := func(e entry) {
		if clean := filepath.Clean(e.name); !seen[clean] {
			seen[clean] = true
			entries = append(entries, e)
		}
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			add(entry{path, reason(err)})
			continue
		}
		inside, err := listDir(path)
		if err == nil && len(inside) == 0 {
			err = errors.New("no *.yaml or *.yml in this directory")
		}
		if err != nil {
			add(entry{path, reason(err)})
		}
		for _, e := range inside {
			add(e)
		}
	}
	return entries
}

// listDir gives the rules files of a directory, by name. Hidden entries are left
// out: among them are the directories behind the symlinks of a ConfigMap
// (..data, ..2024_01_02), which would give every file twice.
func listDir(dir string) ([]entry, error) {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, e := range all {
		name := e.Name()
		if ext := filepath.Ext(name); strings.HasPrefix(name, ".") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		path := filepath.Join(dir, name)
		info, err := os.Stat(path) // through symlinks
		if errors.Is(err, fs.ErrNotExist) && e.Type()&fs.ModeSymlink == 0 {
			continue // removed meanwhile
		}
		if err != nil || !info.IsDir() {
			entries = append(entries, entry{path, reason(err)})
		}
	}
	return entries, nil
}
