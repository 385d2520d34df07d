package codehost

import "buildbridge/mapping"

// forgejoHost is Gitea under its own name; its older versions have only
// Gitea's: https://forgejo.org/docs/latest/user/webhooks/
func forgejoHost() host {
	h := giteaHost()
	h.provider = mapping.Forgejo
	h.eventHeaders = []string{"X-Forgejo-Event", "X-Gitea-Event"}
	h.idHeaders = []string{"X-Forgejo-Delivery", "X-Gitea-Delivery"}
	h.authenticate = func(r request) (string, error) {
		return hexSignature(r, "", "X-Forgejo-Signature", "X-Gitea-Signature")
	}
	return h
}
