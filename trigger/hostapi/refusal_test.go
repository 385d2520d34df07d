package hostapi_test

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

const (
	again  = hostapi.FateAgain
	final  = hostapi.FateFinal
	source = hostapi.FateSource
)

// TestRefusals has what the hosts themselves refuse.
func TestRefusals(t *testing.T) {
	const wrong, readOnly = "wr0ng-t0ken", "read-0nly-t0ken"
	type test struct {
		provider string
		options  hostapitest.Options
		token    string // the right one if not set
		change   func(*hostapi.Status)
		fate     hostapi.Fate
		code     int
		says     string
	}
	tests := map[string]test{
		"github: commit":      {provider: "github", options: hostapitest.Options{Commits: []string{other}}, fate: final, code: 422, says: "no such commit (422: No commit found for SHA: " + commit + ")"},
		"github: tag object":  {provider: "github", options: hostapitest.Options{TagObjects: []string{commit}}, fate: final, code: 422, says: "id of a tag"},
		"github: repository":  {provider: "github", options: hostapitest.Options{Repositories: []string{"acme/other"}}, fate: final, code: 404, says: "is not there, or the token may not set statuses in it (404: Not Found): the token needs write on Commit statuses"},
		"github: scope":       {provider: "github", token: readOnly, fate: final, code: 404, says: "repo:status"},
		"gitlab: commit":      {provider: "gitlab", options: hostapitest.Options{Commits: []string{other}}, fate: final, code: 404, says: "no such commit"},
		"gitlab: repository":  {provider: "gitlab", options: hostapitest.Options{Repositories: []string{"acme/other"}}, fate: final, code: 404, says: "Developer"},
		"gitlab: scope":       {provider: "gitlab", token: readOnly, fate: final, code: 403, says: "insufficient_scope"},
		"gitlab: references":  {provider: "gitlab", options: hostapitest.Options{TagCommits: []string{commit}}, change: func(s *hostapi.Status) { s.Ref = "" }, fate: final, code: 404, says: "no branch or tag has the commit"},
		"gitlab: jobs":        {provider: "gitlab", options: hostapitest.Options{MaxJobs: 1}, change: func(s *hostapi.Status) { s.Context = "second" }, fate: final, code: 422, says: "takes no more jobs"},
		"gitee: commit":       {provider: "gitee", options: hostapitest.Options{Commits: []string{other}}, fate: final, code: 404, says: "no such commit"},
		"gitee: scope":        {provider: "gitee", token: readOnly, fate: final, code: 403, says: "administrator of the repository"},
		"gitea: commit":       {provider: "gitea", options: hostapitest.Options{Commits: []string{other}}, fate: final, code: 500, says: "no such commit"},
		"gitea: repository":   {provider: "gitea", options: hostapitest.Options{Repositories: []string{"acme/other"}}, fate: final, code: 404, says: "write:repository"},
		"gitea: scope":        {provider: "gitea", token: readOnly, fate: final, code: 403, says: "write:repository"},
		"forgejo: commit":     {provider: "forgejo", options: hostapitest.Options{Commits: []string{other}, Forgejo: true}, fate: final, code: 404, says: "no such commit"},
		"bitbucket: commit":   {provider: "bitbucket", options: hostapitest.Options{Commits: []string{other}}, fate: final, code: 404, says: "no such commit"},
		"bitbucket: scope":    {provider: "bitbucket", token: readOnly, fate: final, code: 403, says: "repository:write"},
		"server: commit":      {provider: "bitbucket-server", options: hostapitest.Options{Commits: []string{other}}, fate: final, code: 400, says: "no such commit"},
		"server: repository":  {provider: "bitbucket-server", options: hostapitest.Options{Repositories: []string{"acme/other"}}, fate: final, code: 404, says: "does not exist"},
		"server: permission":  {provider: "bitbucket-server", token: readOnly, fate: final, code: 401, says: "permission to read the repository"},
		"azure: commit":       {provider: "azure-devops", options: hostapitest.Options{Commits: []string{other}}, fate: final, code: 404, says: "no such commit"},
		"azure: repository":   {provider: "azure-devops", options: hostapitest.Options{Repositories: []string{"acme/other"}}, fate: final, code: 404, says: "vso.code_status"},
		"azure: scope":        {provider: "azure-devops", token: readOnly, fate: final, code: 403, says: "vso.code_status"},
		"azure: wrong token":  {provider: "azure-devops", token: wrong, fate: source, code: 203, says: "refuses the token"},
		"github: wrong token": {provider: "github", token: wrong, fate: source, code: 401, says: "refuses the token (401: Bad credentials): it is wrong, expired or revoked"},
	}
	for _, provider := range []string{"gitlab", "gitee", "gitea", "bitbucket", "bitbucket-server"} {
		tests[provider+": wrong token"] = test{provider: provider, token: wrong, fate: source, code: 401, says: "refuses the token"}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.options.Tokens = []hostapitest.Token{{Value: readOnly, User: "reader", ReadOnly: true}}
			host := newHost(t, test.options)
			o := hostapi.Options{Provider: test.provider, URL: host.URL}
			if test.token != "" {
				o.Token = secret(test.token)
			}
			c := newClient(t, o)
			s := status(hostapi.Pending)
			if test.options.MaxJobs > 0 {
				post(t, c, s)
			}
			if test.change != nil {
				test.change(&s)
			}
			before := len(host.Statuses())
			r := refusal(t, c, s)
			if r.Fate != test.fate || r.Code != strconv.Itoa(test.code) || !strings.Contains(r.Error(), test.says) {
				t.Errorf("fate %v, want %v; code %s, want %d; %v", r.Fate, test.fate, r.Code, test.code, r)
			}
			if len(host.Statuses()) != before {
				t.Errorf("told %+v", host.Statuses())
			}
		})
	}
}

// TestAnswers has what is answered seldom, or by a proxy.
func TestAnswers(t *testing.T) {
	date := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	reset := func(after time.Duration) map[string]string {
		return map[string]string{
			"Date": date.Format(http.TimeFormat), "X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": strconv.FormatInt(date.Add(after).Unix(), 10),
		}
	}
	tests := map[string]struct {
		provider string // github if not set
		fault    hostapitest.Fault
		fate     hostapi.Fate
		after    time.Duration
		code     string // the status if not set
		says     string
	}{
		"context too long":         {fault: hostapitest.Fault{Status: 422, Message: "Validation Failed: context is too long (maximum is 255 characters)"}, fate: final, says: "report.context"},
		"description too long":     {fault: hostapitest.Fault{Status: 422, Message: "Validation Failed: description is too long (maximum is 140 characters)"}, fate: final, says: "the description"},
		"another 422":              {fault: hostapitest.Fault{Status: 422, Message: "Validation Failed"}, fate: final, says: "does not take the status"},
		"403 resource":             {fault: hostapitest.Fault{Status: 403, Message: "Resource not accessible by personal access token"}, fate: final, says: "Commit statuses"},
		"403 with a reset time":    {fault: hostapitest.Fault{Status: 403, Message: "API rate limit exceeded", Header: reset(10 * time.Minute)}, fate: source, after: 10 * time.Minute, says: "no more requests"},
		"403 with a late reset":    {fault: hostapitest.Fault{Status: 403, Message: "API rate limit exceeded", Header: reset(5 * time.Hour)}, fate: source, after: time.Hour},
		"403 with a past reset":    {fault: hostapitest.Fault{Status: 403, Message: "API rate limit exceeded", Header: reset(-time.Hour)}, fate: source, after: time.Minute},
		"403 with a wait":          {fault: hostapitest.Fault{Status: 403, Message: "You have exceeded a secondary rate limit", RetryAfter: 90}, fate: source, after: 90 * time.Second},
		"403 with a text only":     {fault: hostapitest.Fault{Status: 403, Message: "You have exceeded a secondary rate limit"}, fate: source, after: time.Minute},
		"429 with a wait":          {fault: hostapitest.Fault{Status: 429, RetryAfter: 7}, fate: source, after: 7 * time.Second},
		"429 with a long wait":     {fault: hostapitest.Fault{Status: 429, RetryAfter: 86400}, fate: source, after: time.Hour},
		"429 with a date":          {fault: hostapitest.Fault{Status: 429, Header: map[string]string{"Date": date.Format(http.TimeFormat), "Retry-After": date.Add(time.Minute * 3).Format(http.TimeFormat)}}, fate: source, after: 3 * time.Minute},
		"429 of gitlab":            {provider: "gitlab", fault: hostapitest.Fault{Status: 429, Header: map[string]string{"Date": date.Format(http.TimeFormat), "Ratelimit-Reset": strconv.FormatInt(date.Add(30*time.Second).Unix(), 10)}}, fate: source, after: 30 * time.Second},
		"429 alone":                {fault: hostapitest.Fault{Status: 429}, fate: source, after: time.Minute},
		"408":                      {fault: hostapitest.Fault{Status: 408}, fate: again},
		"500":                      {fault: hostapitest.Fault{Status: 500, Message: "Server Error"}, fate: again, says: "(500: Server Error)"},
		"502, a page":              {fault: hostapitest.Fault{Status: 502, Page: "<html>bad gateway"}, fate: again, says: "(502): it is tried again"},
		"503 with a wait":          {fault: hostapitest.Fault{Status: 503, RetryAfter: 60}, fate: again, after: time.Minute},
		"407":                      {fault: hostapitest.Fault{Status: 407, Page: "<html>"}, fate: source, says: "a proxy"},
		"404, a page":              {fault: hostapitest.Fault{Status: 404, Page: "<html>nothing here"}, fate: source, says: "there is no API of the code host at http://127.0.0.1"},
		"200, a page":              {fault: hostapitest.Fault{Status: 200, Page: "<html>sign in"}, fate: source, code: "page", says: "sign-in page"},
		"201, a page":              {fault: hostapitest.Fault{Status: 201, Page: "<html>sign in"}, fate: source, code: "page", says: "sign-in page"},
		"202":                      {fault: hostapitest.Fault{Status: 202}, fate: source, code: "page"},
		"203, a page":              {fault: hostapitest.Fault{Status: 203, Page: "<html>sign in"}, fate: source, says: "sign-in page"},
		"azure, 200, a page":       {provider: "azure-devops", fault: hostapitest.Fault{Status: 200, Page: "<html>sign in"}, fate: source, code: "page", says: "sign-in page"},
		"410":                      {fault: hostapitest.Fault{Status: 410, Message: "Gone"}, fate: final, says: "(410: Gone)"},
		"redirect elsewhere":       {fault: hostapitest.Fault{Status: 301, Header: map[string]string{"Location": "https://git.example.com/"}}, fate: source, says: "another address"},
		"redirect of a repository": {fault: hostapitest.Fault{Status: 307, Header: map[string]string{"Location": "/api/v3/repositories/7/statuses/" + commit}}, fate: final, says: "another name"},
		"redirect, named login":    {provider: "gitea", fault: hostapitest.Fault{Status: 307, Header: map[string]string{"Location": "/api/v1/repos/acme/login-service/statuses/" + commit}}, fate: final, says: "another name"},
		"redirect, named sign-in":  {provider: "gitlab", fault: hostapitest.Fault{Status: 301, Header: map[string]string{"Location": "/api/v4/projects/acme%2Fsign-in/statuses/" + commit}}, fate: final, says: "another name"},
		"azure server sign-in":     {provider: "azure-devops", fault: hostapitest.Fault{Status: 302, Header: map[string]string{"Location": "/_signin?reply_to=x"}}, fate: source, says: "refuses the token"},
		"redirect to a login":      {fault: hostapitest.Fault{Status: 302, Header: map[string]string{"Location": "/users/sign_in"}}, fate: source, says: "refuses the token"},
		"redirect to nowhere":      {fault: hostapitest.Fault{Status: 302}, fate: source, says: "where to"},
		"gitlab locked":            {provider: "gitlab", fault: hostapitest.Fault{Status: 409, Message: "Failed to update: locked"}, fate: again},
		"gitlab past its end":      {provider: "gitlab", fault: hostapitest.Fault{Status: 400, Message: "Cannot transition status via :enqueue from :success"}, fate: final},
		"gitea under load":         {provider: "gitea", fault: hostapitest.Fault{Status: 404, Message: "user does not exist [uid: 1]"}, fate: again},
		"gitea, no such user":      {provider: "gitea", fault: hostapitest.Fault{Status: 401, Message: "user does not exist [uid: 1]"}, fate: source, says: "refuses the token"},
		"gitea, a 500":             {provider: "gitea", fault: hostapitest.Fault{Status: 500, Message: "database is locked"}, fate: again},
		"azure sign-in":            {provider: "azure-devops", fault: hostapitest.Fault{Status: 302, Header: map[string]string{"Location": "https://spsprodeus21.vssps.visualstudio.com/_signin?realm=dev.azure.com"}}, fate: source, says: "refuses the token"},
		"azure, no organisation":   {provider: "azure-devops", fault: hostapitest.Fault{Status: 404, Page: "<html>"}, fate: source, says: "organisation"},
		"bitbucket, 400":           {provider: "bitbucket", fault: hostapitest.Fault{Status: 400, Message: "Bad request"}, fate: final, says: "(400: Bad request)"},
		"gitee, 429":               {provider: "gitee", fault: hostapitest.Fault{Status: 429}, fate: source, after: time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.provider = cmp.Or(test.provider, hostapitest.GitHub)
			test.code = cmp.Or(test.code, strconv.Itoa(test.fault.Status))
			host := newHost(t, hostapitest.Options{})
			if err := host.AddFault(test.fault); err != nil {
				t.Fatal(err)
			}
			r := refusal(t, newClient(t, hostapi.Options{Provider: test.provider, URL: host.URL}), status(hostapi.Pending))
			if r.Fate != test.fate || r.After != test.after || r.Code != test.code || !strings.Contains(r.Error(), test.says) {
				t.Errorf("fate %v, want %v; after %v, want %v; code %s, want %s; %v", r.Fate, test.fate, r.After, test.after, r.Code, test.code, r)
			}
			if strings.Contains(r.Error(), "<html>") {
				t.Errorf("it has the page: %v", r)
			}
			if told := host.Statuses(); len(told) != 0 {
				t.Errorf("told %+v", told)
			}
		})
	}
}

// TestMessages has the errors of the hosts in their own forms, as one line.
func TestMessages(t *testing.T) {
	for body, want := range map[string]string{
		`{"message":"Validation Failed","errors":[{"resource":"Status","code":"custom","message":"too long"}]}`: "(422: Validation Failed; too long)",
		`{"message":"Validation Failed","errors":["too long"]}`:                                                 "(422: Validation Failed; too long)",
		`{"message":"Failed","errors":[{"field":"sha","code":"missing"}]}`:                                      "(422: Failed; code missing; field sha)",
		`{"message":{"name":["has been used"],"ref":["is bad"]}}`:                                               "(422: name has been used; ref is bad)",
		`{"error":"insufficient_scope","error_description":"more"}`:                                             "(422: insufficient_scope; more)",
		`{"type":"error","error":{"message":"Bad request","fields":{"key":["too long"]}}}`:                      "(422: Bad request; key too long)",
		`{"errors":[{"context":null,"message":"no such thing"}]}`:                                               "(422: no such thing)",
		`{"message":"a\r\n  b\u0000c"}`:                                                                         "(422: a b c)",
		`{"message":"` + strings.Repeat("x", 300) + `"}`:                                                        "(422: " + strings.Repeat("x", 199) + "…)",
		`{"message":`: "(422):", `[]`: "(422):", `7`: "(422):", `{}`: "(422):", `null`: "(422):", ``: "(422):",
	} {
		c := newClient(t, hostapi.Options{Provider: hostapitest.GitHub, Transport: transport(func(*http.Request) (*http.Response, error) {
			return answer(422, body), nil
		})})
		if r := refusal(t, c, status(hostapi.Success)); !strings.Contains(r.Error(), want) {
			t.Errorf("%s became %v", body, r)
		}
	}
}

func TestRates(t *testing.T) {
	host := newHost(t, hostapitest.Options{PerHour: 500})
	c := newClient(t, hostapi.Options{Provider: hostapitest.GitHub, URL: host.URL})
	for range 500 {
		post(t, c, status(hostapi.Success))
	}
	r := refusal(t, c, status(hostapi.Success))
	if r.Fate != source || r.After < 55*time.Minute || r.Code != "403" {
		t.Errorf("%+v", r)
	}
}
