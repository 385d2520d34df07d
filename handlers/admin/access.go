package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"buildbridge/mapping"
)

// Role is what the holder of a token may do. Each role may do what the ones before it may.
type Role int

// The roles.
const (
	nobody  Role = iota
	Read         // everything that changes nothing
	Operate      // builds, deliveries and pauses: start, replay, stop, cancel, pause, resume
	Write        // everything: the log level, and a copy of the database
)

// roles are the names of the roles, for people.
var roles = [...]string{Read: "read", Operate: "operate", Write: "write"}

func (r Role) String() string { return roles[r] }

// ParseRole gives the role of a name: read, operate or write.
func ParseRole(name string) (role Role, ok bool) {
	for i, known := range roles {
		if known == name && known != "" {
			return Role(i), true
		}
	}
	return nobody, false
}

// Token is a token of the API. Several may have the same name, as while one is replaced.
type Token struct {
	// Name is who has it: what is done with it is logged and kept under this name.
	Name string
	Role Role
	// Value reads it. It is called for every request that comes with a token, so that a
	// changed file takes effect.
	Value func() (mapping.Secret, error)
}

// Access says who may do what. The zero value refuses everybody.
type Access struct {
	// Tokens are the configured ones. Without any, this machine may read without a token
	// if Loopback says that only this machine reaches the listener.
	Tokens   []Token
	Loopback bool
	Host     string // another name of the listener than localhost; may be ""

	// Made is a token that the program made; the zero value for none.
	Made Token

	// Everybody may read, from wherever the listener is reached.
	Everybody bool
}

// needed is the role that a request needs, by its method and the route it has, which is ""
// if there is none.
func needed(method, route string) Role {
	what, _, _ := strings.Cut(strings.TrimPrefix(route, Prefix+"/"), "/")
	switch reads := method == http.MethodGet || method == http.MethodHead; {
	case what == "backup": // a copy of everything, with the bodies of all deliveries
		return Write
	case reads:
		return Read
	case what == "builds", what == "deliveries", what == "pauses":
		return Operate
	}
	return Write
}

// authorized refuses requests that may not do what their method and path do. It notes the
// name of the token, see by.
func (a *API) authorized(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		actor, challenge, err := a.authorize(c.Request(), needed(c.Request().Method, c.Path()))
		if err != nil {
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, challenge)
			return err
		}
		c.Set(actorKey, actor)
		return next(c)
	}
}

// authorize gives the name of the token, or why the request is refused and its
// WWW-Authenticate (RFC 6750). Who needs no token has no name.
func (a *API) authorize(r *http.Request, need Role) (actor, challenge string, err error) {
	const scheme = `Bearer realm="buildbridge"`
	access := &a.Access
	if need == Read && access.Open(r) {
		return "", "", nil
	}
	token, ok := Bearer(r.Header)
	if !ok {
		return "", scheme, fail(http.StatusUnauthorized, "%s", access.wants(need))
	}
	switch actor, may := access.Holder(r.Context(), a.Logger, Equal(token)); {
	case may >= need:
		return actor, "", nil
	case may == nobody:
		return "", scheme + `, error="invalid_token"`, fail(http.StatusUnauthorized, "this token is unknown; %s", access.wants(need))
	default:
		return "", scheme + `, error="insufficient_scope"`,
			fail(http.StatusForbidden, "this token is for %s: %q has the role %s; %s", doing[may], actor, may, access.wants(need))
	}
}

// Holder gives the name and the role of the tokens that match, no role if none does. It asks about
// all tokens that can be read, so that the time does not tell which one matches; match has to
// compare in constant time. Of several that do, the first with the highest role counts. Those that
// cannot be read are logged.
func (a *Access) Holder(
	ctx context.Context, log *slog.Logger, match func(name string, value mapping.Secret) bool,
) (name string, may Role) {
	try := func(known Token) {
		value, err := known.Value()
		if err != nil || value == "" {
			log.LogAttrs(ctx, slog.LevelWarn, "an admin token cannot be read, and is not accepted",
				slog.String("token", known.Name), slog.Any("error", err))
			return
		}
		if match(known.Name, value) && known.Role > may {
			name, may = known.Name, known.Role
		}
	}
	for _, known := range a.Tokens {
		try(known)
	}
	if a.Made.Value != nil {
		try(a.Made)
	}
	return name, may
}

// Equal gives what matches a token that was sent, for [Access.Holder].
func Equal(token string) func(name string, value mapping.Secret) bool {
	given := sha256.Sum256([]byte(token))
	return func(_ string, value mapping.Secret) bool {
		digest := sha256.Sum256([]byte(value))
		return subtle.ConstantTimeCompare(given[:], digest[:]) == 1
	}
}

// Open says whether a request may read without a token.
func (a *Access) Open(r *http.Request) bool { return a.Everybody || a.open() && a.fromHere(r) }

// open says whether this machine may read without a token.
func (a *Access) open() bool { return a.Loopback && len(a.Tokens) == 0 }

// may says whether there is a token for a role.
func (a *Access) may(role Role) bool {
	return a.Made.Value != nil && a.Made.Role >= role ||
		slices.ContainsFunc(a.Tokens, func(t Token) bool { return t.Role >= role })
}

// doing is what is done in a role.
var doing = [...]string{Read: "reading", Operate: "operating", Write: "writing"}

// wants says what a request needs for a role.
func (a *Access) wants(need Role) string {
	if missing := a.Missing(need); missing != "" {
		return missing
	}
	switch need {
	case Operate:
		return "operating needs a token with the role operate or write, as Authorization: Bearer TOKEN"
	case Write:
		return "writing needs a token with the role write, as Authorization: Bearer TOKEN"
	case nobody, Read:
	}
	return "reading needs a token, as Authorization: Bearer TOKEN"
}

// Missing says how to start serve so that there is a token for a role, or how to read without one;
// it is "" if a token for the role is configured.
func (a *Access) Missing(need Role) string {
	switch {
	case need > Read && !a.may(need):
		return fmt.Sprintf("%s needs a token, and none is configured: start buildbridge serve with --admin-token NAME=%s:REF "+
			"or --admin-write-token", doing[need], need)
	case need > Read, len(a.Tokens) > 0, a.Everybody:
		return ""
	case a.open():
		return "reading without a token is for this machine, with an address or localhost as the host, and not through a proxy"
	}
	return "reading needs a token, and none is configured: without one, only a listener on a loopback address is read; " +
		"start buildbridge serve with --admin-token NAME=read:REF or --admin-read-token"
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

// Bearer gives the one token of a request.
func Bearer(h http.Header) (token string, ok bool) {
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

// by is who asks, and why. Whoever gets past authorized for more than reading has a name.
func by(c echo.Context, why string) mapping.By {
	actor, _ := c.Get(actorKey).(string)
	return mapping.By{Actor: actor, Why: strings.TrimSpace(why)}
}
