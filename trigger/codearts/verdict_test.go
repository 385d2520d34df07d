package codearts_test

import (
	"bytes"
	gocmp "cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
)

// Every row of the table of answers, and the shapes they come in.
func TestAnswers(t *testing.T) {
	const page = "<html>\n<head><title>504 Gateway\n Time-out</title></head></html>"
	tests := map[string]struct {
		status int
		header map[string]string
		body   string

		number string // of a success
		fate   codearts.Fate
		code   string
		says   string // a part of Error()
		reason string // where the fate does not tell
		after  time.Duration
	}{
		"success":                      {status: 200, body: `{"octopus_job_name":"j_Oaqg","actual_build_number":"20","daily_build_number":"20200612.20"}`, number: "20"},
		"success of the v1 twin":       {status: 200, body: `{"result":{"actual_build_number":"7"},"error":null,"status":"success"}`, number: "7"},
		"success with a number":        {status: 200, body: `{"actual_build_number":21}`, number: "21"},
		"success with a mark":          {status: 200, body: "\xef\xbb\xbf" + `{"actual_build_number":"20"}`, number: "20"},
		"201":                          {status: 201, body: `{"actual_build_number":"20"}`, number: "20"},
		"200 without a number":         {status: 200, body: `{"octopus_job_name":"j_Oaqg"}`, fate: codearts.FateUnknown, says: "no build number in the answer (200); the build may have been started"},
		"200 with an empty number":     {status: 200, body: `{"actual_build_number":" "}`, fate: codearts.FateUnknown, says: "no build number"},
		"200 with a null number":       {status: 200, body: `{"actual_build_number":null}`, fate: codearts.FateUnknown, says: "no build number"},
		"200 with nothing":             {status: 200, fate: codearts.FateUnknown, says: "no build number in the answer (200); the"},
		"204":                          {status: 204, fate: codearts.FateUnknown, says: "no build number"},
		"200 with a page":              {status: 200, body: page, fate: codearts.FateUnknown, says: "a page instead of JSON"},
		"200 with half an answer":      {status: 200, body: `{"actual_build_number":"20`, fate: codearts.FateUnknown, says: "no build number"},
		"200 with two answers":         {status: 200, body: `{"actual_build_number":"20"}{}`, fate: codearts.FateUnknown, says: "no build number"},
		"200 with an array":            {status: 200, body: `[]`, fate: codearts.FateUnknown, says: "no build number"},
		"200, dead code, flat":         {status: 200, body: `{"error_code":"CB.00060200","error_msg":"bad  job\nid"}`, fate: codearts.FateDead, code: "CB.00060200", says: "bad parameter or job id (200 CB.00060200): bad job id; correct the rule"},
		"200, dead code, nested":       {status: 200, body: `{"error":{"code":"DEVCB.00031006","reason":"gone"},"status":"error"}`, fate: codearts.FateDead, code: "DEVCB.00031006", says: "no such job (200 DEVCB.00031006): gone"},
		"200, throttled":               {status: 200, body: `{"error_code":"APIG.0308","error_msg":"The throttling threshold has been reached"}`, fate: codearts.FateThrottled, code: "APIG.0308", says: "throttled"},
		"200, busy":                    {status: 200, body: `{"error":{"code":"CB.00060100","message":"busy"},"status":"error"}`, fate: codearts.FateUnknown, code: "CB.00060100", says: "busy"},
		"200, code never seen":         {status: 200, body: `{"error_code":"CB.99999999","error_msg":"?"}`, fate: codearts.FateUnknown, code: "CB.99999999", says: "the service reports an error"},
		"JSON in a JSON string":        {status: 400, body: `"{\"error_code\":\"DEV.CB.032000\",\"error_msg\":\"bad\"}"`, fate: codearts.FateDead, code: "DEV.CB.032000", says: "bad parameter or job id (400 DEV.CB.032000): bad"},
		"429":                          {status: 429, header: map[string]string{"Retry-After": "7"}, fate: codearts.FateThrottled, after: 7 * time.Second, says: "throttled (429)"},
		"429 until a date":             {status: 429, header: map[string]string{"Retry-After": "Fri, 02 Jan 2026 03:04:35 GMT"}, fate: codearts.FateThrottled, after: 30 * time.Second},
		"429 until long ago":           {status: 429, header: map[string]string{"Retry-After": "Fri, 02 Jan 2015 03:04:35 GMT"}, fate: codearts.FateThrottled},
		"429 for ever":                 {status: 429, header: map[string]string{"Retry-After": "99999999999"}, fate: codearts.FateThrottled, after: 24 * time.Hour},
		"429 for nonsense":             {status: 429, header: map[string]string{"Retry-After": "soon"}, fate: codearts.FateThrottled},
		"APIGW.0308 in a 403":          {status: 403, body: `{"error_code":"APIGW.0308"}`, fate: codearts.FateThrottled, code: "APIGW.0308"},
		"APIG.0308 in a 503":           {status: 503, body: `{"error_code":"APIG.0308"}`, fate: codearts.FateThrottled, code: "APIG.0308"},
		"500, too many requests":       {status: 500, body: `{"error_code":"CB.00060211","error_msg":"too many"}`, fate: codearts.FateThrottled, code: "CB.00060211", says: "too many requests (500 CB.00060211)"},
		"500 CB.00060100":              {status: 500, body: `{"error_code":"CB.00060100"}`, fate: codearts.FateUnknown, code: "CB.00060100"},
		"500 CB.00060101":              {status: 500, body: `{"error_code":"CB.00060101"}`, fate: codearts.FateUnknown, code: "CB.00060101"},
		"500 CB.00030004":              {status: 500, body: `{"error_code":"CB.00030004"}`, fate: codearts.FateUnknown, code: "CB.00030004"},
		"500 of another kind":          {status: 500, body: `oops`, fate: codearts.FateUnknown, says: "the service failed (500): something else than a JSON object"},
		"502":                          {status: 502, body: page, fate: codearts.FateUnknown},
		"503":                          {status: 503, header: map[string]string{"Retry-After": "3"}, fate: codearts.FateUnknown, after: 3 * time.Second},
		"504 APIGW.0201":               {status: 504, body: `{"error_code":"APIGW.0201","error_msg":"Backend timeout","request_id":"abc"}`, fate: codearts.FateUnknown, code: "APIGW.0201", says: "the gateway got no answer in time (504 APIGW.0201, request abc): Backend timeout; the build may have been started"},
		"413 APIGW.0201":               {status: 413, body: `{"error_code":"APIGW.0201"}`, fate: codearts.FateDead, code: "APIGW.0201"},
		"401 APIGW.0301":               {status: 401, header: map[string]string{"X-Request-Id": "r-1"}, body: `{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information"}`, fate: codearts.FateDead, code: "APIGW.0301", says: "run job: credentials refused (401 APIGW.0301, request r-1): Incorrect IAM authentication information; check the target's credentials", reason: "credentials"},
		"401 without a code":           {status: 401, fate: codearts.FateDead, says: "credentials refused (401); check", reason: "credentials"},
		"APIGW.0303":                   {status: 401, body: `{"error_code":"APIGW.0303"}`, fate: codearts.FateDead, code: "APIGW.0303", says: "clock off (401 APIGW.0303); set the clock", reason: "credentials"},
		"403":                          {status: 403, body: `{"error_code":"DEV.00000000","error_msg":"no"}`, fate: codearts.FateDead, code: "DEV.00000000", says: "no permission (403 DEV.00000000): no; give", reason: "permission"},
		"404 APIGW.0101":               {status: 404, body: `{"error_code":"APIGW.0101"}`, fate: codearts.FateDead, code: "APIGW.0101", says: "check the region or endpoint"},
		"404 CB.00060214":              {status: 404, body: `{"error_code":"CB.00060214"}`, fate: codearts.FateDead, code: "CB.00060214", says: "check the region or endpoint"},
		"404 CB.00031006":              {status: 404, body: `{"error_code":"CB.00031006"}`, fate: codearts.FateDead, code: "CB.00031006", says: "no such job"},
		"422 DEVCB.00031006":           {status: 422, body: `{"error":{"code":"DEVCB.00031006","message":"x"}}`, fate: codearts.FateDead, code: "DEVCB.00031006", says: "no such job"},
		"400 CB.00060200":              {status: 400, body: `{"error_code":"CB.00060200"}`, fate: codearts.FateDead, code: "CB.00060200"},
		"400 CB.00060201":              {status: 400, body: `{"error_code":"CB.00060201"}`, fate: codearts.FateDead, code: "CB.00060201"},
		"400 DEV.CB.032000":            {status: 400, body: `{"error_code":"DEV.CB.032000"}`, fate: codearts.FateDead, code: "DEV.CB.032000"},
		"400 DEV.CB.032011":            {status: 400, body: `{"error_code":"DEV.CB.032011"}`, fate: codearts.FateDead, code: "DEV.CB.032011"},
		"422 DEVCB.00030000":           {status: 422, body: `{"error_code":"DEVCB.00030000"}`, fate: codearts.FateDead, code: "DEVCB.00030000"},
		"a 4xx never seen":             {status: 418, body: `{}`, fate: codearts.FateDead, says: "refused (418); correct"},
		"408":                          {status: 408, fate: codearts.FateUnknown},
		"a 5xx never seen":             {status: 599, fate: codearts.FateUnknown},
		"302":                          {status: 302, header: map[string]string{"Location": "https://elsewhere.example/login"}, fate: codearts.FateDead, says: "redirected (302): to https://elsewhere.example; set the target's endpoint"},
		"307, which repeats the body":  {status: 307, header: map[string]string{"Location": "/again"}, fate: codearts.FateDead, says: "redirected"},
		"304":                          {status: 304, fate: codearts.FateDead, says: "redirected (304)"},
		"more than is read":            {status: 200, body: `{"x":"` + strings.Repeat("x", 8<<20) + `","actual_build_number":"20"}`, fate: codearts.FateUnknown},
		"a message that spoils a line": {status: 418, body: `{"error_msg":"\u001b[31m\u0000red\u2028 ` + "\xff" + `"}`, fate: codearts.FateDead, says: "refused (418): [31m red \uFFFD; correct"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			var got []byte
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				got, _ = io.ReadAll(r.Body)
				for k, v := range test.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			client := newClient(t, codearts.Options{Endpoint: url})
			codearts.SetClock(client, at(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
			number, err := client.RunJob(t.Context(), runBody(t))
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
			if !bytes.Equal(got, runBody(t)) {
				t.Errorf("body sent: %s", got)
			}
			if test.number != "" {
				if err != nil || number != test.number {
					t.Fatalf("RunJob: %q, %v, want %q", number, err, test.number)
				}
				return
			}
			e := asError(t, err)
			want := codearts.Error{Fate: test.fate, Status: test.status, Code: test.code, RetryAfter: test.after}
			have := codearts.Error{Fate: e.Fate, Status: e.Status, Code: e.Code, RetryAfter: e.RetryAfter}
			if diff := cmp.Diff(want, have, cmp.AllowUnexported(codearts.Error{})); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			reason := gocmp.Or(test.reason, map[codearts.Fate]string{
				codearts.FateDead: "rejected", codearts.FateThrottled: "throttled", codearts.FateUnknown: "unavailable",
			}[test.fate])
			if got := e.Reason(); got != reason || !slices.Contains(codearts.Reasons, got) {
				t.Errorf("reason %q, want %q", got, reason)
			}
			if number != "" {
				t.Errorf("number %q with an error", number)
			}
			if !strings.Contains(e.Error(), test.says) {
				t.Errorf("error says %q, want %q in it", e.Error(), test.says)
			}
			if strings.ContainsAny(e.Error(), "\n\r\x00\x1b\u2028") {
				t.Errorf("error is not one clean line: %q", e.Error())
			}
		})
	}
}

// What happens below HTTP: the border is whether anything can have been written.
func TestNoAnswer(t *testing.T) {
	// raw answers each connection with do, after the whole request was read.
	raw := func(do func(net.Conn)) func(*testing.T) string {
		return func(t *testing.T) string {
			return serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				do(conn)
			})
		}
	}
	write := func(s string) func(*testing.T) string {
		return raw(func(c net.Conn) { _, _ = io.WriteString(c, s) })
	}
	tests := map[string]struct {
		url   func(*testing.T) string
		fate  codearts.Fate
		label string
	}{
		"connection refused": {fate: codearts.FateRetry, label: "not_sent", url: func(*testing.T) string {
			server := httptest.NewServer(http.NotFoundHandler())
			server.Close()
			return server.URL
		}},
		"no such host": {fate: codearts.FateRetry, label: "not_sent", url: func(*testing.T) string {
			return "http://nothing.invalid"
		}},
		"a certificate nobody knows": {fate: codearts.FateRetry, label: "not_sent", url: func(t *testing.T) string {
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			server.StartTLS()
			t.Cleanup(server.Close)
			return server.URL
		}},
		"not TLS at all": {fate: codearts.FateRetry, label: "not_sent", url: func(t *testing.T) string {
			return strings.Replace(serve(t, http.NotFound), "http://", "https://", 1)
		}},
		"closed after the request": {fate: codearts.FateUnknown, label: "timeout", url: raw(func(net.Conn) {})},
		"reset after the request": {fate: codearts.FateUnknown, label: "timeout", url: raw(func(c net.Conn) {
			_ = c.(*net.TCPConn).SetLinger(0)
		})},
		"closed within the header":        {fate: codearts.FateUnknown, label: "timeout", url: write("HTTP/1.1 200 OK\r\nContent-")},
		"not HTTP":                        {fate: codearts.FateUnknown, label: "timeout", url: write("SSH-2.0-x\r\n")},
		"closed within the body":          {fate: codearts.FateUnknown, label: "timeout", url: write("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"actual_build_number\":\"1\"}")},
		"closed within an error's body":   {fate: codearts.FateDead, label: "403", url: write("HTTP/1.1 403 Forbidden\r\nContent-Length: 99\r\n\r\n{\"error")},
		"closed within a failure's body":  {fate: codearts.FateUnknown, label: "502", url: write("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\n<")},
		"closed within a throttle's body": {fate: codearts.FateThrottled, label: "429", url: write("HTTP/1.1 429 X\r\nContent-Length: 99\r\n\r\n<")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, codearts.Options{Endpoint: test.url(t)})
			number, err := client.RunJob(t.Context(), runBody(t))
			if number != "" {
				t.Errorf("number %q", number)
			}
			e := asError(t, err)
			if e.Fate != test.fate || e.Label() != test.label {
				t.Errorf("fate %v, label %q, want %v, %q: %v", e.Fate, e.Label(), test.fate, test.label, err)
			}
			if e.Timeout {
				t.Error("says that a deadline passed:", err)
			}
		})
	}
}

// A deadline before there is a connection means not sent; with one, unknown.
func TestDeadline(t *testing.T) {
	tests := map[string]struct {
		timeout   time.Duration // Options
		deadline  time.Duration // of the context; 0 for none
		connected bool
		cancelled bool

		fate    codearts.Fate
		label   string
		timeOut bool
		took    time.Duration
	}{
		"default timeout, no connection": {fate: codearts.FateRetry, label: "not_sent", timeOut: true, took: mapping.DefaultTimeout},
		"default timeout, connected":     {connected: true, fate: codearts.FateUnknown, label: "timeout", timeOut: true, took: mapping.DefaultTimeout},
		"own timeout":                    {timeout: 5 * time.Second, connected: true, fate: codearts.FateUnknown, label: "timeout", timeOut: true, took: 5 * time.Second},
		"context is sooner":              {timeout: 5 * time.Second, deadline: time.Second, connected: true, fate: codearts.FateUnknown, label: "timeout", timeOut: true, took: time.Second},
		"cancelled, no connection":       {cancelled: true, fate: codearts.FateRetry, label: "not_sent", took: time.Second},
		"cancelled, connected":           {cancelled: true, connected: true, fate: codearts.FateUnknown, label: "timeout", took: time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newClient(t, codearts.Options{
					Endpoint: "https://service.example", Timeout: test.timeout,
					Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
						trace := httptrace.ContextClientTrace(r.Context())
						trace.GetConn("service.example:443")
						if test.connected {
							trace.GotConn(httptrace.GotConnInfo{})
						}
						<-r.Context().Done()
						return nil, r.Context().Err()
					}),
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.deadline > 0 {
					ctx, cancel = context.WithTimeout(ctx, test.deadline)
					defer cancel()
				}
				if test.cancelled {
					time.AfterFunc(time.Second, cancel)
				}
				start := time.Now()
				_, err := client.RunJob(ctx, runBody(t))
				e := asError(t, err)
				if e.Fate != test.fate || e.Label() != test.label || e.Timeout != test.timeOut {
					t.Errorf("fate %v, label %q, timeout %v: %v", e.Fate, e.Label(), e.Timeout, err)
				}
				if took := time.Since(start); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if want := context.DeadlineExceeded; test.timeOut && !errors.Is(err, want) {
					t.Errorf("%v is not %v", err, want)
				}
			})
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// net/http takes a second connection only if nothing was written on the first:
// if that one cannot be had, nothing was sent.
func TestSecondConnectionFails(t *testing.T) {
	client := newClient(t, codearts.Options{
		Endpoint: "https://service.example",
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			trace := httptrace.ContextClientTrace(r.Context())
			trace.GetConn("service.example:443")
			trace.GotConn(httptrace.GotConnInfo{Reused: true})
			trace.GetConn("service.example:443")
			return nil, errors.New("connection refused")
		}),
	})
	_, err := client.RunJob(t.Context(), runBody(t))
	if e := asError(t, err); e.Fate != codearts.FateRetry || e.Error() != "run job: not sent: connection refused" {
		t.Errorf("fate %v: %v", e.Fate, err)
	}
}
