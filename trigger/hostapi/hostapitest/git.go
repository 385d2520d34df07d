package hostapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// SetRefs gives a repository branches and tags: their commits by their full names, in place of
// those that it had.
func (s *Simulator) SetRefs(repository string, refs map[string]string) error {
	if !strings.Contains(repository, "/") {
		return fmt.Errorf("repository %q is not a full name, as acme/shop is", repository)
	}
	for name, commit := range refs {
		if !isRef(name) {
			return fmt.Errorf("ref %q does not begin with refs/heads/ or refs/tags/", name)
		}
		if !commitID.MatchString(commit) {
			return fmt.Errorf("ref %q: %q is not the id of a commit", name, commit)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refs[strings.ToLower(repository)] = maps.Clone(refs)
	return nil
}

func isRef(name string) bool {
	return len(name) > len("refs/heads/") && strings.HasPrefix(name, "refs/heads/") ||
		len(name) > len("refs/tags/") && strings.HasPrefix(name, "refs/tags/")
}

func (s *Simulator) serveSetRefs(w http.ResponseWriter, r *http.Request) {
	var set struct {
		Repository string            `json:"repository"`
		Refs       map[string]string `json:"refs"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRefs))
	d.DisallowUnknownFields()
	err := d.Decode(&set)
	if err == nil {
		err = s.SetRefs(set.Repository, set.Refs)
	}
	if err != nil {
		write(w, response{status: 400, body: map[string]any{"message": err.Error()}})
		return
	}
	write(w, response{status: 201, body: set})
}

const maxRefs = 16 << 20

// gitRepository gives the repository that Git asks for, by the address of any host.
func gitRepository(r *http.Request) (name string, ok bool) {
	switch r.Method {
	case http.MethodGet:
		name, ok = strings.CutSuffix(r.URL.Path, "/info/refs")
	case http.MethodPost:
		name, ok = strings.CutSuffix(r.URL.Path, "/git-upload-pack")
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "/"), "scm/")
	parts := strings.Split(strings.Replace(strings.TrimSuffix(name, ".git"), "/_git/", "/", 1), "/")
	if strings.Contains(name, "/_git/") && len(parts) > 2 { // Azure DevOps, with its organisation
		parts = parts[len(parts)-2:]
	}
	return strings.Join(parts, "/"), ok
}

func (c *call) isToken(text string) bool {
	return slices.ContainsFunc(c.o.Tokens, func(t Token) bool { return text == t.Value && text != "" })
}

// git lists the refs of a repository.
func (c *call) git() response {
	c.Repository, _ = gitRepository(c.r)
	if len(c.o.Repositories) > 0 && !slices.ContainsFunc(c.o.Repositories, c.named) {
		return c.noRepository()
	}
	refs, ok := c.refs[strings.ToLower(c.Repository)]
	if !ok {
		return c.noRepository()
	}
	format := "sha1"
	for _, commit := range refs {
		if len(commit) == 64 {
			format = "sha256"
		}
	}
	var b bytes.Buffer
	kind, second := "advertisement", c.r.Header.Get("Git-Protocol") == "version=2"
	switch {
	case c.r.Method == http.MethodPost:
		kind = "result"
		prefixes, ok := lsRefs(c.body)
		if !ok {
			packet(&b, "ERR the simulator has nothing but ls-refs of version 2")
			break
		}
		for _, name := range slices.Sorted(maps.Keys(refs)) {
			if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
				packet(&b, refs[name]+" "+name+"\n")
			}
		}
	case c.r.URL.Query().Get("service") != "git-upload-pack":
		return c.fail(403, "Please upgrade your git client.")
	case second:
		for _, line := range []string{"version 2", "agent=simulator", "ls-refs", "object-format=" + format} {
			packet(&b, line+"\n")
		}
	default:
		packet(&b, "# service=git-upload-pack\n")
		b.WriteString("0000")
		capabilities := "\x00object-format=" + format + " agent=simulator"
		if len(refs) == 0 {
			packet(&b, strings.Repeat("0", 40)+" capabilities^{}"+capabilities+"\n")
		}
		for _, name := range slices.Sorted(maps.Keys(refs)) {
			packet(&b, refs[name]+" "+name+capabilities+"\n")
			capabilities = ""
		}
	}
	b.WriteString("0000")
	return response{status: 200, text: b.Bytes(), header: map[string]string{"Content-Type": "application/x-git-upload-pack-" + kind}}
}

func packet(b *bytes.Buffer, line string) { fmt.Fprintf(b, "%04x%s", len(line)+4, line) }

// lsRefs gives the prefixes of the refs that a request wants.
func lsRefs(body []byte) (prefixes []string, ok bool) {
	for len(body) >= 4 {
		long, err := strconv.ParseUint(string(body[:4]), 16, 16)
		if err != nil || int(long) > len(body) {
			return nil, false
		}
		long = max(long, 4)
		line := strings.TrimSuffix(string(body[4:long]), "\n")
		body = body[long:]
		ok = ok || line == "command=ls-refs"
		if prefix, is := strings.CutPrefix(line, "ref-prefix "); is {
			prefixes = append(prefixes, prefix)
		}
	}
	if prefixes == nil {
		prefixes = []string{""}
	}
	return prefixes, ok
}
