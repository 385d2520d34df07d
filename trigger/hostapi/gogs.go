package hostapi

import "net/url"

// gogs has no statuses.
var gogs = host{
	api:    func(root *url.URL) string { return root.JoinPath("api", "v1").String() },
	header: gitea.header,
	clone:  twoParts,
	login:  gogsLogin,
	reads:  "its user needs access to the repository",
}

// gogsLogin: Gogs takes a token for the user of Basic, newer versions for the password
// (internal/route/repo/http.go). With a user, what is given is that user's password.
func gogsLogin(username, token string) (name, value string) { return basic(token)(username, token) }
