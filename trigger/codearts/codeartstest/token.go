package codeartstest

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// tokens are the valid user tokens.
type tokens struct {
	fixed map[string]bool

	mu     sync.RWMutex
	issued map[string]issue

	logins, refusals int
}

// issue is a token from a login.
type issue struct {
	until   time.Time
	project string // "" for a token of the whole account
	user    string
}

// RevokeTokens makes every token from a login invalid, as a changed password does.
func (s *Simulator) RevokeTokens() {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	clear(s.tokens.issued)
}

// Logins is the number of logins that succeeded.
func (s *Simulator) Logins() int {
	s.tokens.mu.RLock()
	defer s.tokens.mu.RUnlock()
	return s.tokens.logins
}

// Refusals is the number of logins with a wrong name or password.
func (s *Simulator) Refusals() int {
	s.tokens.mu.RLock()
	defer s.tokens.mu.RUnlock()
	return s.tokens.refusals
}

func (t *tokens) valid(token string, now time.Time) bool {
	if t.fixed[token] {
		return true
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	i, ok := t.issued[token]
	return ok && i.project != "" && now.Before(i.until)
}

// authenticate gives the answer to a caller who is not let in, or nil.
func (s *Simulator) authenticate(r *http.Request, body []byte) *response {
	if s.open() {
		return nil
	}
	now := s.o.Now()
	if token := r.Header.Get("X-Auth-Token"); token != "" {
		if s.tokens.valid(token, now) {
			return nil
		}
		bad := gatewayError(401, "APIGW.0301", "Incorrect IAM authentication information: decrypt token fail")
		return &bad
	}
	code, message := s.verify(r, body, now)
	if code == "" {
		return nil
	}
	bad := gatewayError(401, code, message)
	return &bad
}

// executor is the caller, in the form of the records.
func (s *Simulator) executor(r *http.Request) string {
	if sig, ok := parseSignature(r.Header.Get("Authorization")); ok {
		return sig.access
	}
	s.tokens.mu.RLock()
	defer s.tokens.mu.RUnlock()
	return cmp.Or(s.tokens.issued[r.Header.Get("X-Auth-Token")].user, "openapi")
}

// login is "Obtaining a User Token Through Password Authentication" of IAM.
func (s *Simulator) login(r *http.Request, body []byte) response {
	var b struct {
		Auth struct {
			Identity struct {
				Methods  []string `json:"methods"`
				Password struct {
					User struct {
						Name     string `json:"name"`
						Password string `json:"password"`
						Domain   struct {
							Name string `json:"name"`
						} `json:"domain"`
					} `json:"user"`
				} `json:"password"`
			} `json:"identity"`
			Scope struct {
				Project struct {
					Name string `json:"name"`
				} `json:"project"`
			} `json:"scope"`
		} `json:"auth"`
	}
	if !isJSON(r) || json.Unmarshal(body, &b) != nil || len(b.Auth.Identity.Methods) != 1 || b.Auth.Identity.Methods[0] != "password" {
		return iamError(400, "Request body is invalid.")
	}
	user := b.Auth.Identity.Password.User
	if !s.knows(User{Domain: user.Domain.Name, Name: user.Name, Password: user.Password}) {
		s.tokens.mu.Lock()
		s.tokens.refusals++
		s.tokens.mu.Unlock()
		return iamError(401, "The username or password is wrong.")
	}

	now := s.o.Now()
	token := "MII" + rand.Text() + rand.Text()
	until := now.Add(s.o.TokenTTL)
	project := b.Auth.Scope.Project.Name
	s.tokens.mu.Lock()
	if s.tokens.issued == nil {
		s.tokens.issued = make(map[string]issue)
	}
	s.tokens.issued[token] = issue{until: until, project: project, user: user.Name}
	s.tokens.logins++
	s.tokens.mu.Unlock()

	const format = "2006-01-02T15:04:05.000000Z"
	answer := jsonResponse(201, map[string]any{"token": map[string]any{
		"methods":    []string{"password"},
		"issued_at":  now.UTC().Format(format),
		"expires_at": until.UTC().Format(format),
		"project":    map[string]string{"name": project},
		"user":       map[string]any{"name": user.Name, "domain": map[string]string{"name": user.Domain.Name}},
	}})
	answer.header = map[string]string{"X-Subject-Token": token}
	return answer
}

// open reports whether every caller is let in.
func (s *Simulator) open() bool {
	return len(s.secrets)+len(s.o.Users)+len(s.tokens.fixed) == 0
}

func (s *Simulator) knows(u User) bool {
	if s.open() {
		return u.Name != "" && u.Password != ""
	}
	for _, known := range s.o.Users {
		if known.Domain == u.Domain && known.Name == u.Name &&
			subtle.ConstantTimeCompare([]byte(known.Password), []byte(u.Password)) == 1 {
			return true
		}
	}
	return false
}

// iamError is an error in the form of IAM, whose codes are the statuses.
func iamError(status int, message string) response {
	return jsonResponse(status, map[string]any{"error": map[string]any{
		"code": status, "message": message, "title": strings.ReplaceAll(http.StatusText(status), " ", ""),
	}})
}
