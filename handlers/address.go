package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"buildbridge/mapping/printable"
)

// clientAddr is the address that a request came from: the peer's or, if the peer is a
// trusted proxy, the right-most entry of X-Forwarded-For that is not a trusted proxy. The
// client may have written what stands left of that. An address that cannot be read is
// the zero Addr, which is in no list. Empty entries do not count (RFC 9110, section
// 5.6.1).
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

// notAllowed says for the log which address the client has, and why that is so.
func notAllowed(r *http.Request, trusted []netip.Prefix, client netip.Addr) error {
	why := ""
	if forwarded := strings.Join(r.Header.Values("X-Forwarded-For"), ", "); forwarded != "" {
		peer := "which is none"
		if addr, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && contains(trusted, plain(addr.Addr())) {
			peer = "which is one: the right-most address that is not such a proxy counts"
		}
		why = fmt.Sprintf("; X-Forwarded-For (%q) counts only from a proxy that --trusted-proxies names; the connection comes from %s, %s",
			printable.Clip(forwarded, maxLoggedName), r.RemoteAddr, peer)
	}
	if !client.IsValid() {
		return errors.New("the address of the client cannot be read" + why)
	}
	return fmt.Errorf("the address of the client is %s, which is not in allow_from of the source%s", client, why)
}

// forwardedAddr reads an entry of X-Forwarded-For. Some proxies add the port.
func forwardedAddr(entry string) netip.Addr {
	if withPort, err := netip.ParseAddrPort(entry); err == nil {
		return plain(withPort.Addr())
	}
	addr, _ := netip.ParseAddr(strings.Trim(entry, "[]")) // the zero Addr if it cannot be read
	return plain(addr)
}

// plain is an address in the form that prefixes contain: without a zone, and IPv4 not
// within IPv6.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
