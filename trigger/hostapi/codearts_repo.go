package hostapi

import "net/url"

// codeArtsRepo has no call that sets a status.
var codeArtsRepo = host{
	api:    (*url.URL).String, // no call of it is made
	header: codeArtsRepoLogin,
	clone:  anyParts,
	login:  codeArtsRepoLogin,
	reads:  "its user needs access to the repository",
}

// codeArtsRepoLogin: an access token goes with private-token
// (https://support.huaweicloud.com/intl/en-us/usermanual-codeartsrepo/codeartsrepo_03_0021.html), the
// password for HTTPS with account/user.
func codeArtsRepoLogin(username, token string) (name, value string) {
	return basic("private-token")(username, token)
}
