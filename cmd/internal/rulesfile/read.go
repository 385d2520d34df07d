// Package rulesfile reads the files and directories that `--rules` names, and reports when
// they change.
package rulesfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// maxFiles is how many bytes all files may have together.
const maxFiles = 256 << 20

// Load reads what the paths name and returns the rules and the warnings. The error is a
// [mapping.Faults]; a file that cannot be read is a fault, too.
func Load(paths []string) (*mapping.Ruleset, []mapping.Fault, error) {
	return mapping.Parse(codehost.Providers(), Read(paths)...)
}

// Read reads every file that the paths name, in the order of the paths, and those of a
// directory in the order of their names. A file that cannot be read has an error.
func Read(paths []string) []mapping.File { return read(paths, maxFiles) }

func read(paths []string, left int) []mapping.File {
	found := list(paths)
	files := make([]mapping.File, len(found))
	for i, f := range found {
		files[i].Name = f.name
		switch {
		case f.err != nil:
			files[i].Err = f.err
		case left <= 0:
			files[i].Err = fmt.Errorf("not read: the files before it have %d MiB, as much as all may have together", maxFiles>>20)
		default:
			files[i].Data, files[i].Err = readFile(f.name)
			left -= len(files[i].Data)
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
	return data, nil // mapping.Parse refuses a file that is too large
}

// reason is an error without the path, which is shown with it.
func reason(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

// entry is a file that a path names. err is set if it cannot be read.
type entry struct {
	name string
	err  error
}

// list returns the files that the paths name, each path once.
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

// listDir returns the rules files of a directory in the order of their names, without hidden
// entries. Some of those are directories behind the symlinks of a ConfigMap (..data,
// ..2024_01_02), which contain every file a second time.
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
			continue // removed in the meantime
		}
		if err != nil || !info.IsDir() {
			entries = append(entries, entry{path, reason(err)})
		}
	}
	return entries, nil
}
