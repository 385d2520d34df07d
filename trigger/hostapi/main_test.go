package hostapi_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"buildbridge/mapping"
	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	commit = "3f786850e387550fdab836ed7e6dc881de23001b"
	other  = "89e6c98d92887913cadf06b2adb97f26cde4849b"
	token  = "tok3n-0f-the-h0st"
)

var providers = []string{
	hostapitest.GitHub, hostapitest.GitLab, hostapitest.Gitee, hostapitest.Gitea, hostapitest.Forgejo,
	hostapitest.Bitbucket, hostapitest.BitbucketServer, hostapitest.AzureDevOps,
}

func secret(value string) func() (mapping.Secret, error) {
	return func() (mapping.Secret, error) { return mapping.Secret(value), nil }
}

// newClient makes a client that is closed with the test, with the right token if none is given.
func newClient(t *testing.T, o hostapi.Options) *hostapi.Client {
	t.Helper()
	if o.Token == nil {
		o.Token = secret(token)
	}
	c, err := hostapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// newHost starts a simulator whose token is the right one.
func newHost(t *testing.T, o hostapitest.Options) *hostapitest.Server {
	t.Helper()
	if o.Token == "" {
		o.Token = token
	}
	s := hostapitest.NewServer(o)
	t.Cleanup(s.Close)
	return s
}

// status gives one that every host takes.
func status(state hostapi.State) hostapi.Status {
	return hostapi.Status{
		Repository: "acme/shop", Commit: commit, Ref: "refs/heads/main", Context: "buildbridge/cart",
		State: state, Description: "build 7 says so", TargetURL: "https://ci.example.com/7",
	}
}

func post(t *testing.T, c *hostapi.Client, s hostapi.Status) string {
	t.Helper()
	ref, err := c.Post(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func refusal(t *testing.T, c *hostapi.Client, s hostapi.Status) *hostapi.Refusal {
	t.Helper()
	ref, err := c.Post(t.Context(), s)
	r, ok := errors.AsType[*hostapi.Refusal](err)
	if !ok {
		t.Fatalf("gave %q, %T (%v), want a *hostapi.Refusal", ref, err, err)
	}
	if strings.ContainsAny(r.Error(), "\r\n") {
		t.Errorf("more than a line: %q", r.Error())
	}
	return r
}

// transport answers requests without a network.
type transport func(r *http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// serve gives the answer of a handler.
func serve(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// answer makes an answer with JSON.
func answer(code int, body string, header ...string) *http.Response {
	res := &http.Response{
		StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
	}
	for i := 0; i < len(header); i += 2 {
		res.Header.Set(header[i], header[i+1])
	}
	return res
}
