package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddr is the address a request came from. That is the peer's, unless
// the peer is a trusted proxy: then it is the right-most entry of
// X-Forwarded-For that is not one. What stands further left was written by the
// client and means nothing. The zero Addr, which no list allows, stands for
// what cannot be read. Empty entries are none (RFC 9110, section 5.6.1).
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := plain(peer.Addr())
	if !contains(trusted, addr) {
		return addr
	}
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, entry := range slices.Backward(forwarded) {
		if !contains(trusted, addr) {
			break
		}
		if entry = strings.TrimSpace(entry); entry != "" {
			addr = forwardedAddr(entry)
		}
	}
	return addr
}

// notAllowed says for the log which address a call was taken to come from, and why.
func notAllowed(r *http.Request, trusted []netip.Prefix, client netip.Addr) error {
	why := ""
	if forwarded := strings.Join(r.Header.Values("X-Forwarded-For"), ", "); forwarded != "" {
		is := "is none"
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && contains(trusted, plain(peer.Addr())) {
			is = "is one: its right-most address that is no such proxy counts"
		}
		why = fmt.Sprintf("; X-Forwarded-For (%q) counts only from a proxy that --trusted-proxies names, "+
			"and %s, where the connection comes from, %s", clip(forwarded, maxLoggedName), r.RemoteAddr, is)
	}
	if !client.IsValid() {
		return errors.New("what the call is taken to come from is no address" + why)
	}
	return fmt.Errorf("allow_from of the source does not have %s, which the call is taken to come from%s", client, why)
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
