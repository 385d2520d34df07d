package hostapi_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/gitrefs"
	"buildbridge/trigger/hostapi/hostapitest"
	"buildbridge/trigger/hostapi/hostapitest/gittest"
)

// read gives the refs of a repository, as name=commit.
func read(t *testing.T, c *hostapi.Client, repository string) ([]string, error) {
	t.Helper()
	var refs []string
	err := c.Refs(t.Context(), repository, func(r hostapi.Ref) error {
		refs = append(refs, r.Name+"="+r.Commit)
		return nil
	})
	return refs, err
}

func refsRefusal(t *testing.T, c *hostapi.Client, repository string) *hostapi.Refusal {
	t.Helper()
	refs, err := read(t, c, repository)
	r, ok := errors.AsType[*hostapi.Refusal](err)
	if !ok {
		t.Fatalf("gave %q, %T (%v), want a *hostapi.Refusal", refs, err, err)
	}
	if strings.ContainsAny(r.Error(), "\r\n") || strings.Contains(r.Error(), token) {
		t.Errorf("more than a line, or a secret: %q", r.Error())
	}
	return r
}

// TestRefs reads a real Git server's, in both versions of the protocol.
func TestRefs(t *testing.T) {
	for version, o := range map[string]gittest.Options{"version 2": {Password: token}, "version 0": {Password: token, OnlyV0: true}} {
		for format, length := range map[string]int{"sha1": 40, "sha256": 64} {
			t.Run(version+" "+format, func(t *testing.T) {
				host := gittest.NewServer(t, o)
				r := host.Repository("acme/shop", "--object-format="+format)
				c := newClient(t, hostapi.Options{Provider: "gitea", URL: host.URL})

				if refs, err := read(t, c, "acme/shop"); err != nil || len(refs) != 0 {
					t.Errorf("an empty repository: %q, %v", refs, err)
				}
				r.Commit("unborn", "a branch that is not HEAD")
				first := r.Commit("main", "first")
				second := r.Commit("main", "second")
				r.Delete("refs/heads/unborn")
				r.Tag("light", first, "")
				r.Tag("v1", first, "annotated")
				r.Git("pack-refs", "--all")
				third := r.Commit("main", "third") // loose, over one that is packed
				r.Tag("v2", "v1", "a tag of a tag")
				r.Commit("feature/ünï-$x", "on another branch")
				other := r.Git("rev-parse", "refs/heads/feature/ünï-$x")
				r.Git("update-ref", "refs/pull/1/head", second)
				r.Git("update-ref", "refs/heads/secret/a", second)
				r.Git("config", "transfer.hideRefs", "refs/heads/secret")
				r.Git("symbolic-ref", "refs/heads/current", "refs/heads/main")
				r.Git("symbolic-ref", "HEAD", "refs/heads/nothing")

				if len(first) != length {
					t.Fatalf("ids of %d digits", len(first))
				}
				want := []string{
					"refs/heads/current=" + third, "refs/heads/feature/ünï-$x=" + other, "refs/heads/main=" + third,
					"refs/tags/light=" + first, "refs/tags/v1=" + first, "refs/tags/v2=" + first,
				}
				refs, err := read(t, c, "acme/shop")
				if slices.Sort(refs); err != nil || !slices.Equal(refs, want) {
					t.Errorf("%v, %q, want %q", err, refs, want)
				}
			})
		}
	}
}

// TestManyRefs: however many refs there are, memory stays as it is.
func TestManyRefs(t *testing.T) {
	const many = 50_000
	for name, o := range map[string]gittest.Options{"version 2": {}, "version 0": {OnlyV0: true}} {
		t.Run(name, func(t *testing.T) {
			host := gittest.NewServer(t, o)
			r := host.Repository("acme/shop")
			r.Many(many, "refs/heads/topic/%05d", r.Commit("main", "first"))
			c := newClient(t, hostapi.Options{Provider: "gitea", URL: host.URL})

			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			count, last := 0, ""
			err := c.Refs(t.Context(), "acme/shop", func(r hostapi.Ref) error {
				count++
				last = max(last, r.Name)
				return nil
			})
			runtime.ReadMemStats(&after)
			if err != nil || count != many+1 || last != "refs/heads/topic/49999" {
				t.Errorf("%d refs, the last is %s: %v", count, last, err)
			}
			// A text of each, which is gone at once, and the buffers of the connections.
			if allocated, most := after.TotalAlloc-before.TotalAlloc, uint64(many*160+4<<20); allocated > most {
				t.Errorf("%d bytes were allocated, want at most %d", allocated, most)
			}
		})
	}
}

// TestMemoryOfRefs: what is in use does not grow with the refs.
func TestMemoryOfRefs(t *testing.T) {
	const many = 200_000
	c := newClient(t, hostapi.Options{Provider: "github", Transport: transport(func(*http.Request) (*http.Response, error) {
		return advertisement(io.MultiReader(
			strings.NewReader("001e# service=git-upload-pack\n0000"),
			&repeated{line: fmt.Sprintf("%04x%s refs/heads/%s\n", 4+40+1+11+50+1, commit, strings.Repeat("x", 50)), left: many},
			strings.NewReader("0000"),
		)), nil
	})})
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, count, most := inUse(), 0, uint64(0)
	err := c.Refs(t.Context(), "acme/shop", func(hostapi.Ref) error {
		if count++; count%(many/4) == 0 {
			most = max(most, inUse())
		}
		return nil
	})
	if err != nil || count != many || most > before+1<<20 {
		t.Errorf("%v after %d refs; %d bytes in use, %d before", err, count, most, before)
	}
}

// advertisement is an answer with a body of the right type.
func advertisement(body io.Reader) *http.Response {
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {gitrefs.AdvertisementType}}, Body: io.NopCloser(body),
	}
}

// repeated is a line, many times, or without end.
type repeated struct {
	line string
	left int // lines; below 0 for ever
	read int64
	rest string
}

func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if r.rest == "" {
			if r.left == 0 {
				break
			}
			r.left--
			r.rest = r.line
		}
		copied := copy(p[n:], r.rest)
		r.rest = r.rest[copied:]
		n += copied
	}
	r.read += int64(n)
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// TestRefsMoved: a repository is followed to another address of its host only.
func TestRefsMoved(t *testing.T) {
	host := gittest.NewServer(t, gittest.Options{Password: token})
	main := host.Repository("acme/shop").Commit("main", "first")
	host.Move("acme/old", "acme/older")
	host.Move("acme/older", "acme/shop")
	host.Move("acme/round", "acme/round")
	c := newClient(t, hostapi.Options{Provider: "gitea", URL: host.URL})
	if refs, err := read(t, c, "acme/old"); err != nil || !slices.Equal(refs, []string{"refs/heads/main=" + main}) {
		t.Errorf("%q, %v", refs, err)
	}
	before := host.Requests()
	if r := refsRefusal(t, c, "acme/round"); r.Fate != final || !strings.Contains(r.Error(), "moved too often (301)") || host.Requests() != before+4 {
		t.Errorf("%+v after %d requests", r, host.Requests()-before)
	}

	elsewhere := gittest.NewServer(t, gittest.Options{})
	elsewhere.Repository("acme/shop").Commit("main", "first")
	for name, test := range map[string]struct {
		root, location string
		says           string
	}{
		"another host": {location: elsewhere.URL + "/acme/shop.git/info/refs?service=git-upload-pack", says: "redirects to " + elsewhere.URL + "/acme/shop.git/info/refs, and the token is not sent there (301): give the root"},
		"another scheme": {
			location: strings.Replace(host.URL, "http:", "https:", 1) + "/acme/shop.git/info/refs", says: "redirects to https://127.0.0.1",
		},
		"out of the folder":  {root: "/git", location: "/acme/shop.git/info/refs", says: "redirects to "},
		"up from the folder": {root: "/git", location: "/git/../acme/shop.git/info/refs", says: "redirects to "},
		"a user in it":       {location: "http://me:" + token + "@127.0.0.1/acme/shop.git/info/refs", says: "redirects to http://127.0.0.1/acme"},
		"the token in it":    {location: "https://elsewhere.example.com/" + token + "/info/refs", says: "redirects to [hidden"},
		"a sign-in page":     {location: "/users/sign_in", says: "refuses the token, and sends to a sign-in page"},
		"a page":             {location: "/acme/shop", says: "redirects to "},
		"nowhere":            {says: "where to"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked++; test.location != "" {
					w.Header().Set("Location", test.location)
				}
				w.WriteHeader(http.StatusMovedPermanently)
			}))
			defer redirecting.Close()
			r := refsRefusal(t, newClient(t, hostapi.Options{Provider: "gitea", URL: redirecting.URL + test.root}), "acme/shop")
			if r.Fate != source || r.Code != "301" || !strings.Contains(r.Error(), test.says) || asked != 1 {
				t.Errorf("%+v: %v; asked %d times", r, r, asked)
			}
		})
	}
	if elsewhere.Requests() != 0 {
		t.Error("a redirect was followed to another host")
	}
}

// TestRefsRefused has the answers of hosts that give no refs.
func TestRefsRefused(t *testing.T) {
	git := gittest.NewServer(t, gittest.Options{Password: token})
	git.Repository("acme/shop")
	c := newClient(t, hostapi.Options{Provider: "gitea", URL: git.URL, Token: secret("wr0ng-t0ken")})
	if r := refsRefusal(t, c, "acme/shop"); r.Fate != source || r.Code != "401" ||
		!strings.Contains(r.Error(), "refuses the token (401: HTTP Basic: Access denied): it is wrong, expired or revoked, or it may not see this repository") {
		t.Errorf("a wrong token: %v", r)
	}
	c = newClient(t, hostapi.Options{Provider: "gitea", URL: git.URL})
	if r := refsRefusal(t, c, "acme/none"); r.Fate != final || r.Code != "404" ||
		!strings.Contains(r.Error(), "no such repository under "+git.URL+", or the token may not see it (404): the token needs the scope read:repository") {
		t.Errorf("no repository: %v", r)
	}

	type page struct {
		status           int
		kind, body       string
		header           map[string]string
		wantCode         string
		fate             hostapi.Fate
		after            time.Duration
		says, neverShown string
	}
	const advertisementType = gitrefs.AdvertisementType
	for name, test := range map[string]page{
		"403":                  {status: 403, fate: final, says: "may not read the repository"},
		"403, rates":           {status: 403, kind: "application/json", body: `{"message":"API rate limit exceeded"}`, fate: source, after: time.Minute, says: "no more requests"},
		"404, JSON":            {status: 404, kind: "application/json", body: `{"message":"Not Found"}`, fate: final, says: "(404: Not Found)"},
		"404, a page":          {status: 404, kind: "text/html", body: "<html>nothing", fate: final, says: "(404):", neverShown: "<html>"},
		"407":                  {status: 407, fate: source, says: "a proxy"},
		"408":                  {status: 408, fate: again},
		"410":                  {status: 410, kind: "text/plain", body: "gone\nfor good", fate: final, says: "(410: gone for good)"},
		"429":                  {status: 429, header: map[string]string{"Retry-After": "7"}, fate: source, after: 7 * time.Second},
		"500":                  {status: 500, fate: again, says: "cannot list the repository's branches and tags now (500): it is tried again"},
		"503":                  {status: 503, header: map[string]string{"Retry-After": "60"}, fate: again, after: time.Minute},
		"a sign-in page":       {status: 200, kind: "text/html; charset=utf-8", body: "<html>sign in", fate: source, wantCode: "page", says: "a page in place of the repository's refs", neverShown: "<html>"},
		"203":                  {status: 203, kind: "text/html", body: "<html>sign in", fate: source, says: "a sign-in page"},
		"204":                  {status: 204, fate: source, wantCode: "page"},
		"a dumb server":        {status: 200, kind: "text/plain", body: commit + "\trefs/heads/main\n", fate: source, wantCode: "page", says: "does not speak the smart HTTP protocol", neverShown: commit},
		"not what it says":     {status: 200, kind: advertisementType, body: "<html>", fate: again, wantCode: "page", says: `cannot be read (200): it is tried again: not the smart HTTP protocol of Git: a packet's length is "<htm"`},
		"empty":                {status: 200, kind: advertisementType, fate: again, wantCode: "page", says: "the answer is empty"},
		"an error":             {status: 200, kind: advertisementType, body: "0013ERR overloaded\n", fate: again, wantCode: "200", says: "(200: overloaded)"},
		"an error, the token":  {status: 200, kind: advertisementType, body: fmt.Sprintf("%04xERR bad %s", 4+8+len(token), token), fate: again, wantCode: "200", says: "[hidden"},
		"a text, the token":    {status: 500, kind: "text/plain", body: "bad " + token, fate: again, says: "[hidden"},
		"breaks off":           {status: 200, kind: advertisementType, body: "001e# service=git-upload-pack\n0000", fate: again, wantCode: "timeout", says: "broke off: unexpected EOF"},
		"version 2, no refs":   {status: 200, kind: advertisementType, body: "000eversion 2\n000afetch\n0000", fate: again, wantCode: "page", says: "does not list refs"},
		"version 2, then this": {status: 200, kind: advertisementType, body: "000eversion 2\n000cls-refs\n0000", fate: source, wantCode: "page", says: "does not speak the smart HTTP protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range test.header {
					w.Header().Set(name, value)
				}
				w.Header().Set("Content-Type", test.kind)
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer host.Close()
			if test.wantCode == "" {
				test.wantCode = strconv.Itoa(test.status)
			}
			r := refsRefusal(t, newClient(t, hostapi.Options{Provider: "gitea", URL: host.URL}), "acme/shop")
			if r.Fate != test.fate || r.Code != test.wantCode || r.After != test.after || !strings.Contains(r.Error(), test.says) ||
				test.neverShown != "" && strings.Contains(r.Error(), test.neverShown) {
				t.Errorf("fate %v, want %v; code %s, want %s; after %v, want %v; %v", r.Fate, test.fate, r.Code, test.wantCode, r.After, test.after, r)
			}
		})
	}
}

// TestRefsHang: a server that says nothing, or stops in the middle, is given up after a minute.
func TestRefsHang(t *testing.T) {
	for name, sent := range map[string]string{
		"no answer": "none", "no refs": "", "in the list": "001e# service=git-upload-pack\n0000" + "003f" + commit + " refs/heads/main\x00\n0",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, hostapi.Options{Provider: "github", Transport: transport(func(r *http.Request) (*http.Response, error) {
					if sent == "none" {
						<-r.Context().Done()
						return nil, r.Context().Err()
					}
					return advertisement(io.MultiReader(strings.NewReader(sent), hanging{r.Context()})), nil
				})})
				began := time.Now()
				r := refsRefusal(t, c, "acme/shop")
				if time.Since(began) != time.Minute || !errors.Is(r, context.DeadlineExceeded) ||
					sent != "none" && (r.Fate != again || !strings.Contains(r.Error(), "did not send all refs within 1m0s")) {
					t.Errorf("%v after %v", r, time.Since(began))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := c.Refs(ctx, "acme/shop", func(hostapi.Ref) error { return nil })
				// That the caller does not wait says nothing about the host.
				if r, ok := errors.AsType[*hostapi.Refusal](err); !ok || r.Fate != again || strings.Contains(r.Error(), "1m0s") {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) { <-h.ctx.Done(); return 0, h.ctx.Err() }

// TestRefsWithoutEnd: of a server that does not stop sending no more than 64 MiB are read.
func TestRefsWithoutEnd(t *testing.T) {
	ref := fmt.Sprintf("%04x%s refs/%s", 4+41+5+1000, commit, strings.Repeat("x", 1000))
	for name, body := range map[string]*repeated{
		"refs":            {line: ref, left: -1},
		"nothing":         {line: "0004", left: -1},
		"after version 2": {line: fmt.Sprintf("%04xls-refs=%s", 4+8+1000, strings.Repeat("x", 1000)), left: -1},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, hostapi.Options{Provider: "github", Transport: transport(func(*http.Request) (*http.Response, error) {
				if name == "after version 2" {
					return advertisement(io.MultiReader(strings.NewReader("000eversion 2\n"), body)), nil
				}
				return advertisement(body), nil
			})})
			r := refsRefusal(t, c, "acme/shop")
			tooMuch := name != "nothing" // which is no ref
			if (r.Fate == final) != tooMuch || tooMuch && !strings.Contains(r.Error(), "more than 64 MiB") || body.read > 65<<20 {
				t.Errorf("%v after %d bytes", r, body.read)
			}
		})
	}
}

// TestRefsBreakOff: a server that closes the connection in the middle is no end of the list.
func TestRefsBreakOff(t *testing.T) {
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", gitrefs.AdvertisementType)
		fmt.Fprintf(w, "003d%s refs/heads/main\n", commit)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer host.Close()
	r := refsRefusal(t, newClient(t, hostapi.Options{Provider: "gitea", URL: host.URL}), "acme/shop")
	if r.Fate != again || r.Code != "timeout" || !strings.Contains(r.Error(), "list of refs broke off") {
		t.Errorf("%+v: %v", r, r)
	}
}

// TestEachRefCanStop: what each returns ends the reading, and is returned as it is.
func TestEachRefCanStop(t *testing.T) {
	for name, o := range map[string]gittest.Options{"version 2": {}, "version 0": {OnlyV0: true}} {
		host := gittest.NewServer(t, o)
		r := host.Repository("acme/shop")
		r.Commit("a", "first")
		r.Commit("b", "first")
		stop, count := errors.New("stop"), 0
		err := newClient(t, hostapi.Options{Provider: "gitea", URL: host.URL}).Refs(t.Context(), "acme/shop", func(hostapi.Ref) error {
			count++
			return stop
		})
		if err != stop || count != 1 { //nolint:errorlint // as it is
			t.Errorf("%s: %v after %d", name, err, count)
		}
	}
}

// TestRefsRequest looks at where each host is asked, and where the token is.
func TestRefsRequest(t *testing.T) {
	basic := func(user string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+token)) }
	tests := map[string]struct {
		provider, url, user string
		repository          string // acme/shop if not set
		clone               string
		value               string
	}{
		"github":              {provider: "github", clone: "https://github.com/acme/shop.git", value: basic("x-access-token")},
		"github, its API":     {provider: "github", url: "https://api.github.com", clone: "https://github.com/acme/shop.git"},
		"github, ghe.com":     {provider: "github", url: "https://api.acme.ghe.com", clone: "https://acme.ghe.com/acme/shop.git"},
		"github server":       {provider: "github", url: "https://git.example.com/", user: "ci", clone: "https://git.example.com/acme/shop.git", value: basic("ci")},
		"gitlab":              {provider: "gitlab", repository: "acme/sub group/shop", clone: "https://gitlab.com/acme/sub%20group/shop.git", value: basic("oauth2")},
		"gitlab in a folder":  {provider: "gitlab", url: "https://example.com/git", clone: "https://example.com/git/acme/shop.git"},
		"gitee":               {provider: "gitee", clone: "https://gitee.com/acme/shop.git", value: basic("oauth2")},
		"gitea":               {provider: "gitea", url: "https://git.example.com", repository: "ac me/s#h?o%p", clone: "https://git.example.com/ac%20me/s%23h%3Fo%25p.git", value: basic("oauth2")},
		"forgejo":             {provider: "forgejo", url: "https://git.example.com", clone: "https://git.example.com/acme/shop.git", value: basic("oauth2")},
		"gogs":                {provider: "gogs", url: "https://git.example.com", clone: "https://git.example.com/acme/shop.git", value: basic(token)},
		"gogs, a password":    {provider: "gogs", url: "https://git.example.com", user: "ci", clone: "https://git.example.com/acme/shop.git", value: basic("ci")},
		"bitbucket":           {provider: "bitbucket", clone: "https://bitbucket.org/acme/shop.git", value: basic("x-token-auth")},
		"bitbucket, a person": {provider: "bitbucket", url: "https://api.bitbucket.org", user: "me@example.com", clone: "https://bitbucket.org/acme/shop.git", value: basic("x-bitbucket-api-token-auth")},
		"bitbucket-server":    {provider: "bitbucket-server", url: "https://git.example.com/sub", repository: "~me/shop", clone: "https://git.example.com/sub/scm/~me/shop.git", value: "Bearer " + token},
		"bitbucket-server, a": {provider: "bitbucket-server", url: "https://git.example.com", user: "ci", clone: "https://git.example.com/scm/acme/shop.git", value: basic("ci")},
		"azure-devops":        {provider: "azure-devops", url: "https://dev.azure.com/acme", repository: "My Shop/the shop", clone: "https://dev.azure.com/acme/My%20Shop/_git/the%20shop", value: basic("")},
		"codearts-repo":       {provider: "codearts-repo", url: "https://codehub.devcloud.cn-north-4.huaweicloud.com", repository: "p1/group/shop", clone: "https://codehub.devcloud.cn-north-4.huaweicloud.com/p1/group/shop.git", value: basic("private-token")},
		"gerrit":              {provider: "gerrit", url: "https://git.example.com/r", user: "ci", repository: "plugins/shop", clone: "https://git.example.com/r/a/plugins/shop", value: basic("ci")},
		"gerrit, a name":      {provider: "gerrit", url: "https://git.example.com", user: "ci", repository: "shop", clone: "https://git.example.com/a/shop", value: basic("ci")},
		"codearts-repo, a":    {provider: "codearts-repo", url: "https://codehub.devcloud.cn-north-4.huaweicloud.com", user: "acme/ci", clone: "https://codehub.devcloud.cn-north-4.huaweicloud.com/acme/shop.git", value: basic("acme/ci")},
		"gitcode":             {provider: "gitcode", clone: "https://gitcode.com/acme/shop.git", value: basic("oauth2")},
		"codeup":              {provider: "codeup", repository: "5f2d/web/shop", clone: "https://codeup.aliyun.com/5f2d/web/shop.git", value: basic("oauth2")},
		"tgit":                {provider: "tgit", clone: "https://git.code.tencent.com/acme/shop.git", value: basic("private")},
		"tgit, a password":    {provider: "tgit", url: "https://git.example.com", user: "ci", clone: "https://git.example.com/acme/shop.git", value: basic("ci")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.repository == "" {
				test.repository = "acme/shop"
			}
			var sent []string
			var counted []string
			c := newClient(t, hostapi.Options{
				Provider: test.provider, URL: test.url, Username: test.user,
				Requests: func(call, code string) { counted = append(counted, call+" "+code) },
				Transport: transport(func(r *http.Request) (*http.Response, error) {
					sent = append(sent, r.Method+" "+r.URL.String())
					if got := r.Header.Get("Authorization"); test.value != "" && got != test.value {
						t.Errorf("Authorization %q, want %q", got, test.value)
					}
					if r.Header.Get("Git-Protocol") != "version=2" || !strings.HasPrefix(r.UserAgent(), "git/") {
						t.Errorf("headers %v", r.Header)
					}
					if r.Method == http.MethodGet {
						return advertisement(strings.NewReader("000eversion 2\n000cls-refs\n0000")), nil
					}
					res := advertisement(strings.NewReader("0000"))
					res.Header.Set("Content-Type", gitrefs.ResultType)
					return res, nil
				}),
			})
			refs, err := read(t, c, test.repository)
			want := []string{"GET " + test.clone + "/info/refs?service=git-upload-pack", "POST " + test.clone + "/git-upload-pack"}
			if err != nil || len(refs) != 0 || !slices.Equal(sent, want) || !slices.Equal(counted, []string{"refs 200", "refs 200"}) {
				t.Errorf("%v, sent %q, want %q; counted %q", err, sent, want, counted)
			}
		})
	}
	for _, provider := range append(slices.Clone(providers), "gogs", "codearts-repo", "gitcode", "codeup", "tgit") {
		c := newClient(t, hostapi.Options{Provider: provider, URL: "http://127.0.0.1:9"})
		for _, repository := range []string{"", "shop", "acme/", "acme/../shop", "/shop"} {
			if r := refsRefusal(t, c, repository); r.Fate != final || r.Code != "not_sent" {
				t.Errorf("%s, %q: %+v", provider, repository, r)
			}
		}
		if want := slices.Contains(providers, provider); c.TakesStatuses() != want {
			t.Errorf("%s takes statuses: %t", provider, !want)
		}
	}
}

// TestRefsHostDown: nothing of the source can be read while nobody listens.
func TestRefsHostDown(t *testing.T) {
	host := newHost(t, hostapitest.Options{})
	host.SetDown(true)
	r := refsRefusal(t, newClient(t, hostapi.Options{Provider: "gogs", URL: host.URL}), "acme/shop")
	if r.Fate != source || r.Code != "not_sent" || !strings.Contains(r.Error(), "cannot be reached at "+host.URL) {
		t.Errorf("%+v: %v", r, r)
	}
}

// BenchmarkRefs reads 50,000 refs of a server in memory.
func BenchmarkRefs(b *testing.B) {
	const many, name = 50_000, " refs/heads/feature/JIRA-12345-something\n"
	c, err := hostapi.New(hostapi.Options{Provider: "github", Token: secret(token), Transport: transport(func(*http.Request) (*http.Response, error) {
		return advertisement(io.MultiReader(
			strings.NewReader("001e# service=git-upload-pack\n0000"),
			&repeated{line: fmt.Sprintf("%04x%s%s", 4+len(commit)+len(name), commit, name), left: many},
			strings.NewReader("0000"),
		)), nil
	})})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		count := 0
		if err := c.Refs(b.Context(), "acme/shop", func(hostapi.Ref) error { count++; return nil }); err != nil || count != many {
			b.Fatal(err, count)
		}
	}
}
