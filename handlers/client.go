package handlers

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddr is the address a request came from. That is the peer's, unless
// the peer is a trusted proxy: then it is the right-most entry of
// X-Forwarded-For that is not one. What stands further left was written by the
// client and means nothing. The zero Addr, which no list allows, stands for
// what cannot be read.
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := plain(peer.Addr())
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, entry := range slices.Backward(forwarded) {
		entry = strings.TrimSpace(entry)
		if !contains(trusted, addr) || entry == "" {
			break
		}
		addr = forwardedAddr(entry)
	}
	return addr
}

// forwardedAddr reads an entry of X-Forwarded-For; some proxies add the port.
func forwardedAddr(entry string) netip.Addr {
	if withPort, err := netip.ParseAddrPort(entry); err == nil {
		return plain(withPort.Addr())
	}
	addr, err := netip.ParseAddr(strings.Trim(entry, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return plain(addr)
}

// plain is the address as a prefix contains it: IPv4 as such, and no zone.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
