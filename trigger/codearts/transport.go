package codearts

import (
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// newTransport makes the transport of a client: with proxies from HTTPS_PROXY, HTTP_PROXY and
// NO_PROXY as they are now, 10 s to connect and 10 s for TLS.
//
// It speaks HTTP/1.1 only, for two reasons: net/http sends a POST again only if it wrote
// nothing of it, and the fates rely on that; and a slow connection delays one call only.
func newTransport() *http.Transport {
	proxy := httpproxy.FromEnvironment().ProxyFunc()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:               func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 256,
		// Shorter than the minute after which gateways close an idle connection: a call on a
		// connection that is being closed would have an unknown fate.
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
		Protocols:              protocols,
	}
}
