package codearts

import "time"

// SetClock replaces the clock of a client.
func SetClock(c *Client, now func() time.Time) { c.sender.now = now }

// SetUserAgent replaces the user agent of a client.
func SetUserAgent(c *Client, agent string) { c.userAgent = agent }

// SetLoginClock replaces the clock of an [IAMUser].
func SetLoginClock(c Credentials, now func() time.Time) {
	c.(*iamUser).sender.now = now //nolint:forcetypeassert // as it says
}
