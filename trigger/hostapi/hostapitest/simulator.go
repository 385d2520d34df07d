package hostapitest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// The providers, as in the rules.
const (
	GitHub          = "github"
	GitLab          = "gitlab"
	Gitee           = "gitee"
	Gitea           = "gitea"
	Forgejo         = "forgejo"
	Bitbucket       = "bitbucket"
	BitbucketServer = "bitbucket-server"
	AzureDevOps     = "azure-devops"

	Git = "git" // the side of every host that Git talks to
)

var providers = []string{GitHub, GitLab, Gitee, Gitea, Forgejo, Bitbucket, BitbucketServer, AzureDevOps, Git}

// Options of a simulator. The zero value lets every caller in, and has every repository and
// every commit.
type Options struct {
	Token  string  // of the user "buildbridge"
	Tokens []Token // further ones

	Repositories []string // the full names of those that exist and may be seen; empty means all
	Commits      []string // those that exist; empty means all that are well-formed
	// TagObjects are ids of annotated tags. Gitea stores a status on one, and shows it nowhere.
	TagObjects []string
	// TagCommits are commits that no branch has, which GitLab finds only with a ref.
	TagCommits []string
	// Branches that exist at Bitbucket Data Center; empty means all.
	Branches []string

	Forgejo bool // what speaks Gitea's API is Forgejo
	// OldBitbucketServer is a Bitbucket Data Center before 7.4.
	OldBitbucketServer bool
	// AzureDevOpsVersion is the newest version of the API that Azure DevOps has; 7.1 if not set.
	AzureDevOpsVersion string

	// PerHour is how many statuses each host takes in an hour; 0 means no limit.
	PerHour int
	// MaxJobs is how many statuses a pipeline of GitLab takes; 0 means no limit.
	MaxJobs int

	Now func() time.Time // time.Now if not set
}

// Token is one that a host knows.
type Token struct {
	Value    string
	User     string // GitLab keeps the statuses of users apart
	ReadOnly bool   // without the scope that statuses need
	NoHooks  bool   // may not see webhooks

	Scopes  []string  // as GitHub and GitLab show them; nil if GitHub does not
	Expires time.Time // as GitLab shows it
}

// Status is one that a host was told. Its JSON has what GET /_statuses shows.
type Status struct {
	Provider    string `json:"provider"`
	Repository  string `json:"repository"` // "" for what an old Bitbucket Data Center was told
	Commit      string `json:"commit"`
	Context     string `json:"context"` // at Bitbucket the key, at Azure DevOps genre/name
	State       string `json:"state"`   // the host's own word; of a check run that has ended, the conclusion
	Description string `json:"description"`
	TargetURL   string `json:"target_url"`

	Ref  string `json:"-"` // as it was sent
	ID   string `json:"-"` // of the check run at Gitee, of the pipeline at GitLab
	User string `json:"-"` // whose token it was
}

// Simulator is the hosts as an http.Handler. It is safe for concurrent use.
type Simulator struct {
	o      Options
	mux    *http.ServeMux
	faults faults

	mu        sync.Mutex
	statuses  []Status
	shown     []shown
	taken     map[string][]time.Time // when statuses were, by provider
	pipelines []*pipeline
	runs      []*checkRun
	counts    map[string]int // of GitHub's, by commit and context
	refs      map[string]map[string]string
	ids       int64
	hooks     []Hook
}

// shown is a status that a host shows, until one with the same key comes.
type shown struct {
	key    string
	status Status
}

// New makes a simulator.
func New(o Options) *Simulator {
	if o.Token != "" {
		o.Tokens = append([]Token{{Value: o.Token, User: "buildbridge"}}, o.Tokens...)
	}
	if o.AzureDevOpsVersion == "" {
		o.AzureDevOpsVersion = "7.1"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Simulator{
		o: o, mux: http.NewServeMux(),
		taken: map[string][]time.Time{}, counts: map[string]int{}, refs: map[string]map[string]string{},
	}
	giteaName := Gitea
	if o.Forgejo {
		giteaName = Forgejo
	}
	s.call("POST /api/v3/repos/{owner}/{name}/statuses/{commit}", GitHub, (*call).github)
	s.call("POST /api/v4/projects/{path}/statuses/{commit}", GitLab, (*call).gitlab)
	s.call("POST /api/v5/repos/{owner}/{name}/check-runs", Gitee, (*call).createCheckRun)
	s.call("PATCH /api/v5/repos/{owner}/{name}/check-runs/{id}", Gitee, (*call).changeCheckRun)
	s.call("GET /api/v5/repos/{owner}/{name}/commits/{commit}/check-runs", Gitee, (*call).listCheckRuns)
	s.call("POST /api/v1/repos/{owner}/{name}/statuses/{commit}", giteaName, (*call).gitea)
	s.call("POST /2.0/repositories/{owner}/{name}/commit/{commit}/statuses/build", Bitbucket, (*call).bitbucket)
	s.call("POST /rest/build-status/1.0/commits/{commit}", BitbucketServer, (*call).oldBitbucketServer)
	if !o.OldBitbucketServer {
		s.call("POST /rest/api/latest/projects/{owner}/repos/{name}/commits/{commit}/builds", BitbucketServer, (*call).bitbucketServer)
	}
	s.call("POST /{owner}/_apis/git/repositories/{name}/commits/{commit}/statuses", AzureDevOps, (*call).azureDevOps)
	s.call("POST /{organisation}/{owner}/_apis/git/repositories/{name}/commits/{commit}/statuses", AzureDevOps, (*call).azureDevOps)
	git := s.handle(Git, (*call).git)
	s.mux.HandleFunc("POST /_refs", s.serveSetRefs)
	s.hookRoutes(giteaName)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := gitRepository(r); ok {
			git(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/rest/") {
			write(w, response{status: 404, body: map[string]any{"message": "null for uri: " + r.URL.Path, "status-code": 404}})
			return
		}
		http.Error(w, "404 page not found", http.StatusNotFound)
	})
	s.mux.HandleFunc("GET /_statuses", func(w http.ResponseWriter, _ *http.Request) { write(w, response{status: 200, body: s.Statuses()}) })
	s.mux.HandleFunc("POST /_faults", s.serveAddFaults)
	s.mux.HandleFunc("GET /_faults", func(w http.ResponseWriter, _ *http.Request) { write(w, response{status: 200, body: s.faults.left()}) })
	s.mux.HandleFunc("DELETE /_faults", func(w http.ResponseWriter, _ *http.Request) { s.ClearFaults(); w.WriteHeader(http.StatusNoContent) })
	return s
}

// ServeHTTP answers a call.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Statuses gives every status that was taken, the newest last.
func (s *Simulator) Statuses() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Status{}, s.statuses...)
}

// Shown gives the statuses that people see, those that were told last at the end: of each
// provider, repository, commit and context the newest, except that GitLab also shows those of
// other pipelines, refs and users, and Gitee check runs that have not ended.
func (s *Simulator) Shown() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Status, len(s.shown))
	for i := range s.shown {
		all[i] = s.shown[i].status
	}
	return all
}

// call is one to a host.
type call struct {
	*Simulator
	r    *http.Request
	body []byte
	// What it is about: Provider, Repository, Commit and User, and more when it was read.
	Status
}

// response is an answer: JSON, or a page if it has one.
type response struct {
	status int
	header map[string]string
	body   any
	page   string
	text   []byte // of the type that the header says
}

const maxBody = 1 << 20

func (s *Simulator) call(pattern, provider string, work func(*call) response) {
	s.mux.HandleFunc(pattern, s.handle(provider, work))
}

func (s *Simulator) handle(provider string, work func(*call) response) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{Simulator: s, r: r, Status: Status{Provider: provider, Commit: r.PathValue("commit")}}
		if c.Repository = r.PathValue("path"); c.Repository == "" && r.PathValue("owner") != "" {
			c.Repository = r.PathValue("owner") + "/" + r.PathValue("name")
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			write(w, c.fail(413, err.Error()))
			return
		}
		c.body = body
		do := func() response {
			s.mu.Lock()
			defer s.mu.Unlock()
			if bad := c.admit(); bad.status != 0 {
				return bad
			}
			return work(c)
		}
		fault := s.faults.pick(provider, r.Method)
		if fault == nil {
			write(w, do())
			return
		}
		answer, ok := fault.apply(c, do)
		if !ok {
			panic(http.ErrAbortHandler) // it closes the connection without an answer
		}
		write(w, answer)
	}
}

// admit refuses callers that are not let in, too many calls, and repositories that are not there.
func (c *call) admit() response {
	if len(c.o.Tokens) > 0 {
		token := c.token()
		i := slices.IndexFunc(c.o.Tokens, func(t Token) bool { return token == t.Value && t.Value != "" })
		if i < 0 {
			return c.unauthorized()
		}
		c.User = c.o.Tokens[i].User
		if c.o.Tokens[i].ReadOnly && c.Provider != Git {
			return c.forbidden()
		}
	}
	if bad := c.limit(); bad.status != 0 {
		return bad
	}
	if len(c.o.Repositories) > 0 && c.Repository != "" && !slices.ContainsFunc(c.o.Repositories, c.named) {
		return c.noRepository()
	}
	return response{}
}

func (c *call) named(repository string) bool { return strings.EqualFold(repository, c.Repository) }

// token gives the token that the call has where its host looks for one.
func (c *call) token() string {
	user, password, isBasic := c.r.BasicAuth()
	switch c.Provider {
	case Git:
		if c.isToken(user) { // as Gogs has it
			return user
		}
		if isBasic {
			return password
		}
		return c.authorization("Bearer ")
	case GitHub:
		return c.authorization("Bearer ", "token ")
	case GitLab:
		if token := c.r.Header.Get("Private-Token"); token != "" {
			return token
		}
		return c.authorization("Bearer ")
	case Gitea, Forgejo:
		return c.authorization("token ")
	case Gitee:
		if c.r.Method == http.MethodGet {
			return c.authorization("token ")
		}
		return c.form().Get("access_token")
	case Bitbucket, BitbucketServer:
		if isBasic {
			return password
		}
		return c.authorization("Bearer ")
	}
	return password // Azure DevOps
}

func (c *call) authorization(prefixes ...string) string {
	for _, prefix := range prefixes {
		if token, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), prefix); ok {
			return token
		}
	}
	return ""
}

// limit counts statuses by the hour.
func (c *call) limit() response {
	if c.o.PerHour == 0 || c.r.Method == http.MethodGet || c.Provider == Git {
		return response{}
	}
	now := c.o.Now()
	taken := slices.DeleteFunc(c.taken[c.Provider], func(at time.Time) bool { return now.Sub(at) >= time.Hour })
	if len(taken) < c.o.PerHour {
		c.taken[c.Provider] = append(taken, now)
		return response{}
	}
	free := taken[0].Add(time.Hour)
	if c.Provider == GitHub {
		bad := c.fail(403, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
		bad.header = map[string]string{"X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": strconv.FormatInt(free.Unix()+1, 10)}
		return bad
	}
	bad := c.fail(429, "Too many requests")
	bad.header = map[string]string{"Retry-After": strconv.Itoa(int(free.Sub(now)/time.Second) + 1)}
	return bad
}

var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// knows reports whether the host has the commit; not the tag object.
func (c *call) knows(commit string) bool {
	if !commitID.MatchString(commit) || slices.Contains(c.o.TagObjects, commit) {
		return false
	}
	return len(c.o.Commits) == 0 || slices.Contains(c.o.Commits, commit)
}

// read decodes the JSON of a body, and reports whether it is any.
func (c *call) read(into any) bool {
	return strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/json") && json.Unmarshal(c.body, into) == nil
}

func (c *call) form() url.Values {
	if c.r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return nil
	}
	values, _ := url.ParseQuery(string(c.body))
	return values
}

// take keeps the status of the call, and shows it in place of those whose key is the same.
func (c *call) take(key ...string) {
	c.statuses = append(c.statuses, c.Status)
	c.hide(key...)
	c.shown = append(c.shown, shown{c.key(key), c.Status})
}

func (c *call) hide(key ...string) {
	c.shown = slices.DeleteFunc(c.shown, func(s shown) bool { return s.key == c.key(key) })
}

func (c *call) key(more []string) string {
	return strings.Join(append([]string{c.Provider, strings.ToLower(c.Repository), c.Commit}, more...), "\x00")
}

// long reports whether a text has more characters than that.
func long(text string, characters int) bool { return utf8.RuneCountInString(text) > characters }

// isURL reports whether a text is the address of a page.
func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func write(w http.ResponseWriter, r response) {
	body, kind := []byte(r.page), "text/html; charset=utf-8"
	if r.body != nil {
		body, _ = json.Marshal(r.body)
		kind = "application/json; charset=utf-8"
	}
	if r.text != nil {
		body, kind = r.text, "text/plain; charset=utf-8"
	}
	if len(body) > 0 {
		w.Header().Set("Content-Type", kind)
	}
	for name, value := range r.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(body)
}
