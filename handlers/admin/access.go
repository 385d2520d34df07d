package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"buildbridge/mapping"
)

// Token reads a token. It is called for every request that comes with one, so that a
// changed file takes effect.
type Token func() (mapping.Secret, error)

// Access says who may read and who may write. A token for writing is also one for
// reading. The zero value refuses everybody.
type Access struct {
	// Read and Write are the configured tokens, any one of which is enough. Without any,
	// this machine may read without a token if Loopback says that only this machine
	// reaches the listener.
	Read, Write []Token
	Loopback    bool
	Host        string // another name of the listener than localhost; may be ""

	// Made is a token for writing that the program made; nil for none.
	Made Token
}

// right is what a request may do.
type right int

const (
	nothing right = iota
	reading
	writing
)

// authorized refuses requests that may not do what their method does.
func (a *api) authorized(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		challenge, err := a.authorize(c.Request())
		if err != nil {
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, challenge)
			return err
		}
		return next(c)
	}
}

// authorize gives nil, or why the request is refused and its WWW-Authenticate (RFC 6750).
func (a *api) authorize(r *http.Request) (challenge string, err error) {
	const scheme = `Bearer realm="buildbridge"`
	access := &a.Access
	need := writing
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		need = reading
	}
	if need == reading && access.open() && access.fromHere(r) {
		return "", nil
	}
	token, ok := bearer(r.Header)
	if !ok {
		return scheme, fail(http.StatusUnauthorized, "%s", access.wants(need))
	}
	switch may := a.rightOf(r, token); {
	case may >= need:
		return "", nil
	case may == nothing:
		return scheme + `, error="invalid_token"`, fail(http.StatusUnauthorized, "this token is unknown; %s", access.wants(need))
	}
	return scheme + `, error="insufficient_scope"`, fail(http.StatusForbidden, "this token is for reading; %s", access.wants(need))
}

// rightOf compares a token with all known ones, so that the time does not tell which one
// is equal.
func (a *api) rightOf(r *http.Request, token string) right {
	given := sha256.Sum256([]byte(token))
	may := nothing
	try := func(granted right, known Token) {
		value, err := known()
		if err != nil || value == "" {
			a.Logger.LogAttrs(r.Context(), slog.LevelWarn, "an admin token cannot be read, and is not accepted", slog.Any("error", err))
			return
		}
		digest := sha256.Sum256([]byte(value))
		if subtle.ConstantTimeCompare(given[:], digest[:]) == 1 {
			may = max(may, granted)
		}
	}
	for _, known := range a.Access.Read {
		try(reading, known)
	}
	for _, known := range a.Access.Write {
		try(writing, known)
	}
	if a.Access.Made != nil {
		try(writing, a.Access.Made)
	}
	return may
}

func (a *Access) configured() bool { return len(a.Read)+len(a.Write) > 0 }

// open says whether this machine may read without a token.
func (a *Access) open() bool { return a.Loopback && !a.configured() }

// wants says what a request needs for a right.
func (a *Access) wants(need right) string {
	switch {
	case need == writing && len(a.Write) == 0 && a.Made == nil:
		return "writing needs a token, and none is configured: start buildbridge serve with --admin-write-token"
	case need == writing:
		return "writing needs a token for writing, as Authorization: Bearer TOKEN"
	case a.configured():
		return "reading needs a token, as Authorization: Bearer TOKEN"
	case a.open():
		return "reading without a token is for this machine, with an address or localhost as the host, and not through a proxy"
	}
	return "reading needs a token, and none is configured: without one, only a listener on a loopback address is read; " +
		"start buildbridge serve with --admin-read-token"
}

// fromHere says whether a request comes from this machine, and neither through a proxy nor
// from a page of a stranger whose name leads to this machine (DNS rebinding).
func (a *Access) fromHere(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return strings.EqualFold(host, "localhost") || a.Host != "" && strings.EqualFold(host, a.Host)
}

// bearer gives the one token of a request.
func bearer(h http.Header) (token string, ok bool) {
	values := h.Values(echo.HeaderAuthorization)
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}

// actorKey is where a request has the name of its token.
const actorKey = "actor"

// by is who asks, and why.
func by(c echo.Context, why string) mapping.By {
	actor, _ := c.Get(actorKey).(string)
	return mapping.By{Actor: actor, Why: strings.TrimSpace(why)}
}
