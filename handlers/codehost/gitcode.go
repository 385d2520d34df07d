package codehost

import (
	"strings"

	"buildbridge/mapping"
)

// gitCode sends a password, or signs with a signature key, and a body like GitLab's. AtomGit became
// it, and has had headers of its own before:
// https://docs.gitcode.com/docs/help/home/org_project/webhook/web-hook/
var gitCode = host{
	Provider:     mapping.Provider{Name: "gitcode", SigningTokens: true},
	commitPath:   "/commit/",
	eventHeaders: []string{"X-GitCode-Event", "X-AtomGit-Event"},
	eventInBody:  true,
	idHeaders:    []string{"X-GitCode-Delivery", "X-AtomGit-Delivery"},
	idOfPush:     true, // it is not documented whether each ref has its own
	proof:        token("X-GitCode-Token").unlessSigned(gitCodeSignature),
	decode:       decodeGitCode,
	guesses:      gitlabGuesses,
}

// gitCodeSignature checks the HMAC-SHA256 of the body with a signing token as its key. AtomGit's may
// come without what names the algorithm: receivers of it take both.
func gitCodeSignature(r request) (string, error) {
	prefix := "sha256="
	name, value, err := r.value("X-GitCode-Signature-256", "X-AtomGit-Signature")
	if err == nil && name == "X-AtomGit-Signature" && !strings.HasPrefix(value, prefix) {
		prefix = ""
	}
	signs, err := r.signs(prefix, "X-GitCode-Signature-256", "X-AtomGit-Signature")
	if err != nil {
		return "", err
	}
	return r.matchSigningToken(signs)
}

func decodeGitCode(d *Delivery, body []byte) error { return d.addWithUUID(body, d.addPushByAddress) }
