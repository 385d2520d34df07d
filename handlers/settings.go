package handlers

import "net/netip"

// Settings are the options of a [Server] that the command line has as flags. Each field
// declares its default, its limit (min) and its help. The zero value trusts no proxy and
// sets no limit.
type Settings struct {
	TrustedProxies []netip.Prefix `placeholder:"CIDR" help:"Proxy whose X-Forwarded-For is trusted: an address or a CIDR; can be repeated."`

	MaxBodyMemory int64 `type:"size" default:"256MiB" min:"1MiB" help:"Memory for all bodies at a time; a delivery beyond it gets a 503."`
}
