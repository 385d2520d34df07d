// Package codehosttest plays the code hosts, for tests and for the demo: it has a body as
// GitHub sends it, and signs as each host does.
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

// Sign adds to the headers of a delivery the proof that the host sends: a signature of the
// body, or the secret. If a host has several proofs, it is the one without a time:
// GitLab's token, Gitee's password. For CodeArts Repo it is the default header, and for
// Azure DevOps Basic with the user name "buildbridge".
//
// The body is the one that the host signs: for Gitea, Forgejo and Gogs it is the JSON,
// even if that is sent in a form.
func Sign(provider, secret string, h http.Header, body []byte) {
	signature := hex.EncodeToString(mac([]byte(secret), body))
	switch provider {
	case "github":
		h.Set("X-Hub-Signature-256", "sha256="+signature)
	case "bitbucket", "bitbucket-server":
		h.Set("X-Hub-Signature", "sha256="+signature)
	case "gitea":
		h.Set("X-Gitea-Signature", signature)
	case "forgejo":
		h.Set("X-Forgejo-Signature", signature)
	case "gogs":
		h.Set("X-Gogs-Signature", signature)
	case "gitlab":
		h.Set("X-Gitlab-Token", secret)
	case "gitee":
		h.Set("X-Gitee-Token", secret)
	case "codearts-repo":
		h.Set("X-Repo-Token", secret)
	case "azure-devops":
		SignBasic("buildbridge", secret, h)
	default:
		panic(fmt.Sprintf("codehosttest: unknown provider %q", provider))
	}
}

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
	signature := base64.StdEncoding.EncodeToString(mac(key, []byte(id+"."+stamp+"."), body))
	h.Set("Webhook-Signature", "v1,"+signature)
}

// SignGitee adds the signature of a Gitee webhook with a signature key.
func SignGitee(secret string, now time.Time, h http.Header) {
	stamp := strconv.FormatInt(now.UnixMilli(), 10)
	h.Set("X-Gitee-Timestamp", stamp)
	h.Set("X-Gitee-Token", base64.StdEncoding.EncodeToString(mac([]byte(secret), []byte(stamp+"\n"+secret))))
}

// SignBasic adds HTTP Basic credentials.
func SignBasic(username, password string, h http.Header) {
	h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(username+":"+password)))
}

func mac(key []byte, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	for _, part := range parts {
		m.Write(part)
	}
	return m.Sum(nil)
}
