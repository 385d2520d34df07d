package codehost

import (
	"path/filepath"
	"testing"
)

func BenchmarkAuthenticate(b *testing.B) {
	for _, provider := range providerNames() {
		b.Run(provider, func(b *testing.B) {
			_, body := readDelivery(b, filepath.Join("testdata", provider, "push.http"))
			keys := keysOf(provider, "an old secret", "a new secret")
			header := signed(provider, "a new secret", body)
			now := testNow()
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Authenticate(provider, keys, header, body, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, provider := range providerNames() {
		b.Run(provider, func(b *testing.B) {
			header, body := readDelivery(b, filepath.Join("testdata", provider, "push.http"))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				m, err := Trust(provider, header, body)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := m.Decode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStored(b *testing.B) {
	for _, provider := range []string{"github", "gitea", "gitee"} {
		b.Run(provider, func(b *testing.B) {
			header, body := readDelivery(b, filepath.Join("testdata", provider, "push.http"))
			m, err := Trust(provider, header, body)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				m.stored()
			}
		})
	}
}
