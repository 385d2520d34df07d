package codehost

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/mapping"
)

// testNow is the time of all requests in these tests.
func testNow() time.Time { return time.Date(2026, 3, 1, 9, 20, 30, 0, time.UTC) }

// knownSecret is what the deliveries of testdata are signed with, or carry.
const knownSecret = "It's a Secret to Everybody"

// listOf is the field of a source for the keys that Sign uses.
func listOf(provider string) string {
	if host, err := hostOf(provider); err == nil && host.NeedsTokenHeader {
		return "basic"
	}
	return "secrets"
}

// keysOf gives the keys of a source for secrets that Sign uses.
func keysOf(provider string, secrets ...mapping.Secret) Keys {
	if listOf(provider) == "secrets" {
		return Keys{Secrets: secrets}
	}
	var keys Keys
	for _, s := range secrets {
		keys.Basic = append(keys.Basic, Basic{Username: "buildbridge", Password: s})
	}
	return keys
}

// proofHeaders are the headers that Sign sets, of all hosts.
func proofHeaders() []string {
	header := http.Header{}
	for _, provider := range providerNames() {
		Sign(provider, "a secret", header, nil)
	}
	return slices.Collect(maps.Keys(header))
}

// signsBody reports whether a host's proof covers the body.
func signsBody(provider string) bool {
	return !reflect.DeepEqual(signed(provider, "s", []byte("a")), signed(provider, "s", []byte("b")))
}

// The deliveries of testdata were signed by another program.
func TestKnownProofs(t *testing.T) {
	for provider, paths := range deliveries(t) {
		for _, path := range paths {
			name := filepath.Base(path)
			if name != "push.http" && name != "push_form.http" {
				continue
			}
			t.Run(provider+"/"+name, func(t *testing.T) {
				header, body := readDelivery(t, path)
				m, err := Authenticate(provider, keysOf(provider, "another", knownSecret), header, body, testNow())
				if err != nil {
					t.Fatalf("%s has to carry what the host sends to prove the secret %q: %v", path, knownSecret, err)
				}
				checkVerdict(t, m, err, "[1]", listOf(provider))
				// Sign gives the same proof.
				if m.host.signsInner {
					body = m.payload
				}
				for name, values := range signed(provider, knownSecret, body) {
					if got := header.Get(name); got != values[0] {
						t.Errorf("the delivery has %s: %s, Sign gives %s", name, got, values[0])
					}
				}
				m, err = Authenticate(provider, keysOf(provider, "another"), header, body, testNow())
				checkVerdict(t, m, err, "", "")
			})
		}
	}
}

// The log names the host whose headers came to a source of another provider.
func TestTheWrongHostIsNamed(t *testing.T) {
	named := map[string]string{ // by provider, the header that tells who sent a delivery
		"github":           "X-GitHub-Event",
		"gogs":             "X-Gogs-Event",
		"gitea":            "X-Gitea-Event",
		"forgejo":          "X-Forgejo-Event",
		"gitlab":           "X-Gitlab-Event",
		"gitee":            "X-Gitee-Event",
		"bitbucket-server": "X-Event-Key",
		"bitbucket":        "X-Hook-UUID",
		"azure-devops":     "", // it sends no header of its own
		"codearts-repo":    "X-Codehub-Event",
		"gitcode":          "X-GitCode-Event",
		"codeup":           "X-Codeup-Event",
		"tgit":             "X-Event",
		"gerrit":           "X-Origin-Url",
	}
	for sender, name := range named {
		header, body := readDelivery(t, filepath.Join("testdata", sender, "push.http"))
		for provider := range named {
			want := ""
			// Older versions of Forgejo send Gitea's headers.
			if name != "" && sender != provider && (sender != "gitea" || provider != "forgejo") {
				want = fmt.Sprintf("; %s came: is the provider %s?", name, sender)
			}
			_, err := Authenticate(provider, keysOf(provider, "a secret"), header, body, testNow())
			if !errors.Is(err, ErrUnauthenticated) || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), " came: ") != (want != "") {
				t.Errorf("%s at a source of %s: %v, want it to end in %q", sender, provider, err, want)
			}
		}
	}
	for _, host := range hosts {
		if len(host.eventHeaders) > 0 && len(host.own()) == 0 {
			t.Errorf("%s is recognised by none of its headers", host.Name)
		}
	}
}

// sendsForms reports whether testdata has a form of the host.
func sendsForms(provider string) bool {
	_, err := os.Stat(filepath.Join("testdata", provider, "push_form.http"))
	return err == nil
}

func signed(provider, secret string, body []byte) http.Header {
	h := http.Header{}
	Sign(provider, secret, h, body)
	return h
}

func TestAuthenticate(t *testing.T) {
	const right, other = "correct horse", "battery staple"
	body := []byte(`{"ref":"refs/heads/main"}`)
	for _, provider := range providerNames() {
		// The header that Sign sets is the proof.
		proof := slices.Collect(maps.Keys(signed(provider, right, body)))[0]
		value := signed(provider, right, body).Get(proof)

		for name, test := range map[string]struct {
			keys   Keys
			header http.Header
			body   []byte
			want   string // the key; "" is refused
		}{
			"the first of two": {keysOf(provider, right, other), signed(provider, right, body), body, "[0]"},
			"the second of two": {
				keysOf(provider, other, right), signed(provider, right, body), body, "[1]",
			},
			"the first of two equal ones": {keysOf(provider, right, right), signed(provider, right, body), body, "[0]"},
			"beside an empty one":         {keysOf(provider, "", right), signed(provider, right, body), body, "[1]"},
			"another secret":              {keysOf(provider, right), signed(provider, other, body), body, ""},
			"the secret and more":         {keysOf(provider, right), signed(provider, right+"x", body), body, ""},
			"half the secret":             {keysOf(provider, right), signed(provider, right[:7], body), body, ""},
			"an empty secret":             {keysOf(provider, ""), signed(provider, "", body), body, ""},
			"no header":                   {keysOf(provider, right), http.Header{}, body, ""},
			"no headers at all":           {keysOf(provider, right), nil, body, ""},
			"an empty header":             {keysOf(provider, right), http.Header{proof: {""}}, body, ""},
			"a header without a value":    {keysOf(provider, right), http.Header{proof: {}}, body, ""},
			"the header twice, equal":     {keysOf(provider, right), http.Header{proof: {value, value}}, body, "[0]"},
			"the header twice, different": {keysOf(provider, right), http.Header{proof: {value, "x"}}, body, ""},
			"no keys":                     {Keys{}, signed(provider, right, body), body, ""},
			"insecure beside a key":       {Keys{Insecure: true, Secrets: []mapping.Secret{other}}, signed(provider, right, body), body, ""},
			"an algorithm before it":      {keysOf(provider, right), http.Header{proof: {"sha1=" + value}}, body, ""},
			"another algorithm":           {keysOf(provider, right), http.Header{proof: {strings.Replace("sha512="+value, "sha256=", "", 1)}}, body, ""},
			"no hexadecimal":              {keysOf(provider, right), http.Header{proof: {strings.Repeat("é", 32)}}, body, ""},
		} {
			t.Run(provider+"/"+name, func(t *testing.T) {
				m, err := Authenticate(provider, test.keys, test.header, test.body, testNow())
				checkVerdict(t, m, err, test.want, listOf(provider))
				if err != nil && (strings.Contains(err.Error(), right) || strings.Contains(err.Error(), other)) {
					t.Errorf("the error tells a secret: %v", err)
				}
			})
		}

		t.Run(provider+"/a shortened header", func(t *testing.T) {
			for i := range value {
				_, err := Authenticate(provider, keysOf(provider, right), http.Header{proof: {value[:i]}}, body, testNow())
				if !errors.Is(err, ErrUnauthenticated) {
					t.Fatalf("%q: %v", value[:i], err)
				}
			}
		})
		t.Run(provider+"/the header of another host", func(t *testing.T) {
			for _, foreign := range providerNames() {
				header := signed(foreign, right, body)
				if header.Get(proof) != "" || provider == "forgejo" && foreign == "gitea" {
					continue
				}
				_, err := Authenticate(provider, keysOf(provider, right), header, body, testNow())
				if !errors.Is(err, ErrUnauthenticated) {
					t.Errorf("%s: %v", foreign, err)
				}
			}
		})
		t.Run(provider+"/another body", func(t *testing.T) {
			_, err := Authenticate(provider, keysOf(provider, right), signed(provider, right, body), append(body, ' '), testNow())
			if refused := errors.Is(err, ErrUnauthenticated); refused != signsBody(provider) {
				t.Errorf("the body is signed: %t; refused: %v", signsBody(provider), err)
			}
		})
		t.Run(provider+"/insecure", func(t *testing.T) {
			m, err := Authenticate(provider, Keys{Insecure: true}, nil, body, testNow())
			if err != nil || m.Key() != "" {
				t.Errorf("key %q, error %v", m.Key(), err)
			}
		})
		t.Run(provider+"/garbage", func(t *testing.T) {
			garbage := []byte("\x00{]")
			_, err := Authenticate(provider, keysOf(provider, right), signed(provider, other, garbage), garbage, testNow())
			if !errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrMalformed) {
				t.Errorf("with the wrong secret: %v", err)
			}
			m, err := Authenticate(provider, keysOf(provider, right), signed(provider, right, garbage), garbage, testNow())
			if err != nil {
				t.Fatalf("with the right one: %v", err)
			}
			if _, err := m.Decode(); !errors.Is(err, ErrMalformed) {
				t.Errorf("decoded: %v", err)
			}
		})
	}
	t.Run("unknown provider", func(t *testing.T) {
		_, err := Authenticate("sourceforge", Keys{Insecure: true}, nil, body, testNow())
		if err == nil || errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
	})
}

// checkVerdict expects a key whose name ends in want, or a refusal without one.
func checkVerdict(t *testing.T, m *Message, err error, want, list string) {
	t.Helper()
	if want == "" {
		if !errors.Is(err, ErrUnauthenticated) || m != nil {
			t.Errorf("message %v, error %v; want it refused", m, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if m.Key() != list+want {
		t.Errorf("key %q, want %s%s", m.Key(), list, want)
	}
}

func TestAuthenticateForm(t *testing.T) {
	const secret = "correct horse"
	inner := []byte(`{"message":"a & b = c + d %"}`)
	form := []byte("payload=" + url.QueryEscape(string(inner)))
	for _, provider := range providerNames() {
		// The proof of the part of a form that this host signs.
		proof := func(form, inner []byte) http.Header {
			body := form
			if host, err := hostOf(provider); err == nil && host.signsInner {
				body = inner
			}
			h := signed(provider, secret, body)
			h.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
			return h
		}
		keys := keysOf(provider, secret)
		t.Run(provider, func(t *testing.T) {
			m, err := Authenticate(provider, keys, proof(form, inner), form, testNow())
			if !sendsForms(provider) {
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("from a host that sends no forms: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(m.payload, inner) {
				t.Errorf("payload %s", m.payload)
			}

			other := []byte("x=1&payload=" + url.QueryEscape(string(inner)) + "&y=2")
			if m, err := Authenticate(provider, keys, proof(other, inner), other, testNow()); err != nil {
				t.Errorf("among other fields: %v", err)
			} else if !bytes.Equal(m.payload, inner) {
				t.Errorf("payload among other fields %s", m.payload)
			}
			for name, body := range map[string]string{
				"no payload":       "x=1",
				"empty":            "",
				"two payloads":     "payload=%7B%7D&payload=%7B%7D",
				"broken escape":    "payload=%7",
				"a payload inside": "xpayload=%7B%7D",
			} {
				// With a valid proof it is malformed, else not authenticated.
				h := signed(provider, secret, []byte(body))
				h.Set("Content-Type", formType)
				if _, err := Authenticate(provider, keys, h, []byte(body), testNow()); !errors.Is(err, ErrMalformed) {
					t.Errorf("%s, signed: %v", name, err)
				}
				h = signed(provider, "wrong", []byte(body))
				h.Set("Content-Type", formType)
				_, err := Authenticate(provider, keys, h, []byte(body), testNow())
				if !errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrMalformed) {
					t.Errorf("%s, not signed: %v", name, err)
				}
				if _, err := Trust(provider, h, []byte(body)); !errors.Is(err, ErrMalformed) {
					t.Errorf("%s, trusted: %v", name, err)
				}
			}
		})
	}
}

// signingToken is a signing token of 32 equal bytes.
func signingToken(b byte) mapping.Secret {
	return mapping.Secret("whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)))
}

func TestAuthenticateGitLabSignature(t *testing.T) {
	body := []byte(`{"object_kind":"push"}`)
	header := func(b byte, at time.Time, change func(http.Header)) http.Header {
		h := http.Header{}
		codehosttest.SignGitLab(string(signingToken(b)), "delivery-1", at, h, body)
		if change != nil {
			change(h)
		}
		return h
	}
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	now := testNow()
	tokens := []mapping.Secret{signingToken('a'), signingToken('b')}
	signature := header('a', now, nil).Get("webhook-signature")

	for name, test := range map[string]struct {
		keys   Keys
		header http.Header
		want   string
	}{
		"first token":          {Keys{SigningTokens: tokens}, header('a', now, nil), "[0]"},
		"second token":         {Keys{SigningTokens: tokens}, header('b', now, nil), "[1]"},
		"another token":        {Keys{SigningTokens: tokens}, header('c', now, nil), ""},
		"a list of signatures": {Keys{SigningTokens: tokens}, header('b', now, func(h http.Header) { h.Set("webhook-signature", "v1,AAAA v2,xyz "+h.Get("webhook-signature")) }), "[1]"},
		"4:59 late":            {Keys{SigningTokens: tokens}, header('a', now.Add(-299*time.Second), nil), "[0]"},
		"5:00 late":            {Keys{SigningTokens: tokens}, header('a', now.Add(-300*time.Second), nil), "[0]"},
		"5:01 late":            {Keys{SigningTokens: tokens}, header('a', now.Add(-301*time.Second), nil), ""},
		"5:00 early":           {Keys{SigningTokens: tokens}, header('a', now.Add(300*time.Second), nil), "[0]"},
		"5:01 early":           {Keys{SigningTokens: tokens}, header('a', now.Add(301*time.Second), nil), ""},
		"another id":           {Keys{SigningTokens: tokens}, header('a', now, set("webhook-id", "delivery-2")), ""},
		"another time":         {Keys{SigningTokens: tokens}, header('a', now, set("webhook-timestamp", fmt.Sprint(now.Unix()+1))), ""},
		"no id":                {Keys{SigningTokens: tokens}, header('a', now, func(h http.Header) { h.Del("webhook-id") }), ""},
		"no time":              {Keys{SigningTokens: tokens}, header('a', now, func(h http.Header) { h.Del("webhook-timestamp") }), ""},
		"no signature":         {Keys{SigningTokens: tokens}, header('a', now, func(h http.Header) { h.Del("webhook-signature") }), ""},
		"a time of words":      {Keys{SigningTokens: tokens}, header('a', now, set("webhook-timestamp", "now")), ""},
		"a time out of range":  {Keys{SigningTokens: tokens}, header('a', now, set("webhook-timestamp", "9223372036854775807")), ""},
		"another version":      {Keys{SigningTokens: tokens}, header('a', now, set("webhook-signature", "v2"+strings.TrimPrefix(signature, "v1"))), ""},
		"no version":           {Keys{SigningTokens: tokens}, header('a', now, set("webhook-signature", strings.TrimPrefix(signature, "v1,"))), ""},
		"shortened":            {Keys{SigningTokens: tokens}, header('a', now, set("webhook-signature", signature[:len(signature)-4])), ""},
		"the token is not enough": {
			Keys{SigningTokens: tokens, Secrets: []mapping.Secret{"t"}}, http.Header{"X-Gitlab-Token": {"t"}}, "",
		},
		"the token does not matter": {
			Keys{SigningTokens: tokens, Secrets: []mapping.Secret{"t"}}, header('a', now, set("X-Gitlab-Token", "u")), "[0]",
		},
		"a configured token of another form": {
			Keys{SigningTokens: []mapping.Secret{"", "whsec_", "whsec_AAAA", signingToken('a')}}, header('a', now, nil), "[3]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Authenticate("gitlab", test.keys, test.header, body, now)
			checkVerdict(t, m, err, test.want, "signing_tokens")
		})
	}
	t.Run("another body", func(t *testing.T) {
		_, err := Authenticate("gitlab", Keys{SigningTokens: tokens}, header('a', now, nil), []byte(`{}`), now)
		if !errors.Is(err, ErrUnauthenticated) {
			t.Error(err)
		}
	})
	t.Run("an empty key signs for nobody", func(t *testing.T) {
		h := http.Header{}
		codehosttest.SignGitLab("whsec_", "delivery-1", now, h, body)
		for _, token := range []mapping.Secret{"", "whsec_"} {
			_, err := Authenticate("gitlab", Keys{SigningTokens: []mapping.Secret{token}}, h, body, now)
			if !errors.Is(err, ErrUnauthenticated) {
				t.Error(err)
			}
		}
	})
}

func TestAuthenticateGitCode(t *testing.T) {
	// Signed by another program.
	header, body := readDelivery(t, filepath.Join("testdata", "gitcode", "push_signed.http"))
	old, oldBody := readDelivery(t, filepath.Join("testdata", "gitcode", "push_of_atomgit.http"))
	signature := header.Get("X-GitCode-Signature-256")
	prefixed := http.Header{"X-Atomgit-Signature": {"sha256=" + old.Get("X-AtomGit-Signature")}}
	only := func(name, value string) http.Header {
		h := http.Header{}
		h.Set(name, value)
		return h
	}
	keys := Keys{SigningTokens: []mapping.Secret{"", "another", knownSecret}}
	both := Keys{SigningTokens: keys.SigningTokens, Secrets: []mapping.Secret{knownSecret}}
	for name, test := range map[string]struct {
		keys   Keys
		header http.Header
		body   []byte
		want   string
	}{
		"a signature":                    {keys, header, body, "[2]"},
		"of another body":                {keys, header, append([]byte(" "), body...), ""},
		"of another key":                 {Keys{SigningTokens: []mapping.Secret{"another"}}, header, body, ""},
		"of an empty key":                {Keys{SigningTokens: []mapping.Secret{""}}, header, body, ""},
		"without the algorithm":          {keys, only("X-GitCode-Signature-256", strings.TrimPrefix(signature, "sha256=")), body, ""},
		"with another algorithm":         {keys, only("X-GitCode-Signature-256", strings.Replace(signature, "256", "1", 1)), body, ""},
		"cut off":                        {keys, only("X-GitCode-Signature-256", signature[:len(signature)-2]), body, ""},
		"AtomGit's, before":              {keys, old, oldBody, "[2]"},
		"AtomGit's, with the algorithm":  {keys, prefixed, oldBody, "[2]"},
		"AtomGit's, of another body":     {keys, old, body, ""},
		"the token is not enough":        {both, only("X-GitCode-Token", knownSecret), body, ""},
		"the token does not matter":      {both, header, body, "[2]"},
		"a key that no source demands":   {Keys{Secrets: []mapping.Secret{knownSecret}}, header, body, ""},
		"the signing key as a token too": {keys, only("X-GitCode-Token", knownSecret), body, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Authenticate("gitcode", test.keys, test.header, test.body, testNow())
			checkVerdict(t, m, err, test.want, "signing_tokens")
		})
	}
}

func TestCheckSigningToken(t *testing.T) {
	good := string(signingToken('a'))
	if err := CheckSigningToken("gitlab", mapping.Secret(good)); err != nil {
		t.Error(err)
	}
	if err := CheckSigningToken("gitcode", "any text"); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]string{
		"empty":      "",
		"no prefix":  strings.TrimPrefix(good, "whsec_"),
		"no base64":  "whsec_" + strings.Repeat("!", 44),
		"cut off":    good[:len(good)-4],
		"too long":   "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 33)),
		"whitespace": " " + good,
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckSigningToken("gitlab", mapping.Secret(bad))
			if err == nil {
				t.Fatal("accepted")
			}
			if key := strings.TrimPrefix(bad, "whsec_"); len(key) > 8 && strings.Contains(err.Error(), key) {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
}

func TestAuthenticateGiteeSignature(t *testing.T) {
	now, body := testNow(), []byte(`{}`)
	header := func(secret string, at time.Time, change func(http.Header)) http.Header {
		h := http.Header{}
		codehosttest.SignGitee(secret, at, h)
		if change != nil {
			change(h)
		}
		return h
	}
	escape := func(h http.Header) { h.Set("X-Gitee-Token", url.QueryEscape(h.Get("X-Gitee-Token"))) }
	keys := Keys{Secrets: []mapping.Secret{"one", "two"}}
	for name, test := range map[string]struct {
		header http.Header
		want   string
	}{
		"first secret":         {header("one", now, nil), "[0]"},
		"second secret":        {header("two", now, nil), "[1]"},
		"URL-encoded":          {header("two", now, escape), "[1]"},
		"another secret":       {header("three", now, nil), ""},
		"an hour late":         {header("one", now.Add(-time.Hour), nil), "[0]"},
		"more than that":       {header("one", now.Add(-time.Hour-time.Millisecond), nil), ""},
		"an hour early":        {header("one", now.Add(time.Hour), nil), "[0]"},
		"more than that early": {header("one", now.Add(time.Hour+time.Millisecond), nil), ""},
		"another time":         {header("one", now, func(h http.Header) { h.Set("X-Gitee-Timestamp", fmt.Sprint(now.UnixMilli()+1)) }), ""},
		"no time":              {header("one", now, func(h http.Header) { h.Del("X-Gitee-Timestamp") }), ""},
		"a time of words":      {header("one", now, func(h http.Header) { h.Set("X-Gitee-Timestamp", "now") }), ""},
		"a time in seconds":    {header("one", time.UnixMilli(now.Unix()), nil), ""},
		"broken escape":        {header("one", now, func(h http.Header) { h.Set("X-Gitee-Token", "%zz") }), ""},
		"the password, and a time long ago": {
			http.Header{"X-Gitee-Token": {"two"}, "X-Gitee-Timestamp": {"1"}}, "[1]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Authenticate("gitee", keys, test.header, body, now)
			checkVerdict(t, m, err, test.want, "secrets")
		})
	}
	// The base64 of some signatures has a + or a /, which URL-encoding changes.
	t.Run("every form of base64", func(t *testing.T) {
		seen := ""
		for i := range 50 {
			at := now.Add(time.Duration(i) * time.Millisecond)
			for _, change := range []func(http.Header){nil, escape} {
				h := header("one", at, change)
				seen += h.Get("X-Gitee-Token")
				if _, err := Authenticate("gitee", keys, h, body, now); err != nil {
					t.Errorf("%s: %v", h.Get("X-Gitee-Token"), err)
				}
			}
		}
		for _, part := range []string{"+", "/", "=", "%2B", "%2F", "%3D"} {
			if !strings.Contains(seen, part) {
				t.Errorf("no signature has a %s", part)
			}
		}
	})
}

func TestAuthenticateBasic(t *testing.T) {
	keys := Keys{Basic: []Basic{{"ci", "one"}, {"ci", "two"}, {"", "nameless"}, {"open", ""}}}
	authorization := func(value string) http.Header { return http.Header{"Authorization": {value}} }
	basicAuth := func(user, password string) http.Header {
		h := http.Header{}
		codehosttest.SignBasic(user, password, h)
		return h
	}
	for name, test := range map[string]struct {
		header http.Header
		want   string
	}{
		"first":              {basicAuth("ci", "one"), "[0]"},
		"second":             {basicAuth("ci", "two"), "[1]"},
		"no user name":       {basicAuth("", "nameless"), "[2]"},
		"another user":       {basicAuth("cd", "one"), ""},
		"another password":   {basicAuth("ci", "three"), ""},
		"mixed up":           {basicAuth("", "one"), ""},
		"an empty password":  {basicAuth("open", ""), ""},
		"a colon in between": {basicAuth("ci:", "one"), ""},
		"no base64":          {authorization("Basic !!!"), ""},
		"no colon":           {authorization("Basic " + base64.StdEncoding.EncodeToString([]byte("cione"))), ""},
		"no credentials":     {authorization("Basic"), ""},
		"another scheme":     {authorization("Bearer one"), ""},
		"lower case scheme":  {authorization("basic " + base64.StdEncoding.EncodeToString([]byte("ci:one"))), "[0]"},
	} {
		for _, provider := range []string{"azure-devops", "bitbucket-server"} {
			t.Run(provider+"/"+name, func(t *testing.T) {
				m, err := Authenticate(provider, keys, test.header, []byte(`{}`), testNow())
				checkVerdict(t, m, err, test.want, "basic")
			})
		}
	}
	t.Run("both ways at once", func(t *testing.T) {
		body := []byte(`{}`)
		both := Keys{Basic: keys.Basic, Secrets: []mapping.Secret{"s"}}
		m, err := Authenticate("bitbucket-server", both, signed("bitbucket-server", "s", body), body, testNow())
		checkVerdict(t, m, err, "[0]", "secrets")
		m, err = Authenticate("bitbucket-server", both, basicAuth("ci", "two"), body, testNow())
		checkVerdict(t, m, err, "[1]", "basic")
	})
}

func TestAuthenticateTokenHeader(t *testing.T) {
	secrets := []mapping.Secret{"t"}
	for name, test := range map[string]struct {
		provider string
		keys     Keys
		header   string
		want     string
	}{
		"CodeArts Repo's own":         {"codearts-repo", Keys{Secrets: secrets}, "X-Repo-Token", "[0]"},
		"CodeArts Repo, GitLab's":     {"codearts-repo", Keys{Secrets: secrets, TokenHeader: "x-gitlab-token"}, "X-Gitlab-Token", "[0]"},
		"CodeArts Repo, not this one": {"codearts-repo", Keys{Secrets: secrets, TokenHeader: "X-Auth-Token"}, "X-Repo-Token", ""},
		"Azure DevOps":                {"azure-devops", Keys{Secrets: secrets, TokenHeader: "X-Build-Token"}, "X-Build-Token", "[0]"},
		"Azure DevOps, none":          {"azure-devops", Keys{Secrets: secrets}, "X-Repo-Token", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Authenticate(test.provider, test.keys, http.Header{test.header: {"t"}}, []byte(`{}`), testNow())
			checkVerdict(t, m, err, test.want, "secrets")
		})
	}
}

func TestAuthenticateForgejo(t *testing.T) {
	body, keys := []byte(`{}`), Keys{Secrets: []mapping.Secret{"s"}}
	old := signed("gitea", "s", body)
	m, err := Authenticate("forgejo", keys, old, body, testNow())
	checkVerdict(t, m, err, "[0]", "secrets")

	// If its own header is there, it decides.
	old.Set("X-Forgejo-Signature", strings.Repeat("0", 64))
	m, err = Authenticate("forgejo", keys, old, body, testNow())
	checkVerdict(t, m, err, "", "")
}
