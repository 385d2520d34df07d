package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"buildbridge/cmd/internal/telemetry/telemetrytest"
	"buildbridge/handlers/codehost"
	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
	"buildbridge/trigger/store/postgrestest"
)

// TestSecretsAppearNowhere returns a bridge every kind of secret, right and wrong ones, with
// builds that start and dead builds, a rotation and failed reloads. Then it searches for the
// secrets in everything that the bridge prints, answers and stores.
func TestSecretsAppearNowhere(t *testing.T) {
	var postgres postgrestest.Server
	t.Cleanup(func() {
		if err := postgres.Stop(); err != nil {
			t.Error(err)
		}
	})
	for name, database := range map[string]func(*testing.T, *secrets) string{
		"SQLite": func(*testing.T, *secrets) string { return "buildbridge.db" },
		"Postgres": func(t *testing.T, s *secrets) string {
			return strings.Replace(postgres.Database(t), "postgres@", "postgres:"+s.secret("POSTGRES_PASSWORD")+"@", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &secrets{t: t}
			s.run(database(t, s))
		})
	}
}

// secrets are the secrets of a run, with its output and data.
type secrets struct {
	t   *testing.T
	dir string

	env []string

	mu     sync.Mutex
	values map[string]string // by name

	said map[string][]byte // output and data, by origin
}

// secret makes a secret and an environment variable with it.
func (s *secrets) secret(name string) string {
	value := "s3cr3t-" + strings.ReplaceAll(strings.ToLower(name), "_", "-") + "-0d9c5b"
	s.env = append(s.env, name+"="+value)
	s.hide(name, value)
	return value
}

// hide adds a value that must appear nowhere.
func (s *secrets) hide(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[string]string{}
	}
	s.values[name] = value
}

// value returns a secret that secret has made.
func (s *secrets) value(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[name]
}

// hear adds output or data.
func (s *secrets) hear(who string, what []byte) {
	if s.said == nil {
		s.said = map[string][]byte{}
	}
	s.said[who] = append(append(s.said[who], what...), '\n')
}

// search looks for every secret in the output and data, as it is and encoded.
func (s *secrets) search() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, value := range s.values {
		forms := []string{value, hex.EncodeToString([]byte(value)), url.QueryEscape(value)}
		for skip := range 3 { // base64 differs with the position
			encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", skip) + value))
			forms = append(forms, encoded[4:len(encoded)-4])
		}
		found := map[string]string{}
		for who, text := range s.said {
			for _, form := range forms {
				if at := bytes.Index(text, []byte(form)); at >= 0 {
					found[who] = string(text[max(0, at-200):min(len(text), at+len(form)+50)])
				}
			}
		}
		if len(found) > 0 {
			all := slices.Sorted(maps.Keys(found))
			s.t.Errorf("%s is in %d places (%.300s); in one of them it is …%q…", name, len(all), strings.Join(all, ", "), found[all[0]])
		}
	}
}

const secretRules = `version: 1
sources:
  github: {provider: github, secrets: [{file: github-new}, {env: GITHUB_OLD}]}
  gitlab: {provider: gitlab, secrets: [{env: GITLAB_TOKEN}]}
  signed: {provider: gitlab, signing_tokens: [{file: gitlab-signing}]}
  gitee: {provider: gitee, secrets: [{env: GITEE_SECRET}]}
  gogs: {provider: gogs, secrets: [{env: GOGS_SECRET}]}
  datacenter: {provider: bitbucket-server, basic: [{username: bridge, password: {env: DATACENTER_PASSWORD}}]}
  azure: {provider: azure-devops, basic: [{username: bridge, password: {file: azure-password}}]}
  repo: {provider: codearts-repo, secrets: [{env: REPO_TOKEN}], token_header: X-My-Token}
  gitcode: {provider: gitcode, signing_tokens: [{env: GITCODE_KEY}]}
  gerrit: {provider: gerrit, secrets: [{env: GERRIT_SECRET}]}
targets:
  keys:
    endpoint: %[1]s
    credentials: {access_key: {env: AK}, secret_key: {file: sk}, security_token: {env: SECURITY_TOKEN}}
  user:
    endpoint: %[1]s
    credentials: {iam_user: {domain: acme, name: bridge, project: p, password: {env: IAM_PASSWORD}}, iam_endpoint: %[1]s}
  token: {endpoint: %[1]s, credentials: {token: {env: TOKEN}}}
  wrong-keys: {endpoint: %[1]s, credentials: {access_key: {env: AK}, secret_key: {env: WRONG_SK}}}
  wrong-user:
    endpoint: %[1]s
    credentials: {iam_user: {domain: acme, name: bridge, project: p, password: {env: WRONG_IAM_PASSWORD}}, iam_endpoint: %[1]s}
  wrong-token: {endpoint: %[1]s, credentials: {token: {env: WRONG_TOKEN}}}
  echo-keys:
    endpoint: %[2]s
    credentials: {access_key: {env: AK}, secret_key: {file: sk}, security_token: {env: SECURITY_TOKEN}}
  echo-token: {endpoint: %[2]s, credentials: {token: {env: TOKEN}}}
  echo-user:
    endpoint: %[1]s
    credentials: {iam_user: {domain: acme, name: bridge, project: p, password: {env: IAM_PASSWORD}}, iam_endpoint: %[2]s}
rules:
`

func (s *secrets) rules(simulator, echo string) string {
	text := fmt.Sprintf(secretRules, simulator, echo)
	for _, target := range []string{"keys", "user", "token", "wrong-keys", "wrong-user", "wrong-token", "echo-keys", "echo-token", "echo-user"} {
		text += fmt.Sprintf("  - {name: %[1]s, repository: '**', when: {push: {}}, jobs: [{job_id: %[2]s, target: %[1]s}]}\n",
			target, "f9d6c8466d614a9788e9a0acf6c15f46")
	}
	return text
}

func (s *secrets) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// wires keeps what authenticates requests that arrive at the service.
func (s *secrets) wires(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Authorization", "X-Auth-Token", "X-Security-Token"} {
			if value := r.Header.Get(name); value != "" {
				s.hide(name+" "+value, value)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// echo is a service whose errors repeat the request.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h := r.Header
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(map[string]string{
		"error_code": "X.1",
		"error_msg":  fmt.Sprint("no: ", h.Get("Authorization"), " ", h.Get("X-Auth-Token"), " ", h.Get("X-Security-Token"), " ", string(body)),
	})
}

func (s *secrets) run(database string) {
	t := s.t
	s.dir = t.TempDir()
	signing := "whsec_" + base64.StdEncoding.EncodeToString([]byte("s3cr3t-gitlab-signing-token-32by"))
	s.hide("GITLAB_SIGNING", signing)
	s.write("gitlab-signing", signing)
	for _, name := range []string{"github-new", "azure-password", "sk"} {
		s.write(name, s.secret(name)+"\n")
	}
	for _, name := range []string{
		"GITHUB_OLD", "GITLAB_TOKEN", "GITEE_SECRET", "GITEE_SIGN", "GOGS_SECRET", "DATACENTER_PASSWORD", "REPO_TOKEN", "GITCODE_KEY",
		"GERRIT_SECRET", "AK", "SECURITY_TOKEN", "IAM_PASSWORD", "TOKEN", "WRONG_SK", "WRONG_IAM_PASSWORD", "WRONG_TOKEN",
		"ADMIN_READ", "WRONG", "LITERAL", "ROTATED",
	} {
		s.secret(name)
	}
	s.write("admin-write", s.secret("ADMIN_WRITE"))

	simulator := httptest.NewServer(s.wires(codeartstest.New(codeartstest.Options{
		Keys:   []codeartstest.Key{{AccessKey: s.value("AK"), SecretKey: s.value("sk"), SecurityToken: s.value("SECURITY_TOKEN")}},
		Users:  []codeartstest.User{{Domain: "acme", Name: "bridge", Password: s.value("IAM_PASSWORD")}},
		Tokens: []string{s.value("TOKEN")},
	})))
	defer simulator.Close()
	echoing := httptest.NewServer(s.wires(http.HandlerFunc(echo)))
	defer echoing.Close()
	good := s.rules(simulator.URL, echoing.URL)
	s.write("rules.yaml", good)
	traces := telemetrytest.New(t)
	s.env = append(s.env, "BUILDBRIDGE_DATABASE="+database, "BUILDBRIDGE_RULES=rules.yaml",
		"OTEL_EXPORTER_OTLP_ENDPOINT="+traces.URL, "OTEL_EXPORTER_OTLP_HEADERS=Authorization="+s.secret("COLLECTOR"))

	s.command("check", "--online")
	s.command("check", "--online", "--json")
	s.explain()
	s.wrongDatabases()

	b := &bridge{process: begin(t, s.dir, s.env, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-level", "debug",
		"--admin-read-token", "env:ADMIN_READ", "--admin-write-token", "file:admin-write")}
	at := b.logged("serving")
	b.public, b.admin = "http://"+at["listen"].(string), "http://"+at["admin_listen"].(string)
	s.env = append(s.env, "BUILDBRIDGE_ADMIN="+b.admin)

	s.deliver(b)
	deliveries := s.ask(b)
	s.reload(b, good)
	s.rotate(b)
	s.metrics(b)
	if database == "buildbridge.db" {
		s.files("while it runs")
	}
	b.term()
	s.hear("the log", []byte(b.output()))
	s.hear("the traces", traces.Raw())
	if database == "buildbridge.db" {
		s.files("after it stopped")
	} else {
		s.tables(database)
	}
	s.stored(database, deliveries)
	s.search()

	for _, who := range []string{"the log", "the traces"} {
		if !bytes.Contains(s.said[who], []byte("(403 X.1)")) {
			t.Errorf("the service's echo is not in %s: this test looks at nothing", who)
		}
	}
}

// command runs the program in the folder. It may fail.
func (s *secrets) command(args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "buildbridge", args...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	s.hear("buildbridge "+strings.Join(args[:min(2, len(args))], " "), out)
	return string(out)
}

// recorded reads a delivery of the code hosts' tests.
func (s *secrets) recorded(provider string) (http.Header, []byte) {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../handlers/codehost/testdata", provider, "push.http"))
	if err != nil {
		s.t.Fatal(err)
	}
	if bytes.HasPrefix(raw, []byte("POST ")) { // the path has a secret
		_, raw, _ = bytes.Cut(raw, []byte("\n"))
	}
	r := bufio.NewReader(bytes.NewReader(raw))
	header, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		s.t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return http.Header(header), body
}

// gitee is a delivery with secrets in its body.
func (s *secrets) gitee() (http.Header, []byte) {
	header, body := s.recorded("gitee")
	body = bytes.Replace(body, []byte("a password in the body"), []byte(s.value("GITEE_SECRET")), 1)
	return header, bytes.Replace(body, []byte("c2lnbmF0dXJl"), []byte(s.value("GITEE_SIGN")), 1)
}

func (s *secrets) explain() {
	header, body := s.gitee()
	s.write("gitee.json", string(body))
	out := s.command("explain", "--source", "gitee", "-H", "X-Gitee-Event: "+header.Get("X-Gitee-Event"), "-H", "X-Gitee-Token: "+s.value("GITEE_SECRET"), "gitee.json")
	if !strings.Contains(out, "wrong-keys") {
		s.t.Errorf("explain did not work: %s", out)
	}
	s.command("explain", "--json", "--source", "gitee", "-H", "X-Gitee-Event: Push Hook", "-H", "Authorization: Bearer "+s.value("TOKEN"), "gitee.json")
	s.command("explain", "--source", "gitee", "-H", "X-Gitee-Token: "+s.value("GITEE_SECRET"), "gitee.json") // lacks the event
}

// wrongDatabases runs serve with databases that do not exist.
func (s *secrets) wrongDatabases() {
	password := s.value("WRONG")
	for _, database := range []string{
		"postgres://bridge:" + password + "@127.0.0.1:1/bridge", "postgres://bridge:" + password + "@127.0.0.1:port/bridge",
		"postgres://127.0.0.1:1/bridge?password=" + password, "mysql://bridge:" + password + "@127.0.0.1/bridge",
		"postgres://bridge:" + password + "@nowhere.invalid/bridge?sslmode=nonsense",
	} {
		if out := s.command("serve", "--database", database, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"); !strings.Contains(out, "database") {
			s.t.Errorf("serve failed for another reason: %s", out)
		}
	}
}

// deliver sends a delivery of each source by its right secret and by a wrong one.
func (s *secrets) deliver(b *bridge) {
	t := s.t
	now := time.Now()
	wrong := s.value("WRONG")
	for source, host := range map[string]struct {
		provider string
		sign     func(h http.Header, body []byte, wrong bool)
	}{
		"github": {"github", func(h http.Header, body []byte, bad bool) {
			codehost.Sign("github", s.pick("GITHUB_OLD", bad), h, body)
		}},
		"gitlab": {"gitlab", func(h http.Header, body []byte, bad bool) {
			codehost.Sign("gitlab", s.pick("GITLAB_TOKEN", bad), h, body)
		}},
		"signed": {"gitlab", func(h http.Header, body []byte, bad bool) {
			token := s.value("GITLAB_SIGNING")
			if bad {
				token = "whsec_" + base64.StdEncoding.EncodeToString([]byte((wrong + strings.Repeat("-", 32))[:32]))
			}
			codehosttest.SignGitLab(token, "msg-1", now, h, body)
		}},
		"gitee": {"gitee", func(h http.Header, _ []byte, bad bool) {
			codehosttest.SignGitee(s.pick("GITEE_SECRET", bad), now, h)
		}},
		"gogs": {"gogs", func(h http.Header, body []byte, bad bool) {
			codehost.Sign("gogs", s.pick("GOGS_SECRET", bad), h, body)
		}},
		"datacenter": {"bitbucket-server", func(h http.Header, _ []byte, bad bool) {
			codehosttest.SignBasic("bridge", s.pick("DATACENTER_PASSWORD", bad), h)
		}},
		"azure": {"azure-devops", func(h http.Header, _ []byte, bad bool) {
			codehosttest.SignBasic("bridge", s.pick("azure-password", bad), h)
		}},
		"repo": {"codearts-repo", func(h http.Header, _ []byte, bad bool) {
			h.Set("X-My-Token", s.pick("REPO_TOKEN", bad))
		}},
		"gitcode": {"gitcode", func(h http.Header, body []byte, bad bool) {
			codehosttest.SignGitCode(s.pick("GITCODE_KEY", bad), h, body)
		}},
		"gerrit": {"gerrit", func(h http.Header, body []byte, bad bool) {
			codehost.Sign("gerrit", s.pick("GERRIT_SECRET", bad), h, body)
		}},
	} {
		for _, bad := range []bool{true, false} {
			header, body := s.recorded(host.provider)
			switch source {
			case "gitee":
				header, body = s.gitee()
			case "gogs":
				body = append([]byte(`{"secret": "`+s.value("GOGS_SECRET")+`",`), bytes.TrimSpace(body)[1:]...)
			}
			host.sign(header, body, bad)
			for _, name := range []string{
				"Authorization", "X-Hub-Signature-256", "X-Gitlab-Token", "Webhook-Signature", "X-Gitee-Token", "X-Gogs-Signature",
				"X-GitCode-Signature-256",
			} {
				if value := header.Get(name); value != "" {
					s.hide(source+" "+name+fmt.Sprint(bad), strings.TrimPrefix(value, "sha256="))
				}
			}
			path := "/webhooks/" + source
			if secret := header.Get(codehost.PathSecret); secret != "" {
				delete(header, codehost.PathSecret)
				path += "/" + secret
				s.misdirect(b, secret)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.public+path+"?token="+wrong, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = header
			want := http.StatusAccepted
			if bad {
				want = http.StatusUnauthorized
			}
			status, answer := do(t, req)
			s.hear("the answer to "+source, []byte(answer))
			if status != want {
				t.Errorf("%s: status %d: %s, want %d", source, status, answer, want)
			}
		}
	}
}

// misdirect calls with a secret in the path where it does not belong.
func (s *secrets) misdirect(b *bridge, secret string) {
	s.t.Helper()
	for _, url := range []string{
		b.public + "/webhooks/github/", b.public + "/webhooks/nobody/", b.public + "/hooks/", b.admin + "/webhooks/gerrit/",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			req, err := http.NewRequestWithContext(s.t.Context(), method, url+secret, http.NoBody)
			if err != nil {
				s.t.Fatal(err)
			}
			status, answer := do(s.t, req)
			s.hear("the answer to "+method+" "+url, []byte(answer))
			if status/100 == 2 {
				s.t.Errorf("%s %s: status %d", method, url, status)
			}
		}
	}
}

func (s *secrets) pick(name string, wrong bool) string {
	if wrong {
		return s.value("WRONG")
	}
	return s.value(name)
}

// api asks the admin API.
func (s *secrets) api(b *bridge, method, path, token string) (int, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, b.admin+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	status, text := do(s.t, req)
	s.hear("the answer to "+method+" "+path, []byte(text))
	return status, []byte(text)
}

// ask waits for the end of all builds, and reads all data of builds and deliveries, by the
// API and by the commands.
func (s *secrets) ask(b *bridge) (deliveries []string) {
	t := s.t
	read, write := s.value("ADMIN_READ"), s.value("ADMIN_WRITE")
	var builds struct {
		Builds []struct{ ID, State, Target, Delivery string }
	}
	list := func() {
		t.Helper()
		status, text := s.api(b, http.MethodGet, "/api/v1/builds?limit=1000", read)
		if err := json.Unmarshal(text, &builds); status != http.StatusOK || err != nil {
			t.Fatalf("status %d: %s", status, text)
		}
	}
	settled := func() bool {
		list()
		open := 0
		for _, build := range builds.Builds {
			if build.State != "started" && build.State != "dead" {
				open++
			}
		}
		return open == 0
	}
	eventually(t, "all builds are started or dead", settled)
	states := map[string]int{}
	for _, build := range builds.Builds {
		states[build.Target+" "+build.State]++
	}
	for _, target := range []string{"keys started", "user started", "token started", "wrong-keys dead", "wrong-user dead", "wrong-token dead", "echo-keys dead", "echo-token dead", "echo-user dead"} {
		if want := strings.Count(secretRules, "{provider: "); states[target] != want { // a delivery of each source
			t.Errorf("builds by target and state: %v, want %d %s", states, want, target)
		}
	}

	for _, token := range []string{s.value("WRONG"), read} {
		if status, text := s.api(b, http.MethodPost, "/api/v1/builds/replay?target=echo-token", token); status != http.StatusUnauthorized && status != http.StatusForbidden {
			t.Errorf("status %d: %s", status, text)
		}
	}
	if status, text := s.api(b, http.MethodPost, "/api/v1/builds/replay?target=echo-token&state=dead", write); status/100 != 2 {
		t.Errorf("status %d: %s", status, text)
	}
	eventually(t, "all builds are started or dead again", settled)
	for _, build := range builds.Builds {
		if !slices.Contains(deliveries, build.Delivery) {
			deliveries = append(deliveries, build.Delivery)
		}
		s.api(b, http.MethodGet, "/api/v1/builds/"+build.ID, read)
	}
	s.api(b, http.MethodGet, "/api/v1/deliveries?limit=1000", read)
	for _, id := range deliveries {
		s.api(b, http.MethodGet, "/api/v1/deliveries/"+id, write)
	}
	s.env = append(s.env, "BUILDBRIDGE_ADMIN_TOKEN=file:admin-write")
	for _, args := range [][]string{
		{"deliveries", "list"},
		{"deliveries", "list", "--json"},
		{"deliveries", "show", deliveries[0]},
		{"deliveries", "show", deliveries[0], "--json"},
		{"builds", "list"},
		{"builds", "list", "--json"},
		{"builds", "show", builds.Builds[0].ID},
		{"builds", "show", builds.Builds[0].ID, "--json"},
		{"deliveries", "replay", deliveries[0]},
		{"builds", "list", "--admin-token", "env:WRONG"},
		{"builds", "list", "--admin-token", s.value("LITERAL")},
		{"serve", "--admin-read-token", s.value("LITERAL")},
	} {
		s.command(args...)
	}
	return deliveries
}

// reload breaks the rules in several ways, with secrets in the wrong places.
func (s *secrets) reload(b *bridge, good string) {
	literal := s.value("LITERAL")
	for i, broken := range []string{
		strings.Replace(good, "{env: GITLAB_TOKEN}", literal, 1),
		strings.Replace(good, "[{env: GITLAB_TOKEN}]", literal, 1),
		strings.Replace(good, "{env: TOKEN}", "{value: "+literal+"}", 1),
		strings.Replace(good, "{env: IAM_PASSWORD}", literal+"}", 1),
		strings.Replace(good, "{env: TOKEN}", "{env: IS_NOT_SET}", 1),
		strings.Replace(good, "endpoint: http://", "endpoint: http://bridge:"+literal+"@", 1),
		// Not YAML: check shows the line of such a fault among rules, and never among sources and targets.
		strings.Replace(good, "{env: GITLAB_TOKEN}", "{env: "+literal, 1),
		strings.Replace(good, "{env: TOKEN}", "{value: "+literal, 1),
		strings.Replace(good, "sources:", "sources:\n  - "+literal, 1),
	} {
		s.write("rules.yaml", broken)
		eventually(s.t, fmt.Sprint("broken rules are told of, ", i), func() bool {
			return strings.Count(b.output(), `"msg":"rules not reloaded`) == i+1
		})
		s.command("check")
		s.command("check", "--json")
	}
	s.write("rules.yaml", good)
	b.logged("rules reloaded")
	b.signal(syscall.SIGHUP)
	eventually(s.t, "they are reloaded by SIGHUP", func() bool { return strings.Count(b.output(), `"msg":"rules reloaded"`) == 2 })
}

// rotate replaces secrets in files, by good ones and by others.
func (s *secrets) rotate(b *bridge) {
	s.write("github-new", s.value("ROTATED"))
	b.logged("secrets changed")
	s.write("gitlab-signing", "no-whsec-"+s.value("LITERAL"))
	b.logged("secrets cannot be read, the old ones stay in use")
	header, body := s.recorded("github")
	header.Set("X-Github-Delivery", "another")
	codehost.Sign("github", s.value("ROTATED"), header, body)
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, b.public+"/webhooks/github", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header = header
	if status, answer := do(s.t, req); status != http.StatusAccepted {
		s.t.Errorf("the rotated secret gives %d: %s", status, answer)
	}
}

func (s *secrets) metrics(b *bridge) {
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		_, text := get(s.t, b.admin+path)
		s.hear(path, []byte(text))
	}
	const used = `buildbridge_signature_key_used_total{key="secrets[0]",source="github"}`
	if got := b.metric(used); got != "1" {
		s.t.Errorf("%s is %s, want 1: the rotated secret", used, got)
	}
}

// files reads the files of the database.
func (s *secrets) files(when string) {
	s.t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		raw, err := os.ReadFile(filepath.Join(s.dir, "buildbridge.db"+suffix))
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
		s.hear("buildbridge.db"+suffix+" "+when, raw)
	}
}

// tables reads all rows of a Postgres database.
func (s *secrets) tables(database string) {
	t := s.t
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	column := func(query string) []string {
		rows, err := conn.Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return texts
	}
	for _, table := range column(`SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'`) {
		for _, row := range column(`SELECT t::text FROM ` + table + ` t`) {
			s.hear("table "+table, []byte(row))
		}
	}
	if len(s.said["table builds"]) == 0 {
		t.Error("the builds were not read")
	}
}

// stored reads every delivery and build, with their bodies, as the program does.
func (s *secrets) stored(database string, deliveries []string) {
	t := s.t
	if !strings.Contains(database, "://") {
		database = filepath.Join(s.dir, database)
	}
	db, err := store.Open(t.Context(), store.Options{Database: database, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all, _, err := db.Deliveries(t.Context(), store.DeliveryFilter{Limit: store.MaxPage})
	if err != nil || len(all) < len(deliveries) {
		t.Fatal(len(all), err)
	}
	var bodies int
	for _, listed := range all {
		d, err := db.Delivery(t.Context(), listed.ID)
		if err != nil {
			t.Fatal(err)
		}
		bodies += len(d.Body)
		s.hear("the stored delivery", fmt.Appendf(nil, "%+v %s", d, d.Body))
	}
	builds, _, err := db.Builds(t.Context(), store.BuildFilter{Limit: store.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	for _, listed := range builds {
		build, err := db.Build(t.Context(), listed.ID)
		if err != nil {
			t.Fatal(err)
		}
		s.hear("the stored build", fmt.Appendf(nil, "%+v %s", build, build.Body))
	}
	if bodies == 0 || len(builds) < 72 {
		t.Errorf("%d bytes of bodies and %d builds were read", bodies, len(builds))
	}
}
