package codeartstest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// The example of the SDK's signer tests shows the algorithm; what the SDK sends
// is verified in sdk_test.go. Here: what must not pass.
func TestVerify(t *testing.T) {
	now := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
	s := New(Options{Keys: []Key{{AccessKey: "AK", SecretKey: "SK"}, {AccessKey: "TEMP", SecretKey: "SK", SecurityToken: "ST"}}})
	const body = `{"job_id":"x"}`
	build := func() *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v3/jobs/build?b=2&a=%20x&a=%2B", strings.NewReader(body))
		r.Header.Set("X-Sdk-Date", now.Format(dateFormat))
		r.Header.Set("User-Agent", " test ")
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	signWith := func(r *http.Request, access, secret string, headers ...string) {
		canonical, ok := canonicalRequest(r, headers, []byte(body))
		if !ok {
			canonical = "nothing"
		}
		r.Header.Set("Authorization", algorithm+" Access="+access+", SignedHeaders="+strings.Join(headers, ";")+
			", Signature="+sign(canonical, r.Header.Get("X-Sdk-Date"), secret))
	}
	tests := map[string]struct {
		before func(*http.Request) // the signature
		after  func(*http.Request)
		sign   func(*http.Request)
		body   string
		code   string
	}{
		"good":            {},
		"the least":       {sign: func(r *http.Request) { signWith(r, "AK", "SK", "x-sdk-date") }},
		"host signed":     {sign: func(r *http.Request) { signWith(r, "AK", "SK", "host", "x-sdk-date") }},
		"late in time":    {before: func(r *http.Request) { r.Header.Set("X-Sdk-Date", now.Add(-15*time.Minute).Format(dateFormat)) }},
		"too late":        {before: func(r *http.Request) { r.Header.Set("X-Sdk-Date", now.Add(-901*time.Second).Format(dateFormat)) }, code: "APIGW.0303"},
		"too early":       {before: func(r *http.Request) { r.Header.Set("X-Sdk-Date", now.Add(901*time.Second).Format(dateFormat)) }, code: "APIGW.0303"},
		"no date":         {before: func(r *http.Request) { r.Header.Del("X-Sdk-Date") }, code: "APIGW.0301"},
		"no date we read": {before: func(r *http.Request) { r.Header.Set("X-Sdk-Date", "now") }, code: "APIGW.0301"},
		"date not signed": {sign: func(r *http.Request) { signWith(r, "AK", "SK", "user-agent") }, code: "APIGW.0301"},
		"other secret":    {sign: func(r *http.Request) { signWith(r, "AK", "KS", "x-sdk-date") }, code: "APIGW.0301"},
		"empty secret":    {sign: func(r *http.Request) { signWith(r, "KA", "", "x-sdk-date") }, code: "APIGW.0301"},
		"other body":      {body: `{"job_id":"y"}`, code: "APIGW.0301"},
		"other path":      {after: func(r *http.Request) { r.URL.Path = "/v3/jobs/stop" }, code: "APIGW.0301"},
		"other method":    {after: func(r *http.Request) { r.Method = "PUT" }, code: "APIGW.0301"},
		"other query":     {after: func(r *http.Request) { r.URL.RawQuery = "a=1" }, code: "APIGW.0301"},
		"a query of junk": {after: func(r *http.Request) { r.URL.RawQuery = "%zz" }, code: "APIGW.0301"},
		"other header":    {after: func(r *http.Request) { r.Header.Set("User-Agent", "x") }, code: "APIGW.0301"},
		"header gone":     {after: func(r *http.Request) { r.Header.Del("User-Agent") }, code: "APIGW.0301"},
		"no signature":    {after: func(r *http.Request) { r.Header.Del("Authorization") }, code: "APIGW.0301"},
		"project added":   {after: func(r *http.Request) { r.Header.Set("X-Project-Id", "p") }, code: "APIGW.0301"},
		"token on permanent keys": {
			before: func(r *http.Request) { r.Header.Set("X-Security-Token", "ST") },
			sign:   func(r *http.Request) { signWith(r, "AK", "SK", "x-sdk-date", "x-security-token") }, code: "APIGW.0301",
		},
		"temporary keys": {
			before: func(r *http.Request) { r.Header.Set("X-Security-Token", "ST") },
			sign:   func(r *http.Request) { signWith(r, "TEMP", "SK", "x-sdk-date", "x-security-token") },
		},
		"token not signed": {
			before: func(r *http.Request) { r.Header.Set("X-Security-Token", "ST") },
			sign:   func(r *http.Request) { signWith(r, "TEMP", "SK", "x-sdk-date") }, code: "APIGW.0301",
		},
		"body not signed": {before: func(r *http.Request) { r.Header.Set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD") }, body: "other"},
		"another hash":    {before: func(r *http.Request) { r.Header.Set("X-Sdk-Content-Sha256", "00") }, code: "APIGW.0301"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := build()
			if test.before != nil {
				test.before(r)
			}
			if test.sign != nil {
				test.sign(r)
			} else {
				signWith(r, "AK", "SK", "user-agent", "x-sdk-date")
			}
			if test.after != nil {
				test.after(r)
			}
			if test.body == "" {
				test.body = body
			}
			if code, message := s.verify(r, []byte(test.body), now); code != test.code {
				t.Errorf("%q (%s), want %q", code, message, test.code)
			}
		})
	}
}

func FuzzParseSignature(f *testing.F) {
	for _, s := range []string{
		"", "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-date, Signature=abc", "SDK-HMAC-SHA256 Access=AK,SignedHeaders=a,Signature=b==",
		"SDK-HMAC-SHA256 Access=, SignedHeaders=, Signature=", "SDK-HMAC-SHA256 Access=A, Access=B, SignedHeaders=c, Signature=d", "V11-HMAC-SHA256 Credential=x",
	} {
		f.Add(s)
	}
	s := New(Options{Keys: []Key{{AccessKey: "AK", SecretKey: "SK"}}})
	now := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header string) {
		sig, ok := parseSignature(header)
		if ok && (sig.access == "" || sig.value == "" || len(sig.headers) == 0) {
			t.Errorf("%+v out of %q", sig, header)
		}
		if ok {
			again, ok := parseSignature(algorithm + " Access=" + sig.access + ", SignedHeaders=" + strings.Join(sig.headers, ";") + ", Signature=" + sig.value)
			if !ok || again.access != sig.access || again.value != sig.value || !slices.Equal(again.headers, sig.headers) {
				t.Errorf("%+v became %+v", sig, again)
			}
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v3/jobs/build", http.NoBody)
		r.Header["Authorization"] = []string{header}
		r.Header.Set("X-Sdk-Date", now.Format(dateFormat))
		if code, _ := s.verify(r, nil, now); code == "" {
			t.Errorf("%q was let in", header)
		}
	})
}
