package hostapi

import "net/url"

// gerrit has labels of changes, and no statuses on commits. With a password one asks below /a
// (https://gerrit-review.googlesource.com/Documentation/rest-api.html#authentication).
var gerrit = host{
	api:    (*url.URL).String, // no call of it is made
	header: basic(""),
	clone:  gerritClone,
	login:  basic(""),
	reads:  "username and the user's password for HTTP are needed, and the right to read the project",
}

// gerritClone: a project may have a name without a group.
func gerritClone(repository string) (string, error) {
	path, err := allParts(repository)
	return "/a" + path, err
}
