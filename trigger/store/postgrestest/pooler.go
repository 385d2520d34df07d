package postgrestest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Pooler starts a PgBouncer in front of a database of the server, with these settings
// (https://www.pgbouncer.org/config.html), and gives the URL of the database through it. It ends
// with the test. If the machine has no PgBouncer, the test is skipped, or fails if CI is set.
func (s *Server) Pooler(t testing.TB, database string, settings ...string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer") // this folder is not in every PATH
	}
	switch {
	case err != nil && os.Getenv("CI") == "":
		t.Skip("SKIPPED, poolers are not tested: ", err)
	case err != nil:
		t.Fatal(err)
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.n++
	port := strconv.Itoa(6000 + s.n) // it is part of the name of a Unix socket, and no other program has it
	s.mu.Unlock()
	file := filepath.Join(s.dir, "pgbouncer"+port)
	text := fmt.Sprintf("[databases]\n* = host=%s user=postgres\n"+
		"[pgbouncer]\nauth_type = any\nlisten_addr =\nlisten_port = %s\nunix_socket_dir = %s\n%s\n",
		s.dir, port, s.dir, strings.Join(settings, "\n"))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // another user must read it
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, file) //nolint:gosec // the program was found above
	cmd.SysProcAttr, cmd.Dir, cmd.Stdout, cmd.Stderr = s.attr, s.dir, s.log, s.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // its error is that it was killed
	})
	u.RawQuery += "&port=" + port
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := connect(ctx, u.String()); err != nil {
		t.Fatalf("start PgBouncer: %v\n%s", err, s.output())
	}
	return u.String()
}
