// Package gittest serves real Git repositories over the smart HTTP protocol, for tests: by git
// http-backend, as a server of one's own does.
package gittest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi" //nolint:gosec // what it warns of was in Go before 1.6.3
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Options of a server. The zero value lets everybody in.
type Options struct {
	// Password is what has to come by HTTP Basic, as a token does, from any user.
	Password string
	// OnlyV0 keeps Git from hearing that the client speaks version 2 of the protocol.
	OnlyV0 bool
}

// Server serves the repositories of a folder of its own. It is safe for concurrent use.
type Server struct {
	URL string // http://127.0.0.1:port, without a slash at the end: the root of the host

	t        testing.TB
	o        Options
	dir      string
	http     *httptest.Server
	requests atomic.Int64

	mu    sync.Mutex
	moved map[string]string // full names
}

// Program gives the path of git. Without it the test is skipped, or fails if CI is set.
func Program(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("git")
	switch {
	case err != nil && os.Getenv("CI") == "":
		t.Skip("SKIPPED, reading the refs of a real Git server is not tested: ", err)
	case err != nil:
		t.Fatal(err)
	}
	return program
}

// NewServer starts a server, which is closed when the test ends. It needs [Program].
func NewServer(t testing.TB, o Options) *Server {
	t.Helper()
	program := Program(t)
	s := &Server{t: t, o: o, dir: t.TempDir(), moved: map[string]string{}}
	backend := &cgi.Handler{
		Path: program, Args: []string{"http-backend"},
		Env:    append(environment(), "GIT_PROJECT_ROOT="+s.dir, "GIT_HTTP_EXPORT_ALL=1"),
		Stderr: io.Discard,
	}
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, backend) }))
	t.Cleanup(s.http.Close)
	s.URL = s.http.URL
	return s
}

// environment makes git the same on every machine.
func environment() []string {
	return []string{
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "LC_ALL=C",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_AUTHOR_DATE=1767225600 +0000",
		"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com", "GIT_COMMITTER_DATE=1767225600 +0000",
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, backend http.Handler) {
	s.requests.Add(1)
	if _, password, _ := r.BasicAuth(); s.o.Password != "" && password != s.o.Password {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "HTTP Basic: Access denied", http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	for from, to := range s.moved {
		if rest, ok := strings.CutPrefix(r.URL.RequestURI(), "/"+from+".git/"); ok {
			s.mu.Unlock()
			http.Redirect(w, r, "/"+to+".git/"+rest, http.StatusMovedPermanently) //nolint:gosec // of the test
			return
		}
	}
	s.mu.Unlock()
	if s.o.OnlyV0 {
		r.Header.Del("Git-Protocol")
	}
	backend.ServeHTTP(w, r)
}

// Requests counts the requests that came.
func (s *Server) Requests() int { return int(s.requests.Load()) }

// Move redirects the clients of a repository, such as acme/shop, to another one.
func (s *Server) Move(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved[from] = to
}

// Repository is one of a server: bare, as servers have it. It is safe for concurrent use.
type Repository struct {
	Name string // full: acme/shop
	Dir  string // its folder; also what git push takes as the address

	t testing.TB
}

// Repository makes an empty repository, whose HEAD is main. flags are those of git init:
// --object-format=sha256.
func (s *Server) Repository(name string, flags ...string) *Repository {
	s.t.Helper()
	r := &Repository{Name: name, Dir: filepath.Join(s.dir, filepath.FromSlash(name)+".git"), t: s.t}
	if err := os.MkdirAll(r.Dir, 0o750); err != nil {
		s.t.Fatal(err)
	}
	r.Git(append([]string{"init", "--quiet", "--bare", "--initial-branch=main"}, flags...)...)
	return r
}

// Git runs git in the repository, and gives what it prints, without white space around it.
func (r *Repository) Git(args ...string) string {
	r.t.Helper()
	return r.git("", args...)
}

func (r *Repository) git(input string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...) //nolint:gosec,noctx // of the test, and short
	cmd.Dir, cmd.Env, cmd.Stdin = r.Dir, append(os.Environ(), environment()...), strings.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// Commit puts a new commit on a branch, which it makes if it is not there, as a push does. It
// returns the commit's id. A commit of the same message on the same parent has the same id.
func (r *Repository) Commit(branch, message string) (id string) {
	r.t.Helper()
	args := []string{"commit-tree", "-m", message}
	ref := "refs/heads/" + branch
	if parent := r.Git("for-each-ref", "--format=%(objectname)", ref); parent != "" {
		args = append(args, "-p", parent)
	}
	id = r.Git(append(args, r.git("", "mktree"))...)
	r.Git("update-ref", ref, id)
	return id
}

// Tag puts a tag on a commit, or on a tag: one with a message is annotated, one without is not.
func (r *Repository) Tag(name, of, message string) {
	r.t.Helper()
	if message == "" {
		r.Git("tag", name, of)
		return
	}
	r.Git("tag", "--annotate", "--message", message, name, of)
}

// Delete deletes a ref by its full name.
func (r *Repository) Delete(ref string) {
	r.t.Helper()
	r.Git("update-ref", "-d", ref)
}

// Many adds n refs to a commit, by the names that a format with one %d gives for 0 to n-1:
// refs/heads/topic/%05d. They are packed, as those of a large repository are, and take the place
// of all refs that were packed before.
func (r *Repository) Many(n int, format, commit string) {
	r.t.Helper()
	f, err := os.Create(filepath.Join(r.Dir, "packed-refs"))
	if err != nil {
		r.t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintf(w, "%s %s\n", commit, fmt.Sprintf(format, i))
	}
	err = w.Flush()
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		r.t.Fatal(err)
	}
}
