package hostapitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Gogs has no statuses, and the API of Gitea otherwise.
const Gogs = "gogs"

// Hook is a webhook that a host has. Nothing is sent to it.
type Hook struct {
	Provider   string `json:"provider"`
	Repository string `json:"repository"`
	// Wider: it is that of the repository's organisation, group, workspace or project.
	Wider bool   `json:"wider,omitempty"`
	URL   string `json:"url"`

	Events    []string `json:"events,omitempty"`     // in the host's own words; those of pushes and tags if not set
	Inactive  bool     `json:"inactive,omitempty"`   // of hosts that have this
	Status    string   `json:"status,omitempty"`     // GitLab's alert_status, Azure DevOps' status
	Branches  string   `json:"branches,omitempty"`   // the only ones that it sends
	Unchecked bool     `json:"unchecked,omitempty"`  // the certificate is not verified
	Secret    string   `json:"secret,omitempty"`     // Gitee shows it
	Details   string   `json:"details,omitempty"`    // Azure DevOps' resourceDetailsToSend
	Sent      []Sent   `json:"deliveries,omitempty"` // the newest first

	id int64
}

// Sent is a delivery to a webhook.
type Sent struct {
	ID     string    `json:"id,omitempty"`
	At     time.Time `json:"at,omitzero"` // now if not set
	Status int       `json:"status"`      // of the answer; 0 if there was none
}

// AddHook gives a host a webhook.
func (s *Simulator) AddHook(h Hook) error {
	if err := h.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids++
	h.id = s.ids
	for i := range h.Sent {
		if h.Sent[i].At.IsZero() {
			h.Sent[i].At = s.o.Now()
		}
	}
	s.hooks = append(s.hooks, h)
	return nil
}

func (h *Hook) check() error {
	switch {
	case h.Provider != Gogs && !slices.Contains(providers, h.Provider):
		return fmt.Errorf("provider %q is not one of %s, %s", h.Provider, strings.Join(providers, ", "), Gogs)
	case !strings.Contains(h.Repository, "/"):
		return errors.New("repository is not owner/name")
	case !isURL(h.URL):
		return errors.New("url is not an address")
	}
	return nil
}

// serveAddHooks takes one, or several in an array. Unknown members are refused.
func (s *Simulator) serveAddHooks(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '[' {
		body = slices.Concat([]byte("["), body, []byte("]"))
	}
	var added []Hook
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err = errors.Join(err, d.Decode(&added))
	for i := range added {
		err = errors.Join(err, added[i].check())
	}
	for i := range added {
		if err == nil {
			err = s.AddHook(added[i])
		}
	}
	if err != nil {
		write(w, response{status: 400, body: map[string]any{"message": err.Error()}})
		return
	}
	write(w, response{status: 201, body: added})
}

// ClearHooks removes every webhook.
func (s *Simulator) ClearHooks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = nil
}

// hookRoutes adds the calls about tokens, repositories and webhooks.
func (s *Simulator) hookRoutes(giteaName string) {
	for _, at := range []struct{ path, provider string }{{"/api/v3", GitHub}, {"/api/v5", Gitee}, {"/api/v1", giteaName}} {
		s.call("GET "+at.path+"/user", at.provider, (*call).user)
		s.call("GET "+at.path+"/repos/{owner}/{name}", at.provider, (*call).repository)
		s.call("GET "+at.path+"/repos/{owner}/{name}/hooks", at.provider, (*call).listHooks)
		if at.provider != Gitee {
			s.call("GET "+at.path+"/orgs/{of}/hooks", at.provider, (*call).listHooks)
		}
	}
	s.call("GET /api/v3/repos/{owner}/{name}/hooks/{hook}/deliveries", GitHub, (*call).deliveries)
	s.call("GET /api/v3/orgs/{of}/hooks/{hook}/deliveries", GitHub, (*call).deliveries)

	s.call("GET /api/v4/personal_access_tokens/self", GitLab, (*call).ownToken)
	s.call("GET /api/v4/projects/{path}", GitLab, (*call).repository)
	s.call("GET /api/v4/projects/{path}/hooks", GitLab, (*call).listHooks)
	s.call("GET /api/v4/groups/{of}/hooks", GitLab, (*call).listHooks)
	s.call("GET /api/v4/projects/{path}/hooks/{hook}/events", GitLab, (*call).deliveries)

	s.call("GET /2.0/repositories/{owner}/{name}", Bitbucket, (*call).repository)
	s.call("GET /2.0/repositories/{owner}/{name}/hooks", Bitbucket, (*call).listHooks)
	s.call("GET /2.0/workspaces/{of}/hooks", Bitbucket, (*call).listHooks)

	const server = "GET /rest/api/latest/projects/"
	s.call(server+"{owner}/repos/{name}", BitbucketServer, (*call).repository)
	s.call(server+"{owner}/repos/{name}/webhooks", BitbucketServer, (*call).listHooks)
	s.call(server+"{of}/webhooks", BitbucketServer, (*call).listHooks)
	s.call(server+"{owner}/repos/{name}/webhooks/{hook}/latest", BitbucketServer, (*call).deliveries)

	for _, root := range []string{"GET ", "GET /{organisation}"} {
		s.call(root+"/{owner}/_apis/git/repositories/{name}", AzureDevOps, (*call).repository)
		s.call(root+"/_apis/hooks/subscriptions", AzureDevOps, (*call).listHooks)
		s.call(root+"/_apis/hooks/subscriptions/{hook}/notifications", AzureDevOps, (*call).deliveries)
	}
	s.mux.HandleFunc("POST /_hooks", s.serveAddHooks)
	s.mux.HandleFunc("DELETE /_hooks", func(w http.ResponseWriter, _ *http.Request) { s.ClearHooks(); w.WriteHeader(http.StatusNoContent) })
}

// given is the token of the call; one that may do all if every caller is let in.
func (c *call) given() Token {
	for _, t := range c.o.Tokens {
		if t.Value == c.token() {
			return t
		}
	}
	return Token{User: "buildbridge"}
}

func (c *call) user() response {
	t := c.given()
	answer := response{status: 200, body: map[string]any{"login": t.User}}
	if t.Scopes != nil && c.Provider == GitHub {
		answer.header = map[string]string{"X-Oauth-Scopes": strings.Join(t.Scopes, ", ")}
	}
	return answer
}

// ownToken is GitLab's.
func (c *call) ownToken() response {
	t := c.given()
	body := map[string]any{"name": "bridge", "active": true, "revoked": false, "scopes": []string{"api"}, "expires_at": nil}
	if t.Scopes != nil {
		body["scopes"] = t.Scopes
	}
	if !t.Expires.IsZero() {
		body["expires_at"] = t.Expires.Format(time.DateOnly)
	}
	return response{status: 200, body: body}
}

func (c *call) repository() response {
	owner, name := c.Repository[:strings.LastIndex(c.Repository, "/")], c.Repository[strings.LastIndex(c.Repository, "/")+1:]
	var body map[string]any
	switch c.Provider {
	case GitLab:
		body = map[string]any{"path_with_namespace": c.Repository, "namespace": map[string]any{"kind": "group", "full_path": owner}}
	case BitbucketServer:
		body = map[string]any{"slug": name, "project": map[string]any{"key": owner}}
	case AzureDevOps:
		body = map[string]any{"id": "id-of-" + name, "name": name, "project": map[string]any{"id": "id-of-" + owner, "name": owner}}
	default:
		body = map[string]any{"full_name": c.Repository, "owner": map[string]any{"login": owner, "type": "Organization"}}
	}
	return response{status: 200, body: body}
}

// of reports whether the call is about a webhook: it is among those of its repository or owner.
func (c *call) of(h Hook) bool {
	family := func(provider string) string {
		if provider == Forgejo || provider == Gogs {
			return Gitea
		}
		return provider
	}
	if family(h.Provider) != family(c.Provider) {
		return false
	}
	if c.Provider == AzureDevOps {
		return true
	}
	if of := c.r.PathValue("of"); of != "" {
		return h.Wider && strings.EqualFold(h.Repository[:strings.LastIndex(h.Repository, "/")], of)
	}
	return !h.Wider && strings.EqualFold(h.Repository, c.Repository)
}

func (c *call) listHooks() response {
	if c.given().NoHooks {
		return c.forbidden()
	}
	all := []any{}
	for _, h := range c.hooks {
		if c.of(h) {
			all = append(all, c.hook(h))
		}
	}
	query := c.r.URL.Query()
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(query.Get(name)); err == nil {
			return n
		}
		return otherwise
	}
	// A page that ends at next, which is 0 if it is the last.
	page := func(from, size int) (some []any, next int) {
		from = min(from, len(all))
		to := min(from+size, len(all))
		if to < len(all) {
			next = to
		}
		return all[from:to], next
	}
	switch c.Provider {
	case Bitbucket:
		size := number("pagelen", 10)
		some, next := page((number("page", 1)-1)*size, size)
		body := map[string]any{"values": some}
		if next > 0 {
			body["next"] = "https://api.bitbucket.org/2.0/next"
		}
		return response{status: 200, body: body}
	case BitbucketServer:
		some, next := page(number("start", 0), number("limit", 25))
		body := map[string]any{"values": some, "isLastPage": next == 0, "nextPageStart": nil}
		if next > 0 {
			body["nextPageStart"] = next
		}
		return response{status: 200, body: body}
	case AzureDevOps:
		return response{status: 200, body: map[string]any{"count": len(all), "value": all}}
	}
	size := number("per_page", number("limit", max(1, len(all)))) // Gogs gives all
	some, _ := page((number("page", 1)-1)*size, size)
	return response{status: 200, body: some}
}

// hook is a webhook as its host shows it.
func (c *call) hook(h Hook) map[string]any {
	events := func(otherwise ...string) []string {
		if h.Events != nil {
			return h.Events
		}
		return otherwise
	}
	has := func(event string) bool { return h.Events == nil || slices.Contains(h.Events, event) }
	masked := ""
	if h.Secret != "" {
		masked = "********"
	}
	flag := map[bool]string{false: "0", true: "1"}
	last := map[string]any{"code": nil, "status": "unused", "message": nil}
	code := 0
	if len(h.Sent) > 0 {
		code = h.Sent[0].Status
		last["code"] = code
	}
	switch c.Provider {
	case GitHub:
		config := map[string]any{"url": h.URL, "content_type": "json", "insecure_ssl": flag[h.Unchecked]}
		if masked != "" {
			config["secret"] = masked
		}
		return map[string]any{
			"id": h.id, "type": "Repository", "name": "web", "active": !h.Inactive, "events": events("push"),
			"config": config, "last_response": last,
		}
	case GitLab:
		strategy := "all_branches"
		if h.Branches != "" {
			strategy = "wildcard"
		}
		status := h.Status
		if status == "" {
			status = "executable"
		}
		return map[string]any{
			"id": h.id, "url": h.URL, "push_events": has("push_events"), "tag_push_events": has("tag_push_events"),
			"push_events_branch_filter": h.Branches, "branch_filter_strategy": strategy, "enable_ssl_verification": !h.Unchecked,
			"alert_status": status, "disabled_until": nil,
		}
	case Gitee:
		return map[string]any{
			"id": h.id, "url": h.URL, "password": h.Secret, "push_events": has("push_events"),
			"tag_push_events": has("tag_push_events"), "encryption_type": 0, "result_code": code, "result": "answer",
		}
	case Bitbucket:
		return map[string]any{
			"uuid": fmt.Sprintf("{%d}", h.id), "url": h.URL, "active": !h.Inactive, "events": events("repo:push"),
			"secret_set": h.Secret != "", "skip_cert_verification": h.Unchecked,
		}
	case BitbucketServer:
		configuration := map[string]any{}
		if h.Secret != "" {
			configuration["secret"] = h.Secret
		}
		return map[string]any{
			"id": h.id, "name": "bridge", "url": h.URL, "active": !h.Inactive, "events": events("repo:refs_changed"),
			"configuration": configuration, "sslVerificationRequired": !h.Unchecked,
		}
	case AzureDevOps:
		return c.subscription(h, masked)
	}
	filter := h.Branches
	if filter == "" {
		filter = "*"
	}
	word := events("push")
	if h.Provider == Gogs {
		word = events("push", "create")
	}
	return map[string]any{
		"id": h.id, "type": h.Provider, "active": !h.Inactive, "events": word, "branch_filter": filter,
		"config": map[string]any{"url": h.URL, "content_type": "json"},
	}
}

func (c *call) subscription(h Hook, masked string) map[string]any {
	owner, name, _ := strings.Cut(h.Repository, "/")
	status, details := h.Status, h.Details
	if status == "" {
		status = "enabled"
	}
	if details == "" {
		details = "all"
	}
	consumer := map[string]any{"url": h.URL, "resourceDetailsToSend": details}
	if masked != "" {
		consumer["basicAuthUsername"], consumer["basicAuthPassword"] = "bridge", masked
	}
	if h.Unchecked {
		consumer["acceptUntrustedCerts"] = "true"
	}
	publisher := map[string]any{"projectId": "id-of-" + owner, "repository": "id-of-" + name, "branch": h.Branches}
	if h.Wider {
		publisher["repository"] = ""
	}
	return map[string]any{
		"id": strconv.FormatInt(h.id, 10), "status": status, "publisherId": "tfs", "eventType": "git.push",
		"consumerId": "webHooks", "consumerInputs": consumer, "publisherInputs": publisher,
	}
}

// deliveries are those of a webhook, as its host lists them.
func (c *call) deliveries() response {
	if c.given().NoHooks {
		return c.forbidden()
	}
	i := slices.IndexFunc(c.hooks, func(h Hook) bool { return c.of(h) && strconv.FormatInt(h.id, 10) == c.r.PathValue("hook") })
	if i < 0 {
		return c.noRepository()
	}
	all := []any{}
	for _, d := range c.hooks[i].Sent {
		taken := d.Status/100 == 2
		switch c.Provider {
		case GitHub:
			all = append(all, map[string]any{
				"id": 1, "guid": d.ID, "delivered_at": d.At, "redelivery": false, "duration": 0.1,
				"status": strconv.Itoa(d.Status), "status_code": d.Status, "event": "push",
			})
		case GitLab:
			status := strconv.Itoa(d.Status)
			if d.Status == 0 {
				status = "internal error"
			}
			all = append(all, map[string]any{
				"id": 1, "trigger": "push_hooks", "created_at": d.At, "response_status": status,
				"request_headers": map[string]any{"Idempotency-Key": d.ID, "X-Gitlab-Token": "[REDACTED]"},
			})
		case BitbucketServer:
			outcome := "FAILURE"
			switch {
			case taken:
				outcome = "SUCCESS"
			case d.Status == 0:
				outcome = "ERROR"
			}
			return response{status: 200, body: map[string]any{
				"id": 1, "start": d.At.UnixMilli(), "event": "repo:refs_changed",
				"result": map[string]any{"outcome": outcome, "description": strconv.Itoa(d.Status)},
			}}
		case AzureDevOps:
			result := "failed"
			if taken {
				result = "succeeded"
			}
			all = append(all, map[string]any{"id": 1, "eventId": d.ID, "result": result, "status": "completed", "createdDate": d.At})
		}
	}
	switch c.Provider {
	case BitbucketServer:
		return response{status: 204}
	case AzureDevOps:
		return response{status: 200, body: map[string]any{"count": len(all), "value": all}}
	}
	return response{status: 200, body: all}
}
