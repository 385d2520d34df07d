package codearts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
)

// sequence gives its values one after the other, and then the last one again and again.
func sequence(values ...string) codearts.SecretFunc {
	var n atomic.Int32
	return func() (mapping.Secret, error) {
		return mapping.Secret(values[min(int(n.Add(1)), len(values))-1]), nil
	}
}

func failing() (mapping.Secret, error) { return "", errors.New("no such file") }

// The simulator recomputes the signature of every request.
func TestAccessKeyAndToken(t *testing.T) {
	now := noon()
	tests := map[string]struct {
		credentials codearts.Credentials
		clock       time.Duration // how far ours is ahead

		fails string // a part of the error; "" for success
		fate  codearts.Fate
		label string
	}{
		"permanent keys":          {credentials: codearts.AccessKey(secret("AK"), secret("SK"), nil)},
		"keys with line ends":     {credentials: codearts.AccessKey(secret("AK\n"), secret(" SK\r\n"), nil)},
		"temporary keys":          {credentials: codearts.AccessKey(secret("TEMP"), secret("SK2"), secret("ST/+=="))},
		"a token":                 {credentials: codearts.Token(secret("fixed"))},
		"a clock 14 minutes off":  {credentials: codearts.AccessKey(secret("AK"), secret("SK"), nil), clock: 14 * time.Minute},
		"a clock 16 minutes off":  {credentials: codearts.AccessKey(secret("AK"), secret("SK"), nil), clock: 16 * time.Minute, fails: "clock off (401 APIGW.0303", label: "401"},
		"a clock behind":          {credentials: codearts.AccessKey(secret("AK"), secret("SK"), nil), clock: -16 * time.Minute, fails: "clock off (401 APIGW.0303", label: "401"},
		"wrong secret key":        {credentials: codearts.AccessKey(secret("AK"), secret("KS"), nil), fails: "credentials refused (401 APIGW.0301", label: "401"},
		"unknown access key":      {credentials: codearts.AccessKey(secret("KA"), secret("SK"), nil), fails: "credentials refused (401 APIGW.0301", label: "401"},
		"security token missing":  {credentials: codearts.AccessKey(secret("TEMP"), secret("SK2"), nil), fails: "credentials refused", label: "401"},
		"wrong token":             {credentials: codearts.Token(secret("dexif")), fails: "credentials refused", label: "401"},
		"rotated between":         {credentials: codearts.AccessKey(secret("AK"), sequence("old", "SK"), nil)},
		"token rotated between":   {credentials: codearts.Token(sequence("old", "fixed"))},
		"a secret not there yet":  {credentials: codearts.AccessKey(secret("AK"), failing, nil), fails: "run job: no credentials: secret key: no such file", fate: codearts.FateRetry, label: "not_sent"},
		"a token not there yet":   {credentials: codearts.Token(failing), fails: "run job: no credentials: token: no such file", fate: codearts.FateRetry, label: "not_sent"},
		"an empty secret":         {credentials: codearts.AccessKey(secret(""), secret("SK"), nil), fails: "access key: empty", fate: codearts.FateRetry, label: "not_sent"},
		"a secret with a newline": {credentials: codearts.Token(secret("a\r\nX-Evil: 1")), fails: "token: contains a line break", fate: codearts.FateRetry, label: "not_sent"},
		"no secret configured":    {credentials: codearts.AccessKey(nil, nil, nil), fails: "access key: not configured", fate: codearts.FateRetry, label: "not_sent"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := codeartstest.NewServer(codeartstest.Options{
				Keys: []codeartstest.Key{
					{AccessKey: "AK", SecretKey: "SK"}, {AccessKey: "TEMP", SecretKey: "SK2", SecurityToken: "ST/+=="},
				},
				Tokens: []string{"fixed"},
				Now:    at(now),
			})
			defer server.Close()
			client := newClient(t, codearts.Options{Endpoint: server.URL, Credentials: test.credentials})
			codearts.SetClock(client, at(now.Add(test.clock)))
			codearts.SetUserAgent(client, "a b;c/1")
			number, err := client.RunJob(t.Context(), runBody(t))
			if test.fails == "" {
				if err != nil || number != "1" {
					t.Fatalf("RunJob: %q, %v", number, err)
				}
				// A query with characters to escape is signed, too.
				if got, err := client.Records(t.Context(), jobID, now, now, time.FixedZone("+8", 8*60*60)); err != nil || len(got) != 1 {
					t.Fatalf("Records: %v, %v", got, err)
				}
				return
			}
			e := asError(t, err)
			if !strings.Contains(e.Error(), test.fails) || e.Fate != test.fate || e.Label() != test.label {
				t.Errorf("fate %v, label %q: %v, want %v, %q, %q", e.Fate, e.Label(), err, test.fate, test.label, test.fails)
			}
			if got := e.Reason(); got != codearts.ReasonCredentials {
				t.Errorf("reason %q: %v", got, err)
			}
			for _, value := range []string{"SK2", "ST/+==", "KS", "dexif", "X-Evil"} {
				if strings.Contains(fmt.Sprintf("%v %+v", err, e), value) {
					t.Errorf("the error tells a secret: %v", err)
				}
			}
			if n := server.RunCount(); n != 0 {
				t.Errorf("%d builds started", n)
			}
		})
	}
}

// After a 401 a request is sent again only if there is something new to send.
func TestRefusedRequests(t *testing.T) {
	tests := map[string]struct {
		credentials codearts.Credentials
		body        string
		status      int
		requests    int32
	}{
		"same keys":           {codearts.AccessKey(secret("AK"), secret("SK"), nil), `{"error_code":"APIGW.0301"}`, 401, 1},
		"new secret key":      {codearts.AccessKey(secret("AK"), sequence("1", "2", "3"), nil), `{"error_code":"APIGW.0301"}`, 401, 2},
		"new security token":  {codearts.AccessKey(secret("AK"), secret("SK"), sequence("1", "2")), `{"error_code":"APIGW.0301"}`, 401, 2},
		"same token":          {codearts.Token(secret("T")), ``, 401, 1},
		"new token":           {codearts.Token(sequence("1", "2", "3", "4")), ``, 401, 2},
		"refused in a 200":    {codearts.Token(sequence("1", "2", "3", "4")), `{"error_code":"APIGW.0301"}`, 200, 2},
		"a code never seen":   {codearts.Token(sequence("1", "2", "3", "4")), `{"error_code":"APIGW.0307"}`, 401, 2},
		"the clock":           {codearts.Token(sequence("1", "2", "3", "4")), `{"error_code":"APIGW.0303"}`, 401, 1},
		"no permission":       {codearts.Token(sequence("1", "2", "3", "4")), `{"error_code":"DEV.1"}`, 403, 1},
		"a build was started": {codearts.Token(sequence("1", "2")), `{"actual_build_number":"1","error_code":"APIGW.0301"}`, 200, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			client := newClient(t, codearts.Options{Credentials: test.credentials, Endpoint: serve(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})})
			number, err := client.RunJob(t.Context(), runBody(t))
			if number != "" {
				if err != nil {
					t.Error(err)
				}
			} else if asError(t, err).Fate != codearts.FateDead {
				t.Error(err)
			}
			if n := requests.Load(); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

func TestIAMUser(t *testing.T) {
	type world struct {
		server *codeartstest.Server
		now    *atomic.Int64 // nanoseconds after noon
		client *codearts.Client
		user   codearts.Credentials
		secret *atomic.Value
	}
	setUp := func(t *testing.T) world {
		w := world{now: new(atomic.Int64), secret: new(atomic.Value)}
		w.secret.Store("pass")
		clock := func() time.Time { return noon().Add(time.Duration(w.now.Load())) }
		w.server = codeartstest.NewServer(codeartstest.Options{
			Users: []codeartstest.User{{Domain: "acme", Name: "bridge", Password: "pass"}}, Now: clock,
		})
		t.Cleanup(w.server.Close)
		credentials, err := codearts.IAMUser(codearts.IAMUserOptions{
			Endpoint: w.server.URL, Domain: "acme", Name: "bridge", Project: "cn-north-4",
			Password: func() (mapping.Secret, error) { return mapping.Secret(w.secret.Load().(string)), nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		codearts.SetLoginClock(credentials, clock)
		w.user = credentials
		w.client = newClient(t, codearts.Options{Endpoint: w.server.URL, Credentials: credentials})
		codearts.SetClock(w.client, clock)
		return w
	}
	run := func(t *testing.T, w world, logins int) {
		t.Helper()
		if _, err := w.client.RunJob(t.Context(), runBody(t)); err != nil {
			t.Fatal(err)
		}
		if n := w.server.Logins(); n != logins {
			t.Fatalf("%d logins, want %d", n, logins)
		}
	}
	fault := func(t *testing.T, w world, f codeartstest.Fault) {
		t.Helper()
		w.server.ClearFaults()
		if err := w.server.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("a token is kept until shortly before it expires", func(t *testing.T) {
		w := setUp(t)
		run(t, w, 1)
		w.now.Store(int64(24*time.Hour - 10*time.Minute - 1))
		run(t, w, 1)
		w.now.Store(int64(24*time.Hour - 10*time.Minute))
		run(t, w, 2)
	})
	t.Run("calls at once share a login", func(t *testing.T) {
		w := setUp(t)
		fault(t, w, codeartstest.Fault{Path: codeartstest.PathToken, Delay: 50 * time.Millisecond})
		for range 2 {
			var group sync.WaitGroup
			for range 32 {
				group.Go(func() {
					if _, err := w.client.RunJob(t.Context(), runBody(t)); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
		}
		if n := w.server.Logins(); n != 1 {
			t.Errorf("%d logins", n)
		}
	})
	t.Run("a revoked token is replaced", func(t *testing.T) {
		w := setUp(t)
		run(t, w, 1)
		w.server.RevokeTokens()
		run(t, w, 2)
		run(t, w, 2)
	})
	t.Run("a token refused twice is given up", func(t *testing.T) {
		w := setUp(t)
		fault(t, w, codeartstest.Fault{Path: codeartstest.PathRun, Status: 401, Code: "APIGW.0301"})
		_, err := w.client.RunJob(t.Context(), runBody(t))
		if e := asError(t, err); e.Fate != codearts.FateDead || e.Label() != "401" || e.Reason() != codearts.ReasonCredentials || w.server.Logins() != 2 {
			t.Errorf("%d logins: %v", w.server.Logins(), err)
		}
	})
	t.Run("IAM is down", func(t *testing.T) {
		w := setUp(t)
		for _, f := range []codeartstest.Fault{{Status: 500}, {Status: 502, Body: "<html>"}, {Drop: codeartstest.DropAfter}, {Status: 200}} {
			f.Path = codeartstest.PathToken
			fault(t, w, f)
			_, err := w.client.RunJob(t.Context(), runBody(t))
			if e := asError(t, err); e.Fate != codearts.FateRetry || e.Label() != "not_sent" || e.Reason() != codearts.ReasonUnavailable || !strings.Contains(e.Error(), "run job: no credentials: get user token: ") {
				t.Errorf("fate %v, label %q: %v", e.Fate, e.Label(), err)
			}
		}
		w.server.ClearFaults()
		run(t, w, w.server.Logins()+1)
	})
	t.Run("IAM does not answer", func(t *testing.T) {
		w := setUp(t)
		fault(t, w, codeartstest.Fault{Path: codeartstest.PathToken, Delay: time.Minute})
		for _, end := range []func(context.Context) (context.Context, context.CancelFunc){
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 20*time.Millisecond)
			},
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(20*time.Millisecond, cancel)
				return ctx, cancel
			},
		} {
			ctx, cancel := end(t.Context())
			_, err := w.client.RunJob(ctx, runBody(t))
			cancel()
			if e := asError(t, err); e.Label() != "not_sent" || e.Reason() != codearts.ReasonUnavailable {
				t.Errorf("label %q, reason %q: %v", e.Label(), e.Reason(), err)
			}
		}
	})
	t.Run("IAM throttles", func(t *testing.T) {
		w := setUp(t)
		fault(t, w, codeartstest.Fault{Path: codeartstest.PathToken, Status: 429, RetryAfter: 9})
		_, err := w.client.RunJob(t.Context(), runBody(t))
		if e := asError(t, err); e.Fate != codearts.FateThrottled || e.RetryAfter != 9*time.Second || e.Label() != "not_sent" || e.Reason() != codearts.ReasonThrottled {
			t.Errorf("fate %v, %v, label %q: %v", e.Fate, e.RetryAfter, e.Label(), err)
		}
	})
	t.Run("IAM goes down after a token was revoked", func(t *testing.T) {
		w := setUp(t)
		run(t, w, 1)
		w.server.RevokeTokens()
		fault(t, w, codeartstest.Fault{Path: codeartstest.PathToken, Status: 500})
		_, err := w.client.RunJob(t.Context(), runBody(t))
		if e := asError(t, err); e.Fate != codearts.FateRetry {
			t.Errorf("fate %v: %v", e.Fate, err)
		}
	})
	t.Run("a wrong password does not lock the user", func(t *testing.T) {
		w := setUp(t)
		w.secret.Store("hush-hush")
		var attempts int
		for range 10 {
			_, err := w.client.RunJob(t.Context(), runBody(t))
			e := asError(t, err)
			if e.Fate != codearts.FateDead || e.Label() != "not_sent" || e.Reason() != codearts.ReasonCredentials || !strings.Contains(e.Error(), "IAM refused the login (401, request ") ||
				!strings.Contains(e.Error(), "check domain, name, password and project") {
				t.Fatalf("fate %v, label %q: %v", e.Fate, e.Label(), err)
			}
			if strings.Contains(e.Error(), "hush") {
				t.Fatal("the error tells the password")
			}
			attempts++
		}
		if got := w.server.Refusals(); got != 1 {
			t.Errorf("%d logins refused for %d calls, want 1", got, attempts)
		}
		w.now.Store(int64(5 * time.Minute))
		if _, err := w.client.RunJob(t.Context(), runBody(t)); err == nil || w.server.Refusals() != 2 {
			t.Errorf("after a pause: %d refused, %v", w.server.Refusals(), err)
		}
		w.secret.Store("pass") // Another password is tried at once.
		run(t, w, 1)
	})
	t.Run("who asked first gives up", func(t *testing.T) {
		w := setUp(t)
		fault(t, w, codeartstest.Fault{Path: codeartstest.PathToken, Delay: 50 * time.Millisecond})
		impatient := newClient(t, codearts.Options{Endpoint: w.server.URL, Timeout: time.Millisecond, Credentials: w.user})
		_, err := impatient.RunJob(t.Context(), runBody(t))
		if e := asError(t, err); e.Fate != codearts.FateRetry || !e.Timeout || e.Label() != "not_sent" {
			t.Errorf("fate %v, label %q: %v", e.Fate, e.Label(), err)
		}
		run(t, w, 1) // The login was not cut short.
	})
}

func TestIAMUserOptions(t *testing.T) {
	good := codearts.IAMUserOptions{Endpoint: "https://iam.example", Domain: "d", Name: "n", Password: secret("p"), Project: "p"}
	tests := map[string]struct {
		spoil func(*codearts.IAMUserOptions)
		fails string
	}{
		"good":        {func(*codearts.IAMUserOptions) {}, ""},
		"no endpoint": {func(o *codearts.IAMUserOptions) { o.Endpoint = "" }, "Endpoint"},
		"no domain":   {func(o *codearts.IAMUserOptions) { o.Domain = "" }, "Domain is missing"},
		"no name":     {func(o *codearts.IAMUserOptions) { o.Name = "" }, "Name is missing"},
		"no password": {func(o *codearts.IAMUserOptions) { o.Password = nil }, "Password is missing"},
		"no project":  {func(o *codearts.IAMUserOptions) { o.Project = "" }, "Project is missing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := good
			test.spoil(&o)
			_, err := codearts.IAMUser(o)
			if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%v, want %q", err, test.fails)
			}
		})
	}
}

func TestChain(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, name := range []string{"AK", "SK", "SECURITY_TOKEN", "PROJECT_ID", "IDP_ID", "ID_TOKEN_FILE", "CREDENTIALS_FILE"} {
		t.Setenv("HUAWEICLOUD_SDK_"+name, "")
	}
	server := codeartstest.NewServer(codeartstest.Options{Keys: []codeartstest.Key{
		{AccessKey: "AK", SecretKey: "SK"}, {AccessKey: "TEMP", SecretKey: "SK2", SecurityToken: "ST"},
	}})
	defer server.Close()
	run := func(t *testing.T) error {
		t.Helper()
		client := newClient(t, codearts.Options{Endpoint: server.URL, Credentials: codearts.Chain()})
		var group sync.WaitGroup
		errs := make([]error, 16)
		for i := range errs {
			group.Go(func() { _, errs[i] = client.RunJob(t.Context(), runBody(t)) })
		}
		group.Wait()
		return errors.Join(errs...)
	}
	t.Run("environment", func(t *testing.T) {
		t.Setenv("HUAWEICLOUD_SDK_AK", "TEMP")
		t.Setenv("HUAWEICLOUD_SDK_SK", "SK2")
		t.Setenv("HUAWEICLOUD_SDK_SECURITY_TOKEN", "ST")
		t.Setenv("HUAWEICLOUD_SDK_PROJECT_ID", "0a1b")
		if err := run(t); err != nil {
			t.Error(err)
		}
	})
	t.Run("profile", func(t *testing.T) {
		profile := filepath.Join(t.TempDir(), "credentials")
		if err := os.WriteFile(profile, []byte("[basic]\nak = AK\nsk = SK\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", profile)
		if err := run(t); err != nil {
			t.Error(err)
		}
	})
	t.Run("profile corrected after a refusal", func(t *testing.T) {
		profile := filepath.Join(t.TempDir(), "credentials")
		if err := os.WriteFile(profile, []byte("[basic]\nak = AK\nsk = old\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", profile)
		client := newClient(t, codearts.Options{Endpoint: server.URL, Credentials: codearts.Chain()})
		if _, err := client.RunJob(t.Context(), runBody(t)); err == nil || !strings.Contains(err.Error(), "credentials refused (401 APIGW.0301") {
			t.Fatal(err)
		}
		if err := os.WriteFile(profile, []byte("[basic]\nak = AK\nsk = SK\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := client.RunJob(t.Context(), runBody(t)); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(filepath.Join(home, ".huaweicloud")); !errors.Is(err, os.ErrNotExist) {
		t.Error("something was written into the home directory:", err)
	}
}

func TestNew(t *testing.T) {
	credentials := codearts.Token(secret("T"))
	tests := map[string]struct {
		options codearts.Options
		fails   string
	}{
		"a region":           {codearts.Options{Endpoint: codearts.RegionEndpoint("cn-north-4"), Credentials: credentials, Timeout: time.Second}, ""},
		"a slash":            {codearts.Options{Endpoint: "http://127.0.0.1:1/", Credentials: credentials, Timeout: time.Second}, ""},
		"no endpoint":        {codearts.Options{Credentials: credentials}, "Endpoint: missing"},
		"no scheme":          {codearts.Options{Endpoint: "build.example", Credentials: credentials}, "not an absolute http or https URL"},
		"another scheme":     {codearts.Options{Endpoint: "ftp://build.example", Credentials: credentials}, "not an absolute http or https URL"},
		"a path":             {codearts.Options{Endpoint: "https://build.example/v3", Credentials: credentials}, "more than scheme, host and port"},
		"a query":            {codearts.Options{Endpoint: "https://build.example?x", Credentials: credentials}, "more than scheme, host and port"},
		"a password":         {codearts.Options{Endpoint: "https://a:hush@build.example", Credentials: credentials}, "more than scheme, host and port"},
		"not a URL":          {codearts.Options{Endpoint: "https://a:hush@%zz", Credentials: credentials}, "not a URL"},
		"no credentials":     {codearts.Options{Endpoint: "https://build.example"}, "Credentials are missing"},
		"no timeout":         {codearts.Options{Endpoint: "https://build.example", Credentials: credentials}, "Timeout is missing"},
		"a negative timeout": {codearts.Options{Endpoint: "https://build.example", Credentials: credentials, Timeout: -1}, "Timeout is missing"},
		"a fragment":         {codearts.Options{Endpoint: "https://build.example#x", Credentials: credentials}, "more than scheme, host and port"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client, err := codearts.New(test.options)
			if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%v, want %q", err, test.fails)
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Error("the error tells a password:", err)
			}
			if err == nil {
				client.Close()
			}
		})
	}
}

// BenchmarkSign authorizes one RunJob.
func BenchmarkSign(b *testing.B) {
	body := []byte(`{"job_id":"f9d6c8466d614a9788e9a0acf6c15f46","parameter":[{"name":"codeBranch","value":"main"}],"scm":{"build_commit_id":"3f786850e387550fdab836ed7e6dc881de23001b"}}`)
	credentials := codearts.AccessKey(secret("AK"), secret("SK"), nil)
	b.ReportAllocs()
	for b.Loop() {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "https://cloudbuild-ext.cn-north-4.myhuaweicloud.com/v3/jobs/build", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		if err := credentials.Authorize(b.Context(), r, body); err != nil {
			b.Fatal(err)
		}
	}
}
