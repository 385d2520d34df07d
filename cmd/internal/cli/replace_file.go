package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// replaceFile writes a file: under another name until it is complete, so that a reader finds the
// old or the new one. A file that is there keeps its mode, and a symlink keeps where it leads.
func replaceFile(path string, data []byte) (err error) {
	mode := fs.FileMode(0o644)
	switch to, err := filepath.EvalSymlinks(path); {
	case err == nil:
		path = to
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return &fs.PathError{Op: "write", Path: path, Err: errors.New("it is no regular file")}
		}
		mode = info.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: withoutPath(err)}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	_, err = temporary.Write(data)
	if err = errors.Join(err, temporary.Chmod(mode), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
