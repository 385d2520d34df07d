package codeartstest_test

import (
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
)

func TestTokens(t *testing.T) {
	const good = `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"bridge","password":"pass","domain":{"name":"acme"}}}},"scope":{"project":{"name":"cn-north-4"}}}}`
	tests := map[string]struct {
		body   string
		status int // of the login
		after  time.Duration
		revoke bool
		run    int // status of RunJob with the token
	}{
		"good":             {body: good, status: 201, run: 200},
		"nearly expired":   {body: good, status: 201, after: time.Hour - 1, run: 200},
		"expired":          {body: good, status: 201, after: time.Hour, run: 401},
		"revoked":          {body: good, status: 201, revoke: true, run: 401},
		"without project":  {body: strings.Replace(good, `"scope"`, `"other"`, 1), status: 201, run: 401},
		"wrong password":   {body: strings.Replace(good, "pass\"", "pazz\"", 1), status: 401, run: 401},
		"unknown user":     {body: strings.Replace(good, "bridge", "bridget", 1), status: 401, run: 401},
		"other account":    {body: strings.Replace(good, "acme", "acne", 1), status: 401, run: 401},
		"other method":     {body: strings.Replace(good, `["password"]`, `["token"]`, 1), status: 400, run: 401},
		"nothing readable": {body: "x", status: 400, run: 401},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
			server := codeartstest.NewServer(codeartstest.Options{
				Users: []codeartstest.User{{Domain: "acme", Name: "bridge", Password: "pass"}}, Tokens: []string{"fixed"},
				TokenTTL: time.Hour, Now: func() time.Time { return now },
			})
			defer server.Close()
			c := client(t)
			status, answer, header := do(t, c, "POST", server.URL+"/v3/auth/tokens?nocatalog=1", test.body)
			token := header.Get("X-Subject-Token")
			if status != test.status || (token != "") != (status == 201) {
				t.Fatalf("login: %d, token %q, %v", status, token, answer)
			}
			if status == 201 && at(answer, "token", "expires_at") != "2026-03-01T05:00:00.000000Z" {
				t.Errorf("%v", answer)
			}
			if status != 201 && at(answer, "error", "code") != float64(status) {
				t.Errorf("%v", answer)
			}
			now = now.Add(test.after)
			if test.revoke {
				server.RevokeTokens()
			}
			if token == "" {
				token = "none"
			}
			body := `{"job_id":"` + jobID + `"}`
			if status, answer, _ := do(t, c, "POST", server.URL+"/v3/jobs/build", body, "X-Auth-Token", token); status != test.run {
				t.Errorf("RunJob: %d %v, want %d", status, answer, test.run)
			}
			if status, _, _ := do(t, c, "POST", server.URL+"/v3/jobs/build", body, "X-Auth-Token", "fixed"); status != 200 {
				t.Errorf("RunJob with a fixed token: %d", status)
			}
			if status, _, _ := do(t, c, "POST", server.URL+"/v3/jobs/build", body); status != 401 {
				t.Errorf("RunJob with nothing: %d", status)
			}
		})
	}
}

// Who names keys or tokens, and no users, has no users: nobody logs in.
func TestLoginWithoutUsers(t *testing.T) {
	const login = `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"any","password":"any","domain":{"name":"any"}}}},"scope":{"project":{"name":"cn-north-4"}}}}`
	for name, test := range map[string]struct {
		options codeartstest.Options
		status  int
	}{
		"everybody is let in": {codeartstest.Options{}, 201},
		"keys alone":          {codeartstest.Options{Keys: []codeartstest.Key{{AccessKey: "AK", SecretKey: "SK"}}}, 401},
		"tokens alone":        {codeartstest.Options{Tokens: []string{"fixed"}}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			server := codeartstest.NewServer(test.options)
			defer server.Close()
			if status, answer, _ := do(t, client(t), "POST", server.URL+"/v3/auth/tokens", login); status != test.status {
				t.Errorf("%d %v, want %d", status, answer, test.status)
			}
		})
	}
}
