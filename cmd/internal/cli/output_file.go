package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// outputFile is a file that a command writes. It has another name until it is complete and on
// the disk, so that a reader finds the old or the new one.
type outputFile struct {
	path string      // a symlink keeps where it leads
	mode fs.FileMode // 0: that of the file that is there, else 0644
	new  bool        // a file that appears in the meantime is not replaced
}

// replaceFile writes a file. One that is there keeps its mode.
func replaceFile(path string, data []byte) error {
	return outputFile{path: path}.write(func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// write makes the file of what fill writes: all of it or nothing. A pipe or a device, such as
// /dev/stdout, is written into.
func (o outputFile) write(fill func(io.Writer) error) (err error) {
	switch info, err := os.Stat(o.path); { // unlike EvalSymlinks it finds what links of /proc lead to
	case err == nil && !info.Mode().IsRegular():
		return writeInto(o.path, fill)
	case err == nil:
		if o.path, err = filepath.EvalSymlinks(o.path); err != nil {
			return err
		}
		if o.mode == 0 {
			o.mode = info.Mode().Perm()
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	default:
		if _, err := os.Lstat(o.path); err == nil {
			return fmt.Errorf("%s: the symlink leads to no file", o.path)
		}
		if o.mode == 0 {
			o.mode = 0o644
		}
	}
	temporary, err := os.CreateTemp(filepath.Dir(o.path), "."+filepath.Base(o.path)+".*.part")
	if err != nil {
		return &fs.PathError{Op: "write", Path: o.path, Err: withoutPath(err)}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	err = fill(temporary)
	if err = errors.Join(err, temporary.Chmod(o.mode), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if o.new {
		switch err := os.Link(temporary.Name(), o.path); { // unlike a rename it replaces nothing
		case err == nil:
			return os.Remove(temporary.Name())
		case errors.Is(err, fs.ErrExist):
			return err
		} // not every file system has links
	}
	return os.Rename(temporary.Name(), o.path)
}

func writeInto(path string, fill func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	return errors.Join(fill(file), file.Close())
}
