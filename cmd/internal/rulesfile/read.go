// Package rulesfile reads the files and directories that `--rules` names, with the fences of
// some, and reports when they change.
package rulesfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

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
// directory in the order of their names, without files of tests. A file that cannot be read has
// an error. A path may be followed by = and the path of a fence.
func Read(paths []string) []mapping.File { return read(paths, maxFiles) }

func read(paths []string, left int) []mapping.File {
	fill := func(f *mapping.File, err error) {
		switch {
		case err != nil:
			f.Err = err
		case left <= 0:
			f.Err = fmt.Errorf("not read: the files before it have %d MiB, as much as all may have together", maxFiles>>20)
		default:
			f.Data, f.Err = readFile(f.Name)
			left -= len(f.Data)
		}
	}
	found := list(paths)
	files := make([]mapping.File, len(found))
	fences := map[string]*mapping.File{} // by identity
	for i, f := range found {
		files[i].Name = f.name
		fill(&files[i], f.err)
		if f.fence == "" {
			continue
		}
		id := identity(f.fence)
		if fences[id] == nil {
			fences[id] = &mapping.File{Name: f.fence}
			fill(fences[id], nil)
		}
		files[i].Fence = fences[id]
	}
	return files
}

// ReadTests reads files of tests. One that cannot be read has an error.
func ReadTests(names []string) []mapping.File {
	files := make([]mapping.File, len(names))
	for i, name := range names {
		files[i].Name = name
		files[i].Data, files[i].Err = readFile(name)
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
	name  string
	fence string // the file of its fence, "" for none
	err   error
}

// list returns the files that the paths name, each file once, whatever it is called. A fence of
// one of the paths that lead to a file is the fence of the file.
func list(paths []string) []entry {
	var entries []entry
	place := map[string]int{} // by identity
	fences := map[string]bool{}
	add := func(e entry) {
		id := identity(e.name)
		i, twice := place[id]
		switch {
		case !twice:
			place[id] = len(entries)
			entries = append(entries, e)
		case entries[i].fence == "":
			entries[i].fence = e.fence
		case e.fence != "" && identity(entries[i].fence) != identity(e.fence):
			entries[i].err = fmt.Errorf("two --rules lead here, with the fences %s and %s: give one", entries[i].fence, e.fence)
		}
	}
	for _, path := range paths {
		path, fence, fenced := splitFence(path)
		if fenced && fence == "" {
			add(entry{name: path, err: errors.New("--rules has no fence behind the '=': write --rules PATH=FENCE.yaml")})
			continue
		}
		if fenced {
			fences[identity(fence)] = true
		}
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			add(entry{path, fence, reason(err)})
			continue
		}
		inside, err := listDir(path, false)
		if err == nil && len(inside) == 0 {
			err = errors.New("no *.yaml or *.yml in this directory")
		}
		if err != nil {
			add(entry{path, fence, reason(err)})
		}
		for _, e := range inside {
			e.fence = fence
			add(e)
		}
	}
	for i := range entries {
		if fences[identity(entries[i].name)] {
			entries[i].err = errors.New("this is a fence, and no rules file: keep it where those whom it fences cannot write")
		}
	}
	return entries
}

// splitFence splits PATH=FENCE. A path may have a '=' itself. But a fence that is there is never
// taken for a part of a path: who may write what it fences could make a folder of that name.
func splitFence(given string) (path, fence string, fenced bool) {
	at := -1
	for i := range given {
		if given[i] != '=' {
			continue
		}
		before, behind := exists(given[:i]), exists(given[i+1:])
		if behind {
			return given[:i], given[i+1:], true
		}
		if before && at < 0 {
			at = i
		}
	}
	if at < 0 && !exists(given) {
		at = strings.LastIndexByte(given, '=')
	}
	if at < 0 {
		return given, "", false
	}
	return given[:at], given[at+1:], true
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return path != "" && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}

// identity is the same for two paths that lead to one file, as long as it is there.
func identity(path string) string {
	if info, err := os.Stat(path); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			return fmt.Sprintf("inode %d of %d", stat.Ino, stat.Dev)
		}
	}
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return filepath.Clean(path)
}

// IsTests says whether a file has tests of rules, by its name: a directory that is read as
// rules leaves it out.
func IsTests(name string) bool {
	return strings.HasSuffix(name, ".test.yaml") || strings.HasSuffix(name, ".test.yml")
}

// Tests returns the files of tests in a directory, in the order of their names.
func Tests(dir string) ([]string, error) {
	entries, err := listDir(dir, true)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.name
	}
	return names, err
}

// TestsBeside returns the files of tests in the directories of the files that the paths name,
// and these directories.
func TestsBeside(paths []string) (files, dirs []string, err error) {
	for _, e := range list(paths) {
		dir := filepath.Dir(e.name)
		if slices.Contains(dirs, dir) {
			continue
		}
		dirs = append(dirs, dir)
		inside, err := Tests(dir)
		if err != nil && e.err == nil { // else it is a fault of the rules
			return nil, nil, err
		}
		files = append(files, inside...)
	}
	return files, dirs, nil
}

// listDir returns the rules files of a directory, or its files of tests, in the order of their
// names, without hidden entries. Some of those are directories behind the symlinks of a
// ConfigMap (..data, ..2024_01_02), which contain every file a second time.
func listDir(dir string, tests bool) ([]entry, error) {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, e := range all {
		name := e.Name()
		if ext := filepath.Ext(name); strings.HasPrefix(name, ".") || ext != ".yaml" && ext != ".yml" || IsTests(name) != tests {
			continue
		}
		path := filepath.Join(dir, name)
		info, err := os.Stat(path) // through symlinks
		if errors.Is(err, fs.ErrNotExist) && e.Type()&fs.ModeSymlink == 0 {
			continue // removed in the meantime
		}
		if err != nil || !info.IsDir() {
			entries = append(entries, entry{name: path, err: reason(err)})
		}
	}
	return entries, nil
}
