// Package codehosttest plays the code hosts, for tests and for the demo: it has a body as
// GitHub sends it, and the proofs that codehost.Sign does not make.
package codehosttest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// SignGitLab adds the signature of a GitLab webhook with a signing token,
// "whsec_…", under the delivery id and the time given.
func SignGitLab(signingToken, id string, now time.Time, h http.Header, body []byte) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signingToken, "whsec_"))
	if err != nil {
		panic(fmt.Sprintf("codehosttest: signing token: %v", err))
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", stamp)
	signature := base64.StdEncoding.EncodeToString(mac(key, id+"."+stamp+"."+string(body)))
	h.Set("Webhook-Signature", "v1,"+signature)
}

// SignGitee adds the signature of a Gitee webhook with a signature key.
func SignGitee(secret string, now time.Time, h http.Header) {
	stamp := strconv.FormatInt(now.UnixMilli(), 10)
	h.Set("X-Gitee-Timestamp", stamp)
	h.Set("X-Gitee-Token", base64.StdEncoding.EncodeToString(mac([]byte(secret), stamp+"\n"+secret)))
}

// SignGitCode adds the signature of a GitCode webhook with a signature key.
func SignGitCode(key string, h http.Header, body []byte) {
	h.Set("X-GitCode-Signature-256", "sha256="+hex.EncodeToString(mac([]byte(key), string(body))))
}

// SignBasic adds HTTP Basic credentials.
func SignBasic(username, password string, h http.Header) {
	(&http.Request{Header: h}).SetBasicAuth(username, password)
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
