package codehost

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"buildbridge/mapping"
)

// Keys are the resolved keys of one source. An empty secret never matches. The zero value
// authenticates nothing.
type Keys struct {
	Secrets       []mapping.Secret // shared secrets, tokens or passwords; any one matches
	SigningTokens []mapping.Secret // GitLab and GitCode; if there is one, a signature is required
	Basic         []Basic          // Bitbucket Data Center and Azure DevOps; any one matches

	// TokenHeader is the header that carries one of Secrets. CodeArts Repo: ""
	// means X-Repo-Token. Azure DevOps: "" means that only Basic is accepted.
	TokenHeader string

	// Insecure accepts anybody, if there is no key.
	Insecure bool
}

// Basic is one pair of HTTP Basic credentials.
type Basic struct {
	Username string
	Password mapping.Secret
}

func (k Keys) empty() bool {
	return len(k.Secrets) == 0 && len(k.SigningTokens) == 0 && len(k.Basic) == 0
}

// CheckSigningToken says what is wrong with the form of a signing token of a provider. GitLab's is
// whsec_ and 32 bytes in base64. The error does not hold the token.
func CheckSigningToken(provider string, token mapping.Secret) error {
	host, err := hostOf(provider)
	if err != nil || host.signingToken == nil {
		return err
	}
	return host.signingToken(token)
}

type request struct {
	keys   Keys
	header http.Header
	raw    []byte                 // the body
	inner  func() ([]byte, error) // the JSON inside a form, for hosts that sign that; nil for others
	now    time.Time
}

// signed is what the host signs.
func (r request) signed() []byte {
	if r.inner != nil {
		if payload, err := r.inner(); err == nil {
			return payload
		}
	}
	return r.raw
}

var errNoMatch = errors.New("no configured key matches")

// match gives the place of the first key that is equal. It tries all of them, so that the
// time does not tell which one it was.
func match[T any](list string, keys []T, equal func(T) bool) (string, error) {
	found := -1
	for i, key := range keys {
		if equal(key) && found < 0 {
			found = i
		}
	}
	if found < 0 {
		return "", errNoMatch
	}
	return list + "[" + strconv.Itoa(found) + "]", nil
}

// matchSecret is match for the secrets that are not "".
func (r request) matchSecret(equal func(mapping.Secret) bool) (string, error) {
	return match("secrets", r.keys.Secrets, func(s mapping.Secret) bool {
		return s != "" && equal(s)
	})
}

// matchSigningToken is match for the signing tokens that are not "".
func (r request) matchSigningToken(equal func(mapping.Secret) bool) (string, error) {
	return match("signing_tokens", r.keys.SigningTokens, func(s mapping.Secret) bool {
		return s != "" && equal(s)
	})
}

// value gives the value of the first of the named headers that is there. A header with
// several different values is an error.
func (r request) value(names ...string) (name, value string, err error) {
	for _, name := range names {
		switch values := r.header.Values(name); {
		case len(values) == 0:
		case slices.ContainsFunc(values, func(other string) bool { return other != values[0] }):
			return name, "", fmt.Errorf("header %s has several values", name)
		case values[0] == "":
			return name, "", fmt.Errorf("header %s is empty", name)
		default:
			return name, values[0], nil
		}
	}
	return "", "", fmt.Errorf("header %s is missing", strings.Join(names, " or "))
}

// PathSecret is the name under which the headers for [Authenticate] have the secret that ends the path of a
// call, where the provider has it there. It is no name that a header of HTTP can have: nobody can send it.
const PathSecret = ":path-secret"

// TakesPathSecret reports whether a provider's secrets end the path.
func TakesPathSecret(provider string) bool {
	host, err := hostOf(provider)
	return err == nil && host.PathSecret
}

// CheckPathSecret says why a secret cannot be a segment of a path as it is, without showing it: it has to have
// only characters that nobody on the way escapes (RFC 3986, section 2.3), and not be one or two dots.
func CheckPathSecret(secret mapping.Secret) error {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	switch {
	case strings.Trim(string(secret), unreserved) != "":
		return errors.New("it ends the path of the webhook's address, so it has to be letters, digits, '-', '.', '_' and '~' alone: " +
			"openssl rand -hex 32 makes such a secret")
	case strings.Trim(string(secret), ".") == "":
		return errors.New("it ends the path of the webhook's address, where dots alone mean another path: openssl rand -hex 32 makes a secret")
	}
	return nil
}

func checkPathSecret(r request) (string, error) {
	if r.header.Get(PathSecret) == "" {
		return "", errors.New("no secret ends the path of the call, behind the name of the source and a slash")
	}
	return token(PathSecret).check(r)
}

// Sign adds to the headers of a delivery the proof that the host sends: a signature of the
// body, or the secret. It is for tests and for the demo. If a host has several proofs, it
// is the one without a time: GitLab's token, Gitee's password. For CodeArts Repo it is the
// default header, and for Azure DevOps Basic with the user name "buildbridge". For Gerrit it
// is [PathSecret], which has to be taken out and put at the end of the path.
//
// The body is the one that the host signs: for Gitea, Forgejo and Gogs it is the JSON,
// even if that is sent in a form.
func Sign(provider, secret string, h http.Header, body []byte) {
	host, err := hostOf(provider)
	if err != nil {
		panic("codehost: " + err.Error())
	}
	host.proof.sign(secret, h, body)
}

// proof is how a host proves who it is.
type proof struct {
	check func(request) (key string, err error) // gives the place of the key that matched
	sign  func(secret string, h http.Header, body []byte)
}

// or is two proofs, of which one is enough. It always checks both. It signs by the first
// that can sign.
func (p proof) or(other proof) proof {
	sign := p.sign
	if sign == nil {
		sign = other.sign
	}
	return proof{sign: sign, check: func(r request) (string, error) {
		key, err := p.check(r)
		otherKey, otherErr := other.check(r)
		switch {
		case err == nil:
			return key, nil
		case otherErr == nil:
			return otherKey, nil
		}
		return "", fmt.Errorf("%w; %w", err, otherErr)
	}}
}

// unlessSigned is this proof, or a signature if a signing token is configured: a token that leaked
// from one request must not be enough then.
func (p proof) unlessSigned(signature func(request) (key string, err error)) proof {
	return proof{sign: p.sign, check: func(r request) (string, error) {
		if len(r.keys.SigningTokens) > 0 {
			return signature(r)
		}
		return p.check(r)
	}}
}

// signature is the HMAC-SHA256 of what the host signs, in hexadecimal after the prefix, in
// the first of the headers that is there.
func signature(prefix string, headers ...string) proof {
	check := func(r request) (string, error) {
		signs, err := r.signs(prefix, headers...)
		if err != nil {
			return "", err
		}
		return r.matchSecret(signs)
	}
	return proof{check, func(secret string, h http.Header, body []byte) {
		h.Set(headers[0], prefix+hex.EncodeToString(sum([]byte(secret), body)))
	}}
}

// signs reads a signature, and gives whether a key made it.
func (r request) signs(prefix string, headers ...string) (func(key mapping.Secret) bool, error) {
	name, value, err := r.value(headers...)
	if err != nil {
		return nil, err
	}
	digits, ok := strings.CutPrefix(value, prefix)
	if !ok {
		return nil, fmt.Errorf("header %s does not begin with %s", name, prefix)
	}
	got, err := hex.DecodeString(digits)
	if err != nil || len(got) != sha256.Size {
		return nil, fmt.Errorf("header %s holds no SHA-256 in hexadecimal", name)
	}
	signed := r.signed()
	return func(key mapping.Secret) bool { return hmac.Equal(sum([]byte(key), signed), got) }, nil
}

// token is a secret sent as it is, in the header that is configured or else in this one.
// It cannot sign if this one is "".
func token(header string) proof {
	p := proof{check: func(r request) (string, error) {
		name := firstOf(r.keys.TokenHeader, header)
		if name == "" {
			return "", errors.New("no token_header is configured")
		}
		_, value, err := r.value(name)
		if err != nil {
			return "", err
		}
		return r.matchSecret(func(s mapping.Secret) bool { return equal(string(s), value) })
	}}
	if header != "" {
		p.sign = func(secret string, h http.Header, _ []byte) { h.Set(header, secret) }
	}
	return p
}

// basic is HTTP Basic (RFC 7617).
var basic = proof{checkBasic, func(secret string, h http.Header, _ []byte) {
	(&http.Request{Header: h}).SetBasicAuth("buildbridge", secret)
}}

func checkBasic(r request) (string, error) {
	_, value, err := r.value("Authorization")
	if err != nil {
		return "", err
	}
	username, password, ok := (&http.Request{Header: http.Header{"Authorization": {value}}}).BasicAuth()
	if !ok {
		return "", errors.New("header Authorization holds no Basic credentials")
	}
	return match("basic", r.keys.Basic, func(b Basic) bool {
		name, secret := equal(b.Username, username), equal(string(b.Password), password)
		return name && secret && b.Password != ""
	})
}

// equal compares in a time that depends neither on the content of the strings nor, because
// of the digests, on their length.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// sum is the HMAC-SHA256 of the parts, one after the other.
func sum(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range parts {
		mac.Write(part)
	}
	return mac.Sum(nil)
}
