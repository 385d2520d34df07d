package codehost

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/mapping"
)

// FuzzDecode checks that a body is malformed, or gives a delivery that passes checkDelivery.
func FuzzDecode(f *testing.F) {
	for i, host := range hosts {
		for _, path := range deliveries(f)[host.Name] {
			header, body := readDelivery(f, path)
			event := ""
			for _, name := range host.eventHeaders {
				event = firstOf(event, header.Get(name))
			}
			f.Add(uint8(i), event, header.Get("Content-Type") == formType, body)
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, event string, form bool, body []byte) {
		host := hosts[int(i)%len(hosts)]
		header := http.Header{}
		for _, name := range host.eventHeaders {
			header.Set(name, event)
		}
		if form {
			header.Set("Content-Type", formType)
		}
		_, _ = Saved(host.Name, nil, body)
		m, err := Trust(host.Name, header, body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
			return
		}
		m.stored()
		d, err := m.Decode()
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
			return
		}
		checkDelivery(t, host.Name, d)
	})
}

// FuzzAuthenticate checks that no headers are authenticated without the secret, and that all
// bodies are with the secret.
func FuzzAuthenticate(f *testing.F) {
	const secret = "5d41402abc4b2a76b9719d911017c592"
	for i, provider := range providerNames() {
		h := signed(provider, "another", []byte("{}"))
		for _, values := range h {
			f.Add(i, values[0], "1772356830", "application/json", []byte("{}"))
			f.Add(i, values[0]+"\x00", "1772356830000", formType, []byte("payload=%7B%7D"))
		}
	}
	h := http.Header{}
	codehosttest.SignGitLab(string(signingToken('x')), "id", testNow(), h, []byte("{}"))
	f.Add(slices.Index(providerNames(), "gitlab"), h.Get("Webhook-Signature"), h.Get("Webhook-Timestamp"), "", []byte("{}"))
	f.Fuzz(func(t *testing.T, i int, proof, stamp, contentType string, body []byte) {
		provider := hosts[uint(i)%uint(len(hosts))].Name
		header := http.Header{"Content-Type": {contentType}, "Webhook-Timestamp": {stamp}, "X-Gitee-Timestamp": {stamp}}
		for _, name := range append(proofHeaders(), "Webhook-Signature", "Webhook-Id", "X-GitCode-Signature-256") {
			header.Set(name, proof)
		}
		keys := keysOf(provider, secret)
		if host := hosts[uint(i)%uint(len(hosts))]; len(body)%2 == 1 && host.SigningTokens {
			keys.SigningTokens = []mapping.Secret{signingToken('s')}
		}
		if _, err := Authenticate(provider, keys, header, body, testNow()); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%s accepts %q: %v", provider, proof, err)
		}

		header = signed(provider, secret, body)
		keys.SigningTokens = nil
		m, err := Authenticate(provider, keys, header, body, testNow())
		if err != nil {
			t.Fatalf("%s refuses its secret: %v", provider, err)
		}
		if string(m.payload) != string(body) {
			t.Error("the payload is not the body")
		}
	})
}
