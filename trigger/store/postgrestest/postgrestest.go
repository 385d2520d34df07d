// Package postgrestest runs a PostgreSQL server for tests, in a temporary folder and on a Unix
// socket.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL server. The first call of Database starts it.
type Server struct {
	// Sync makes every commit wait for the disk, as on a real server. Without it only a crash
	// of the machine loses data.
	Sync bool

	once sync.Once
	err  error
	bin  string // the folder of its programs
	dir  string
	attr *syscall.SysProcAttr
	cmd  *exec.Cmd // nil while it does not run
	log  *os.File  // a buffer would need goroutines

	mu sync.Mutex
	n  int
}

// patience is how long a server may take to start, or to create a database.
const patience = 5 * time.Minute

// errMissing means that this machine has no PostgreSQL.
var errMissing = errors.New("no PostgreSQL server binaries (initdb, postgres) in PATH or /usr/lib/postgresql/*/bin")

// Database creates an empty database and gives its URL. If the machine has no PostgreSQL, the
// test is skipped, or fails if CI is set.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	s.once.Do(func() { s.err = s.start() })
	switch {
	case errors.Is(s.err, errMissing) && os.Getenv("CI") == "":
		t.Skip("SKIPPED, PostgreSQL is not tested: ", s.err)
	case s.err != nil:
		t.Fatalf("start PostgreSQL: %v\n%s", s.err, s.output())
	}
	s.mu.Lock()
	s.n++
	name := "test" + strconv.Itoa(s.n)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	return s.url(name)
}

func (s *Server) output() []byte {
	if s.log == nil {
		return nil
	}
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return []byte(err.Error())
	}
	return text
}

func (s *Server) url(database string) string {
	return "postgres://postgres@/" + database + "?host=" + url.QueryEscape(s.dir)
}

// Stop ends the server and removes its folder. It does nothing if the server was not started.
func (s *Server) Stop() error {
	if s.dir == "" {
		return nil
	}
	err := s.Halt(syscall.SIGINT)
	if s.log != nil {
		err = errors.Join(err, s.log.Close())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// Halt ends the server with a signal and keeps its databases: SIGINT disconnects the clients,
// SIGQUIT ends it as a crash would. It does nothing if the server does not run. Halt and Resume
// are not for a server that several tests share.
func (s *Server) Halt(signal os.Signal) error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(signal); err != nil {
		return err
	}
	err := s.cmd.Wait()
	s.cmd = nil
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && signal != syscall.SIGINT && exit.Exited() {
		return nil // it reports the crash
	}
	return err
}

// Resume starts a server that was halted, and returns when it answers.
func (s *Server) Resume() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.run(ctx)
}

func (s *Server) start() error {
	var err error
	if s.bin, err = binaries(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "bbpg"); err != nil {
		return err
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		return err
	}
	s.attr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	if os.Geteuid() == 0 { // the server refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, gid := number(u.Uid), number(u.Gid)
		if err := os.Chown(s.dir, int(uid), int(gid)); err != nil {
			return err
		}
		s.attr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	initdb := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), //nolint:gosec // fixed names
		"-D", s.data(), "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir, initdb.Stdout, initdb.Stderr = s.attr, s.dir, s.log, s.log
	if err := initdb.Run(); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	return s.run(ctx)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// run starts the server and waits until it answers.
func (s *Server) run(ctx context.Context) error {
	fsync := "fsync=off"
	if s.Sync {
		fsync = "fsync=on"
	}
	// Many tests run at the same time. There is room for as many locks as a server has by
	// default: 100 connections with 64 locks each.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(s.bin, "postgres"), //nolint:gosec // fixed names
		"-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", fsync, "-c", "max_connections=600", "-c", "max_locks_per_transaction=11")
	cmd.SysProcAttr, cmd.Dir, cmd.Stdout, cmd.Stderr = s.attr, s.dir, s.log, s.log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	return connect(ctx, s.url("postgres"))
}

// connect tries to connect until somebody answers, or ctx ends.
func connect(ctx context.Context, database string) error {
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := pgx.Connect(ctx, database)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return err
		}
	}
}

func number(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// binaries finds the folder of the newest server's programs.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil { // PATH may have a link to this program alone
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errMissing
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}
