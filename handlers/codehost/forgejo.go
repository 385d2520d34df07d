package codehost

import "buildbridge/mapping"

// forgejo sends what Gitea does, with its own headers; older versions only Gitea's:
// https://forgejo.org/docs/latest/user/webhooks/
var forgejo = host{
	Provider:     mapping.Provider{Name: "forgejo", Statuses: true, URLForm: ownServer},
	commitPath:   "/commit/",
	eventHeaders: []string{"X-Forgejo-Event", "X-Gitea-Event"},
	idHeaders:    []string{"X-Forgejo-Delivery", "X-Gitea-Delivery"},
	ownHeaders:   []string{"X-Forgejo-Event"},
	formerly:     "gitea",
	forms:        true,
	signsInner:   true,
	secretFields: []string{"secret"},
	proof:        signature("", "X-Forgejo-Signature", "X-Gitea-Signature"),
	events:       giteaEvents,
	decode:       decodeGitea,
	guesses:      giteaGuesses,
}
