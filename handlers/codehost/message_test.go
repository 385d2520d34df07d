package codehost

import (
	"errors"
	"net/http"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
)

// pushHeader has the header by which the host names a push.
func pushHeader(t testing.TB, provider string) http.Header {
	t.Helper()
	host, err := hostOf(provider)
	if err != nil {
		t.Fatal(err)
	}
	header, _ := readDelivery(t, filepath.Join("testdata", provider, "push.http"))
	named := http.Header{}
	if len(host.eventHeaders) > 0 {
		named.Set(host.eventHeaders[0], header.Get(host.eventHeaders[0]))
	}
	return named
}

func TestDecodeMalformed(t *testing.T) {
	const (
		id   = "1111111111111111111111111111111111111111"
		pre  = `{"before":"` + id + `",`
		push = pre + `"after":"` + id + `","ref":"refs/heads/main"`
		full = `,"repository":{"full_name":"acme/shop"},"project":{"path_with_namespace":"acme/shop"},"object_kind":"push"}`
	)
	type cases map[string]struct {
		body string
		want string // part of the error
	}
	everywhere := cases{
		"empty":                         {"", "the body is empty"},
		"white space":                   {" \n", "the body is empty"},
		"null":                          {"null", "not a JSON object"},
		"a list":                        {"[]", "not a JSON object"},
		"a string":                      {`"push"`, "not a JSON object"},
		"a number":                      {"1", "not a JSON object"},
		"cut off":                       {`{"ref":`, "not JSON at byte"},
		"something behind":              {push + full + "x", "not JSON at byte"},
		"twice":                         {push + full + push + full, "not JSON at byte"},
		"too deep":                      {strings.Repeat(`{"a":`, 10001) + "1" + strings.Repeat("}", 10001), "depth"},
		"HTML":                          {"<html>", "not a JSON object"},
		"a byte order mark":             {"\xef\xbb\xbf" + push + full, "begins with a byte order mark"},
		"the byte order mark of UTF-16": {"\xff\xfe{\x00}\x00", "byte order mark of UTF-16"},
	}
	// For hosts whose body is about one ref.
	single := func(repository string) cases {
		return cases{
			"ref missing":        {pre + `"after":"` + id + `"` + full, "ref is missing"},
			"ref null":           {pre + `"after":"` + id + `","ref":null` + full, "ref is missing"},
			"ref of no name":     {pre + `"after":"` + id + `","ref":"refs/heads/"` + full, "names nothing"},
			"tag of no name":     {pre + `"after":"` + id + `","ref":"refs/tags/"` + full, "names nothing"},
			"ref a number":       {pre + `"after":"` + id + `","ref":1` + full, "ref is a JSON number"},
			"after missing":      {pre + `"ref":"refs/heads/main"` + full, "after is missing"},
			"after no id":        {pre + `"after":"main","ref":"refs/heads/main"` + full, "after is not an object id"},
			"after short":        {pre + `"after":"` + id[1:] + `","ref":"refs/heads/main"` + full, "after is not an object id"},
			"repository missing": {push + `,"object_kind":"push"}`, repository + " is missing"},
			"repository null":    {push + `,"repository":null,"project":null,"object_kind":"push"}`, repository + " is missing"},
			"repository text":    {push + `,"repository":"x","project":"x","object_kind":"push"}`, "is a JSON string"},
			"repository a name":  {push + `,"repository":{"full_name":"shop"},"project":{"path_with_namespace":"shop"},"object_kind":"push"}`, "is not an owner and a name"},
			"repository a slash": {push + `,"repository":{"full_name":"shop/"},"project":{"path_with_namespace":"/shop"},"object_kind":"push"}`, "is not an owner and a name"},
		}
	}
	gogs := single("repository.full_name")
	delete(gogs, "tag of no name") // a push of a tag is no event there
	byProvider := map[string]cases{
		"github":        single("repository.full_name"),
		"gitlab":        single("project.path_with_namespace"),
		"gitcode":       single("repository.homepage or repository.git_http_url"),
		"codeup":        single("repository.homepage or repository.git_http_url"),
		"tgit":          single("repository.homepage or repository.git_http_url"),
		"gitee":         single("repository.path_with_namespace"),
		"gitea":         single("repository.full_name"),
		"forgejo":       single("repository.full_name"),
		"codearts-repo": single("project.path_with_namespace"),
		"gogs":          gogs,
		"bitbucket": {
			"no changes":         {`{"push":{}}`, "push.changes is missing"},
			"push null":          {`{"push":null}`, "push.changes is missing"},
			"push text":          {`{"push":"x"}`, "push is a JSON string"},
			"no type":            {`{"push":{"changes":[{"new":{"name":"x"}}]}}`, "push.changes[0].new.type is missing"},
			"no name":            {`{"push":{"changes":[{"new":{"type":"branch"}}]}}`, "push.changes[0].new.name is missing"},
			"no target":          {`{"push":{"changes":[{"new":{"type":"branch","name":"x"}}]}}`, "push.changes[0].new.target.hash is missing"},
			"second one is bad":  {`{"push":{"changes":[{"new":null},{"new":{"type":"branch","name":"x"}}]}}`, "push.changes[1].new.target.hash is missing"},
			"repository missing": {`{"push":{"changes":[{"new":{"type":"tag","name":"x","target":{"hash":"` + id + `"}}}]}}`, "repository.full_name is missing"},
		},
		"bitbucket-server": {
			"no changes":         {`{}`, "changes is missing"},
			"changes null":       {`{"changes":null}`, "changes is missing"},
			"empty change":       {`{"changes":[{}]}`, "changes[0].refId is missing"},
			"change null":        {`{"changes":[null]}`, "changes[0].refId is missing"},
			"no hash":            {`{"changes":[{"refId":"refs/heads/x"}]}`, "changes[0].toHash is missing"},
			"repository missing": {`{"changes":[{"refId":"refs/heads/x","toHash":"` + id + `"}]}`, "repository.project.key or repository.slug is missing"},
			"no slug":            {`{"repository":{"project":{"key":"A"}},"changes":[{"refId":"refs/heads/x","toHash":"` + id + `"}]}`, "repository.slug is missing"},
		},
		"gerrit": {
			"no type":            {`{"refUpdate":{"refName":"refs/heads/x"}}`, "type is missing"},
			"type a number":      {`{"type":1}`, "type is a JSON number"},
			"no update":          {`{"type":"ref-updated"}`, "refUpdate.refName is missing"},
			"update null":        {`{"type":"ref-updated","refUpdate":null}`, "refUpdate.refName is missing"},
			"update a list":      {`{"type":"ref-updated","refUpdate":[]}`, "refUpdate is a JSON array"},
			"no id":              {`{"type":"ref-updated","refUpdate":{"refName":"main"}}`, "refUpdate.newRev is missing"},
			"no project":         {`{"type":"ref-updated","refUpdate":{"refName":"refs/tags/x","newRev":"` + id + `"}}`, "refUpdate.project is missing"},
			"project of no name": {`{"type":"ref-updated","refUpdate":{"refName":"main","newRev":"` + id + `","project":"shop/"}}`, "is not an owner and a name"},
			"project of a slash": {`{"type":"ref-updated","refUpdate":{"refName":"main","newRev":"` + id + `","project":"/shop"}}`, "is not an owner and a name"},
			"no updates":         {`{"type":"batch-ref-updated"}`, "refUpdates is missing"},
			"second one is bad":  {`{"type":"batch-ref-updated","refUpdates":[{"refName":"refs/meta/x"},{"refName":"refs/heads/x"}]}`, "refUpdates[1].newRev is missing"},
		},
		"azure-devops": {
			"no event":           {`{}`, "eventType is missing"},
			"no resource":        {`{"eventType":"git.push"}`, "resource details to send to All"},
			"resource null":      {`{"eventType":"git.push","resource":null}`, "resource.refUpdates is missing"},
			"resource a list":    {`{"eventType":"git.push","resource":[]}`, "resource is a JSON array"},
			"no updates":         {`{"eventType":"git.push","resource":{}}`, "resource.refUpdates is missing"},
			"empty update":       {`{"eventType":"git.push","resource":{"refUpdates":[{}]}}`, "resource.refUpdates[0].name is missing"},
			"no id":              {`{"eventType":"git.push","resource":{"refUpdates":[{"name":"refs/heads/x"}]}}`, "resource.refUpdates[0].newObjectId is missing"},
			"repository missing": {`{"eventType":"git.push","resource":{"refUpdates":[{"name":"refs/heads/x","newObjectId":"` + id + `"}]}}`, "resource.repository.name is missing"},
		},
	}
	for _, provider := range providerNames() {
		for _, table := range []cases{everywhere, byProvider[provider]} {
			for name, test := range table {
				t.Run(provider+"/"+name, func(t *testing.T) {
					m, err := Trust(provider, pushHeader(t, provider), []byte(test.body))
					if err != nil {
						t.Fatal(err)
					}
					d, err := m.Decode()
					if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), test.want) {
						t.Fatalf("error %v, want %q in it", err, test.want)
					}
					if !reflect.ValueOf(d).IsZero() {
						t.Errorf("delivery %+v beside an error", d)
					}
					if strings.Contains(err.Error(), "Payload") || strings.Contains(err.Error(), "Go struct") {
						t.Errorf("the error tells of our types: %v", err)
					}
				})
			}
		}
		t.Run(provider+"/an empty object", func(t *testing.T) {
			m, err := Trust(provider, pushHeader(t, provider), []byte(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			if _, err = m.Decode(); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "missing") {
				t.Error(err)
			}
		})
		if host, err := hostOf(provider); err == nil && !host.eventInBody {
			t.Run(provider+"/no event header", func(t *testing.T) {
				m, err := Trust(provider, nil, []byte(push+full))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := m.Decode(); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "header X-") {
					t.Error(err)
				}
			})
		}
		t.Run(provider+"/another event that is no JSON", func(t *testing.T) {
			header := pushHeader(t, provider)
			for name := range header {
				header.Set(name, "issues")
			}
			m, err := Trust(provider, header, []byte(`{"a":`))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Decode(); !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
		})
	}
}

// A field that is not read, or that an old version does not send, costs no build.
func TestDecodeTolerates(t *testing.T) {
	const (
		id   = "1111111111111111111111111111111111111111"
		push = `{"before":"2222222222222222222222222222222222222222","after":"` + id + `","checkout_sha":"` + id + `","ref":"refs/heads/main","object_kind":"push",` +
			`"repository":{"full_name":"acme/shop"},"project":{"path_with_namespace":"acme/shop"}`
	)
	for name, rest := range map[string]string{
		"nothing else":       ``,
		"nulls":              `,"commits":null,"head_commit":null,"pusher":null,"sender":null,"user_name":null,"total_commits":null,"total_commits_count":null`,
		"null commit":        `,"commits":[null]`,
		"odd dates":          `,"commits":[{"id":"` + id + `","timestamp":"1700000000"}],"head_commit":{"id":"` + id + `","timestamp":"yesterday"}`,
		"empty dates":        `,"commits":[{"id":"` + id + `","timestamp":""}]`,
		"ids as text":        `,"sender":{"id":"7"},"user_id":"7","project_id":"7","installation":{"id":"x"}`,
		"author without":     `,"commits":[{"id":"` + id + `","author":null}],"head_commit":{"id":"` + id + `","author":null}`,
		"unknown fields":     `,"quantum":{"state":["both"]}`,
		"broken UTF-8":       `,"compare_url":"` + "\xff\xfe" + `"`,
		"half a surrogate":   `,"compare_url":"\ud800"`,
		"upper-case ids":     `,"checkout_sha":"` + strings.Repeat("A", 40) + `"`,
		"no author or lists": `,"commits":[{"id":"` + id + `"}],"total_commits":1,"total_commits_count":1`,
		"odd commits": `,"base_ref":1,"compare":1,"compare_url":1,"user_email":1,"user_avatar":1,"commits":[{"id":"` + id + `","url":1,"title":1,"tree_id":1,"distinct":1,"author":{"email":1},"committer":"x"}],` +
			`"head_commit":{"id":"` + id + `","url":1,"tree_id":1,"distinct":"yes","author":{"email":1,"username":1},"committer":1}`,
		"totals of no number": `,"commits":[{"id":"` + id + `"}],"total_commits":"many","total_commits_count":{"of":1}`,
		"an older repository": `,"owner":{"last_login":"never"}`,
	} {
		for _, provider := range []string{
			"github", "gitlab", "gitee", "gitea", "forgejo", "gogs", "codearts-repo", "gitcode", "codeup", "tgit",
		} {
			t.Run(provider+"/"+name, func(t *testing.T) {
				m, err := Trust(provider, pushHeader(t, provider), []byte(push+rest+"}"))
				if err != nil {
					t.Fatal(err)
				}
				d, err := m.Decode()
				if err != nil {
					t.Fatal(err)
				}
				if len(d.Events) != 1 {
					t.Fatalf("%d events", len(d.Events))
				}
				e := d.Events[0]
				if e.Commit != id || e.Branch != "main" || e.Repository != "acme/shop" {
					t.Errorf("%+v", e)
				}
				if e.FilesComplete {
					t.Error("files said to be complete that nobody listed")
				}
			})
		}
	}
}

// An error has only a part of a long text of the host: it is sent back and logged.
func TestMalformedIsShort(t *testing.T) {
	name := strings.Repeat("x", 100_000)
	m, err := Trust("github", pushHeader(t, "github"), []byte(
		`{"after":"1111111111111111111111111111111111111111","ref":"refs/heads/main","repository":{"full_name":"`+name+`"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Decode(); !errors.Is(err, ErrMalformed) || len(err.Error()) > 500 {
		t.Errorf("%.100v…, %d bytes", err, len(err.Error()))
	}
}

// Git ends a message with a line break, which no parameter may hold.
func TestMessagesEndWithoutLineBreaks(t *testing.T) {
	for provider, paths := range deliveries(t) {
		t.Run(provider, func(t *testing.T) {
			told := false
			for _, path := range paths {
				header, raw := readDelivery(t, path)
				if header.Get("Content-Type") == formType {
					continue
				}
				decode := func(raw []byte) []mapping.Event {
					m, err := Trust(provider, header, raw)
					if err != nil {
						t.Fatal(err)
					}
					d, err := m.Decode()
					if err != nil {
						t.Fatal(err)
					}
					return d.Events
				}
				// All texts that may be messages get line breaks at their ends.
				ended := regexp.MustCompile(`("(?:message|comment)": *"(?:[^"\\]|\\.)*)"`).ReplaceAll(raw, []byte(`$1\n\r\n"`))
				want, got := decode(raw), decode(ended)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: -without line breaks +with\n%s", path, diff)
				}
				for _, e := range want {
					told = told || e.Message != ""
				}
			}
			if !told && provider != "gerrit" { // it sends none
				t.Error("no message in any delivery")
			}
		})
	}
}

func TestFilesComplete(t *testing.T) {
	const (
		whyAdded = "a renamed file may be sent as added alone"
		whyBare  = "a commit without files may have changed the type of some, which is not sent"
	)
	const (
		before = "2222222222222222222222222222222222222222"
		after  = "1111111111111111111111111111111111111111"
		pushed = `{"before":"` + before + `","after":"` + after + `","ref":"refs/heads/main","object_kind":"push",` +
			`"repository":{"full_name":"acme/shop","slug":"shop","project":{"key":"acme"}},"project":{"path_with_namespace":"acme/shop"},`
		one  = `{"id":"` + after + `","added":["b"],"removed":["c","a"],"modified":["b"]}`
		old  = `{"id":"` + after + `","added":[],"removed":["c","a"],"modified":["b"]}`
		bare = `{"id":"` + after + `","added":[],"removed":[],"modified":[]}`
	)
	list := func(n int, commit string) string {
		return `"commits":[` + strings.TrimSuffix(strings.Repeat(commit+",", n), ",") + `]`
	}
	commits := func(n int) string { return list(n, old) }
	modified := func(n int) string {
		return `"commits":[{"added":[],"removed":[],"modified":[` + strings.TrimSuffix(strings.Repeat(`"x",`, n), ",") + `]}]`
	}
	for name, test := range map[string]struct {
		provider, rest string
		want           string // FilesUnknown
	}{
		"GitHub":                               {"github", list(2, one), ""},
		"GitHub, a commit of no files":         {"github", list(1, bare), ""},
		"GitHub, 2047 commits":                 {"github", commits(2047), ""},
		"GitHub, 2048 commits":                 {"github", commits(2048), "GitHub sends at most 2048 commits"},
		"GitHub, 2999 files":                   {"github", modified(2999), ""},
		"GitHub, 3000 files":                   {"github", modified(3000), "GitHub lists at most 3000 files of a commit"},
		"GitHub, forced":                       {"github", commits(1) + `,"forced":true`, "the push was forced"},
		"GitHub, new":                          {"github", commits(1) + `,"created":true`, "a new branch"},
		"GitHub, no list":                      {"github", `"commits":{}`, "the commits are not a list"},
		"GitHub, a list of files that is none": {"github", `"commits":[{"added":[],"removed":[],"modified":"x"}]`, "a commit has a malformed list of files"},
		"GitHub, a file that is none":          {"github", `"commits":[{"added":[],"removed":[],"modified":["x",1]}]`, "a commit has a malformed list of files"},
		"GitHub, none":                         {"github", commits(0), "the push has no commits"},
		"GitHub, a commit without its files":   {"github", `"commits":[` + one + `,{"id":"x"}]`, "a commit came without its files"},
		"GitLab, a file is added":              {"gitlab", list(1, one) + `,"total_commits_count":1`, whyAdded},
		"GitLab, a commit of no files":         {"gitlab", `"commits":[` + old + `,` + bare + `],"total_commits_count":2`, ""},
		"CodeArts Repo, a file is added":       {"codearts-repo", list(1, one) + `,"total_commits_count":1`, whyAdded},
		"CodeArts Repo, a commit of no files":  {"codearts-repo", `"commits":[` + old + `,` + bare + `],"total_commits_count":2`, ""},
		"Gitee, a file is added":               {"gitee", list(1, one) + `,"total_commits_count":1`, ""},
		"Gitee, a commit of no files":          {"gitee", `"commits":[` + old + `,` + bare + `],"total_commits_count":2`, whyBare},
		"Gitea, a file is added":               {"gitea", list(1, one) + `,"total_commits":1`, ""},
		"Gitea, a commit of no files":          {"gitea", `"commits":[` + old + `,` + bare + `],"total_commits":2`, whyBare},
		"Forgejo, a file is added":             {"forgejo", list(1, one) + `,"total_commits":1`, ""},
		"Forgejo, a commit of no files":        {"forgejo", `"commits":[` + old + `,` + bare + `],"total_commits":2`, whyBare},
		"Bitbucket Data Center":                {"bitbucket-server", `"changes":[{"refId":"refs/heads/main","toHash":"` + after + `"}]`, "the host sends no files"},
		"GitLab":                               {"gitlab", commits(2) + `,"total_commits_count":2`, ""},
		"GitLab, a total as text":              {"gitlab", commits(2) + `,"total_commits_count":"2"`, ""},
		"GitLab, more":                         {"gitlab", commits(20) + `,"total_commits_count":21`, "21 commits, 20 of them sent"},
		"GitLab, no total":                     {"gitlab", commits(2), "the host did not say how many commits the push has"},
		"GitLab, none":                         {"gitlab", commits(0) + `,"total_commits_count":0`, "the push has no commits"},
		"CodeArts Repo":                        {"codearts-repo", commits(2) + `,"total_commits_count":2`, ""},
		"CodeArts Repo, no total":              {"codearts-repo", commits(2), "the host did not say how many commits the push has"},
		"Gitea":                                {"gitea", commits(2) + `,"total_commits":2`, ""},
		"Gitea, more":                          {"gitea", commits(5) + `,"total_commits":8`, "8 commits, 5 of them sent"},
		"Gitea, no total":                      {"gitea", commits(2), "the host did not say how many commits the push has"},
		"Forgejo":                              {"forgejo", commits(2) + `,"total_commits":2`, ""},
		"Gogs":                                 {"gogs", commits(2), "Gogs sends at most 5 commits, and not how many there are"},
		"Gogs, with a total it cannot know":    {"gogs", commits(2) + `,"total_commits":2`, "Gogs sends at most 5 commits, and not how many there are"},
		"Gitee":                                {"gitee", commits(2) + `,"total_commits_count":2,"commits_more_than_ten":false`, ""},
		"Gitee, no flag":                       {"gitee", commits(2) + `,"total_commits_count":2`, ""},
		"Gitee, more":                          {"gitee", commits(10) + `,"total_commits_count":10,"commits_more_than_ten":true`, "there may be more commits than were sent"},
		"Gitee, total":                         {"gitee", commits(10) + `,"total_commits_count":11`, "11 commits, 10 of them sent"},
		"Gitee, no total":                      {"gitee", commits(2), "the host did not say how many commits the push has"},
		"GitCode":                              {"gitcode", commits(2) + `,"total_commits_count":2`, ""},
		"GitCode, a file is added":             {"gitcode", list(1, one) + `,"total_commits_count":1`, whyAdded},
		"GitCode, more":                        {"gitcode", commits(2) + `,"total_commits_count":3`, "3 commits, 2 of them sent"},
		"Codeup":                               {"codeup", `"commits":[{"id":"` + after + `"}],"total_commits_count":1`, "commit 1111111 came without its files"},
		"TGit":                                 {"tgit", commits(2) + `,"total_commits_count":2`, ""},
		"TGit, a file is added":                {"tgit", list(1, one) + `,"total_commits_count":1`, whyAdded},
		"TGit, forced":                         {"tgit", commits(1) + `,"total_commits_count":1,"operation_kind":"update_nonfastforward"`, "the push was forced"},
		"TGit, new":                            {"tgit", commits(1) + `,"total_commits_count":1,"operation_kind":"create"`, "a new branch"},
		"TGit, reset":                          {"tgit", commits(0) + `,"total_commits_count":0`, "the push has no commits"},
		"Gitee, ten":                           {"gitee", commits(1) + `,"total_commits_count":1,"commits_more_than_ten":10`, "there may be more commits than were sent"},
		"Gitee, new":                           {"gitee", commits(2) + `,"total_commits_count":2,"created":true`, "a new branch"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Trust(test.provider, pushHeader(t, test.provider), []byte(pushed+test.rest+"}"))
			if err != nil {
				t.Fatal(err)
			}
			d, err := m.Decode()
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Events[0].FilesUnknown; got != test.want {
				t.Errorf("unknown because %q, want %q", got, test.want)
			}
			if strings.Contains(test.rest, old) || strings.Contains(test.rest, one) {
				if diff := cmp.Diff([]string{"a", "b", "c"}, d.Events[0].Files); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestStored(t *testing.T) {
	for name, test := range map[string]struct {
		provider, body, want string
	}{
		"Gitee":            {"gitee", `{"b": "<&>é\u2028", "password":"p","sign":"s", "a":[1, 2]}`, `{"a":[1,2],"b":"<&>é\u2028","password":"[hidden]","sign":"[hidden]"}`},
		"Gitee, odd type":  {"gitee", `{"password":{"is":"p"}}`, `{"password":"[hidden]"}`},
		"Gitee, nothing":   {"gitee", `{"signature": "", "ref":null}`, `{"signature": "", "ref":null}`},
		"Gitee, null":      {"gitee", `{"password": null}`, `{"password":"[hidden]"}`},
		"Gitee, no object": {"gitee", `["password"]`, ``},
		"Gogs":             {"gogs", `{"secret":"s","ref":"x"}`, `{"ref":"x","secret":"[hidden]"}`},
		"Gitea":            {"gitea", `{"secret":"s"}`, `{"secret":"[hidden]"}`},
		"GitHub":           {"github", `{"ref": "x"}`, `{"ref": "x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Trust(test.provider, nil, []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(m.stored()); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// The header that is stored has no credentials.
func TestHeader(t *testing.T) {
	h := http.Header{}
	for _, name := range []string{
		"Authorization", "Cookie", "X-Hub-Signature", "X-Hub-Signature-256", "X-Gitlab-Token", "Webhook-Signature", "X-Gitee-Token",
		"X-Gitea-Signature", "X-Forgejo-Signature", "X-Gogs-Signature", "X-Repo-Token", "X-Auth-Token",
		"X-GitHub-Event", "X-GitHub-Delivery", "X-Gitlab-Event", "Idempotency-Key", "X-Gitee-Event", "X-Gitea-Event", "X-Gitea-Delivery",
		"X-Forgejo-Event", "X-Forgejo-Delivery", "X-Gogs-Event", "X-Gogs-Delivery", "X-Event-Key", "X-Request-UUID", "X-Request-Id",
		"X-Codehub-Event", "X-GitCode-Event", "X-GitCode-Delivery", "X-AtomGit-Event", "X-AtomGit-Delivery", "X-Codeup-Event", "Codeup-Event",
		"X-Event", "X-TRACE-ID", "X-Source-Type",
		"X-GitCode-Token", "X-GitCode-Signature-256", "X-AtomGit-Signature", "X-Codeup-Token", "X-Token",
	} {
		h.Set(name, name)
	}
	for provider, want := range map[string][]string{
		"github":           {"X-GitHub-Event", "X-GitHub-Delivery"},
		"gitlab":           {"X-Gitlab-Event", "Idempotency-Key"},
		"gitee":            {"X-Gitee-Event"},
		"gitea":            {"X-Gitea-Event", "X-Gitea-Delivery"},
		"forgejo":          {"X-Forgejo-Event", "X-Forgejo-Delivery", "X-Gitea-Event", "X-Gitea-Delivery"},
		"gogs":             {"X-Gogs-Event", "X-Gogs-Delivery"},
		"bitbucket":        {"X-Event-Key", "X-Request-UUID"},
		"bitbucket-server": {"X-Event-Key", "X-Request-Id"},
		"azure-devops":     {},
		"codearts-repo":    {"X-Codehub-Event"},
		"gitcode":          {"X-GitCode-Event", "X-GitCode-Delivery", "X-AtomGit-Event", "X-AtomGit-Delivery"},
		"codeup":           {"X-Codeup-Event", "Codeup-Event"},
		"tgit":             {"X-Event", "X-Gitlab-Event", "X-Source-Type"},
	} {
		t.Run(provider, func(t *testing.T) {
			m, err := Trust(provider, h, []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			expected := make(map[string]string)
			for _, name := range want {
				expected[http.CanonicalHeaderKey(name)] = name
			}
			if diff := cmp.Diff(expected, m.header); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestDecodeLongEvent(t *testing.T) {
	m, err := Trust("azure-devops", nil, []byte(`{"eventType":"`+strings.Repeat("é", 1000)+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	d, err := m.Decode()
	if err != nil || len(d.Event) > maxEvent || d.Ignored != mapping.ReasonEvent {
		t.Errorf("event of %d bytes, ignored %q, %v", len(d.Event), d.Ignored, err)
	}
}

// A deleted ref is recognised even if other fields are missing.
func TestDecodeDeleted(t *testing.T) {
	const (
		id    = `"1111111111111111111111111111111111111111"`
		zeros = `"0000000000000000000000000000000000000000"`
		long  = `"0000000000000000000000000000000000000000000000000000000000000000"`
	)
	for name, test := range map[string]struct{ provider, body string }{
		"GitHub, flag":                {"github", `{"ref":"refs/heads/x","after":` + id + `,"deleted":true}`},
		"GitHub, zeros":               {"github", `{"ref":"refs/heads/x","after":` + zeros + `}`},
		"GitHub, zeros of SHA-256":    {"github", `{"after":` + long + `}`},
		"GitLab":                      {"gitlab", `{"after":` + zeros + `}`},
		"Gitee, flag":                 {"gitee", `{"after":` + id + `,"deleted":true}`},
		"Gitee, zeros":                {"gitee", `{"after":` + zeros + `}`},
		"Gitea":                       {"gitea", `{"after":` + zeros + `}`},
		"Gitea, a note":               {"gitea", `{"ref":"refs/notes/x","after":` + zeros + `}`},
		"Forgejo":                     {"forgejo", `{"after":` + long + `}`},
		"Gogs":                        {"gogs", `{"after":` + zeros + `}`},
		"Gogs, a tag":                 {"gogs", `{"ref":"refs/tags/x","after":` + zeros + `}`},
		"Bitbucket, null":             {"bitbucket", `{"push":{"changes":[{"new":null}]}}`},
		"Bitbucket, absent":           {"bitbucket", `{"push":{"changes":[{}]}}`},
		"Bitbucket Data Center, type": {"bitbucket-server", `{"changes":[{"type":"DELETE","toHash":` + id + `}]}`},
		"Bitbucket Data Center":       {"bitbucket-server", `{"changes":[{"toHash":` + zeros + `}]}`},
		"Azure DevOps":                {"azure-devops", `{"eventType":"git.push","resource":{"refUpdates":[{"newObjectId":` + zeros + `}]}}`},
		"CodeArts Repo":               {"codearts-repo", `{"object_kind":"tag_push","after":` + zeros + `}`},
		"GitCode":                     {"gitcode", `{"object_kind":"tag_push","after":` + zeros + `}`},
		"Codeup":                      {"codeup", `{"object_kind":"push","after":` + zeros + `}`},
		"TGit":                        {"tgit", `{"object_kind":"push","after":` + zeros + `}`},
		"TGit, operation":             {"tgit", `{"object_kind":"tag_push","operation_kind":"delete","before":` + id + `,"after":` + id + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Trust(test.provider, pushHeader(t, test.provider), []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			d, err := m.Decode()
			if err != nil || d.Ignored != mapping.ReasonDeleted || len(d.Events) != 0 {
				t.Errorf("ignored %q, events %v, error %v", d.Ignored, d.Events, err)
			}
		})
	}
}

// An invented push by which a host tests its webhook is a ping.
func TestDecodeTestDelivery(t *testing.T) {
	const (
		zeros  = `"0000000000000000000000000000000000000000"`
		sample = `"before":"95790bf891e76fee5e1747ab589903a6a1f80f22","after":"da1560886d4f094c3e6c9ef40349f7d38b5d27d7","ref":"refs/heads/master"`
		gitea  = `{"ref":"refs/heads/main","before":` + zeros + `,"after":` + zeros + `,"commits":[{"id":` + zeros + `,"message":"This is a fake commit",` +
			`"author":{"name":"Ghost"},"added":null,"removed":null,"modified":null}],"total_commits":1,"repository":{"full_name":"acme/shop"}}`
	)
	for name, test := range map[string]struct {
		provider, body string
		builds         bool
	}{
		"Gitea":                             {"gitea", gitea, false},
		"Forgejo":                           {"forgejo", gitea, false},
		"Gogs, an empty repository":         {"gogs", gitea, false},
		"Gitea, SHA-256":                    {"gitea", strings.ReplaceAll(gitea, zeros, `"`+strings.Repeat("0", 64)+`"`), false},
		"GitLab, System Hook":               {"gitlab", `{"object_kind":"push",` + sample + `,"project":{"path_with_namespace":"gitlab/gitlab"}}`, false},
		"GitLab, System Hook of an old one": {"gitlab", `{"object_kind":"push",` + sample + `,"project_id":15}`, false},
		"GitLab, a project of that commit":  {"gitlab", `{"object_kind":"push",` + sample + `,"project":{"path_with_namespace":"mike/diaspora"}}`, true},
		"Gogs, a real commit":               {"gogs", strings.ReplaceAll(gitea, zeros, `"`+strings.Repeat("1", 40)+`"`), true},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Trust(test.provider, pushHeader(t, test.provider), []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			d, err := m.Decode()
			want := mapping.ReasonPing
			if test.builds {
				want = ""
			}
			if err != nil || d.Ignored != want || (len(d.Events) > 0) != test.builds {
				t.Errorf("ignored %q, events %v, error %v", d.Ignored, d.Events, err)
			}
		})
	}
}

// Which of several commits is the tag's is not known.
func TestTagWithCommits(t *testing.T) {
	one, two := strings.Repeat("1", 40), strings.Repeat("2", 40)
	for _, provider := range []string{"gitcode", "codeup", "tgit"} {
		for commits, want := range map[string]string{
			``: "", `[]`: "", `null`: "", `{}`: "",
			`[{"id":"` + one + `"}]`:                      one,
			`[{"id":"` + one + `"},{"id":"` + two + `"}]`: "",
			`[{"id":"` + two + `"},{"id":"` + one + `"}]`: "",
		} {
			if commits != "" {
				commits = `"commits":` + commits + `,`
			}
			d := decodeBody(t, provider, pushHeader(t, provider), []byte(`{"object_kind":"tag_push","ref":"refs/tags/v1","after":"`+strings.Repeat("3", 40)+`",`+
				commits+`"repository":{"homepage":"https://git.example.com/acme/shop"}}`))
			if got := d.Events[0].Commit; got != want {
				t.Errorf("%s with %s: commit %q, want %q", provider, commits, got, want)
			}
		}
	}
}

// A flag or an id of zeros means that a ref is new.
func TestDecodeCreated(t *testing.T) {
	const (
		id   = `"1111111111111111111111111111111111111111"`
		ref  = `"refId":"refs/heads/x","toHash":` + id
		rest = `"ref":"refs/heads/x","after":` + id + `,"repository":{"full_name":"acme/shop","path_with_namespace":"acme/shop","slug":"shop","project":{"key":"ACME"}}`
	)
	for name, test := range map[string]struct {
		provider, body string
		want           bool
	}{
		"GitHub, flag":                  {"github", `{"created":true,` + rest + `}`, true},
		"GitHub, zeros":                 {"github", `{"before":"` + strings.Repeat("0", 64) + `",` + rest + `}`, true},
		"GitHub, old":                   {"github", `{"before":"` + strings.Repeat("2", 40) + `",` + rest + `}`, false},
		"Gitee, flag":                   {"gitee", `{"created":true,` + rest + `}`, true},
		"Gitea, zeros":                  {"gitea", `{"before":"` + strings.Repeat("0", 40) + `",` + rest + `}`, true},
		"TGit, operation":               {"tgit", `{"operation_kind":"create","before":"` + strings.Repeat("2", 40) + `",` + rest[:len(rest)-1] + `,"homepage":"https://git.example.com/acme/shop"}}`, true},
		"TGit, zeros":                   {"tgit", `{"operation_kind":"update","before":"` + strings.Repeat("0", 40) + `",` + rest[:len(rest)-1] + `,"homepage":"https://git.example.com/acme/shop"}}`, true},
		"TGit, update":                  {"tgit", `{"operation_kind":"update","before":"` + strings.Repeat("2", 40) + `",` + rest[:len(rest)-1] + `,"homepage":"https://git.example.com/acme/shop"}}`, false},
		"Bitbucket Data Center, type":   {"bitbucket-server", `{` + rest + `,"changes":[{"type":"ADD",` + ref + `}]}`, true},
		"Bitbucket Data Center, update": {"bitbucket-server", `{` + rest + `,"changes":[{"type":"UPDATE",` + ref + `}]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Trust(test.provider, pushHeader(t, test.provider), []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			d, err := m.Decode()
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Events[0].Created; got != test.want {
				t.Errorf("new: %t, want %t", got, test.want)
			}
		})
	}
}
