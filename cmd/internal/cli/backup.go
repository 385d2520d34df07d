package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"buildbridge/mapping/printable"
)

type backupCommand struct {
	adminFlags `embed:""`

	To    string `arg:"" name:"file|-|folder/" help:"The new file, - for standard output, or a folder: the file is named by the time."`
	Keep  int    `placeholder:"N" help:"Of the backups in the folder that this command has named, delete all but the newest N."`
	Force bool   `help:"Replace the file if it exists."`
}

func (backupCommand) Help() string {
	return adminHelp + `

Copies the SQLite database of a running bridge, as it is at this moment: every delivery that was acknowledged before is in it. The
bridge goes on meanwhile. It needs a token for writing, because the copy has the bodies of all deliveries.

The file appears once it is complete, for you alone (mode 0600). A file that exists is not replaced without --force. A PostgreSQL
database is copied by pg_dump.

Examples:

    buildbridge backup buildbridge-before-upgrade.db
    buildbridge backup /var/backups/buildbridge/ --keep 14
    kubectl exec buildbridge-0 -- buildbridge backup - >buildbridge.db`
}

// backupName is how files in a folder are named, and backupNames finds them.
const backupName = "buildbridge-20060102T150405Z.db"

var backupNames = regexp.MustCompile(`^buildbridge-\d{8}T\d{6}Z\.db$`)

// Run makes a backup.
func (c *backupCommand) Run(ctx context.Context, env *Environment) error {
	folder := os.IsPathSeparator(c.To[max(0, len(c.To)-1)])
	if info, err := os.Stat(c.To); err == nil && info.IsDir() {
		folder = true
	}
	switch {
	case c.Keep != 0 && !folder:
		return usageError("--keep is for backups in a folder: " + filepath.Dir(c.To) + "/")
	case c.Keep < 0:
		return usageError("--keep must be 1 or more")
	case c.JSON:
		return usageError("--json: a backup is a SQLite file")
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	if c.To == "-" {
		if isTerminal(env.Stdout) {
			return usageError("- writes a SQLite file to standard output: send that into a file or a pipe")
		}
		_, err := api.backup(ctx, env, env.Stdout)
		return err
	}
	to := c.To
	if folder {
		to = filepath.Join(c.To, time.Now().UTC().Format(backupName))
	}
	if _, err := os.Lstat(to); err == nil && !c.Force {
		return fmt.Errorf("%s exists: give another name, or --force to replace it", to)
	}
	var size int64
	err = outputFile{path: to, mode: 0o600, new: !c.Force}.write(func(w io.Writer) (err error) {
		size, err = api.backup(ctx, env, w)
		return err
	})
	if err == nil {
		err = syncFolder(filepath.Dir(to))
	}
	if err != nil {
		return err
	}
	env.printf("%s: %s\n", printable.Text(to), megabytes(size))
	if c.Keep > 0 {
		return c.prune(env)
	}
	return nil
}

// syncFolder has the names of a folder written to the disk.
func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // the user's own
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// prune deletes all but the newest backups of the folder.
func (c *backupCommand) prune(env *Environment) error {
	entries, err := os.ReadDir(c.To)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && backupNames.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names) // by time
	for _, name := range names[:max(0, len(names)-c.Keep)] {
		if err := os.Remove(filepath.Join(c.To, name)); err != nil {
			return err
		}
		env.printf("%s: deleted\n", printable.Text(filepath.Join(c.To, name)))
	}
	return nil
}

// backup copies the database to w, and says on a terminal how far it is.
func (c *client) backup(ctx context.Context, env *Environment, w io.Writer) (size int64, err error) {
	err = c.stream(ctx, "/backup", func(answer *http.Response, body io.Reader) (err error) {
		first := make([]byte, len(sqliteMagic))
		if _, err := io.ReadFull(body, first); err != nil || string(first) != sqliteMagic {
			return fmt.Errorf("%s: the answer is no SQLite database: is that the admin listener of a bridge?", answer.Request.URL)
		}
		bar := &progress{env: env, total: answer.ContentLength, shown: isTerminal(env.Stderr)}
		defer bar.end()
		counted := readerFunc(func(p []byte) (int, error) {
			n, err := body.Read(p)
			bar.add(n)
			return n, err
		})
		size, err = io.Copy(w, io.MultiReader(bytes.NewReader(first), counted))
		if err == nil && size != answer.ContentLength {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("the backup is not complete: %s of %s: %w", megabytes(size), megabytes(answer.ContentLength), err)
		}
		return nil
	})
	return size, err
}

const sqliteMagic = "SQLite format 3\x00"

// progress is a line on a terminal that says how far something is.
type progress struct {
	env         *Environment
	total, done int64
	shown       bool
	last        time.Time
}

func (p *progress) add(n int) {
	p.done += int64(n)
	if now := time.Now(); p.shown && now.Sub(p.last) > 200*time.Millisecond {
		p.last = now
		_, _ = fmt.Fprintf(p.env.Stderr, "\r%s of %s ", megabytes(p.done), megabytes(p.total))
	}
}

func (p *progress) end() {
	if p.shown && !p.last.IsZero() {
		_, _ = fmt.Fprintf(p.env.Stderr, "\r%s\r", strings.Repeat(" ", 40))
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
