package codearts_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	jobID  = "f9d6c8466d614a9788e9a0acf6c15f46"
	commit = "3f786850e387550fdab836ed7e6dc881de23001b"
)

func secret(value string) codearts.SecretFunc {
	return func() (mapping.Secret, error) { return mapping.Secret(value), nil }
}

// newClient makes a client that is closed with the test.
func newClient(t *testing.T, o codearts.Options) *codearts.Client {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = mapping.DefaultTimeout
	}
	if o.Credentials == nil {
		o.Credentials = codearts.AccessKey(secret("AK"), secret("SK"), nil)
	}
	client, err := codearts.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// serve gives the address of a service that answers all requests with handler.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func runBody(t *testing.T) []byte {
	t.Helper()
	body, err := json.Marshal(codearts.RunJobRequest{
		JobID:      jobID,
		Parameters: []codearts.Parameter{{Name: "codeBranch", Value: "main"}},
		SCM:        &codearts.SCM{BuildCommitID: commit},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func asError(t *testing.T, err error) *codearts.Error {
	t.Helper()
	e, ok := errors.AsType[*codearts.Error](err)
	if !ok {
		t.Fatalf("error is %T (%v), want *codearts.Error", err, err)
	}
	return e
}
