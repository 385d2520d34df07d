package hostapi

import "net/url"

// gitOnly is a host of which nothing but branches and tags is read, by Git's own protocol: with an
// access token for a user that it wants beside one, or with a user and a password. public is the root
// of its public service, "" if there is none.
func gitOnly(public, user string) host {
	return host{
		public: public,
		api:    (*url.URL).String, // no call of it is made
		header: basic(user),
		clone:  anyParts,
		login:  basic(user),
		reads:  "its user needs access to the repository",
	}
}
