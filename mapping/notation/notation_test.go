package notation_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"buildbridge/mapping/notation"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "0s": 0, "1m30s": 90 * time.Second,
		"1d12h": 36 * time.Hour, "1.5d": 36 * time.Hour, "31d": 31 * 24 * time.Hour, "5µs": 5 * time.Microsecond,
	} {
		if got, ok := notation.Duration(text); !ok || got != want {
			t.Errorf("%q is %v %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "0", "30", "-5m", "+5m", "soon", "5 m", "1w", "d", "99999999d", strings.Repeat("9", 400) + "d"} {
		if got, ok := notation.Duration(text); ok {
			t.Errorf("%q is taken, as %v", text, got)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "1B": 1, "10kB": 10_000, "10 KB": 10_000,
		"10MB": 10_000_000, "2GB": 2_000_000_000, "1KiB": 1 << 10, "25MiB": 25 << 20, "3GiB": 3 << 30,
	} {
		if got, ok := notation.Size(text); !ok || got != want {
			t.Errorf("%q is %v %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "1TiB", "1mb", "1 ", "9223372036854775807KiB", "9223372036854775808"} {
		if got, ok := notation.Size(text); ok {
			t.Errorf("%q is taken, as %v", text, got)
		}
	}
}

func TestPrefix(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "10.1.2.3/8": "10.0.0.0/8", "2001:db8::1": "2001:db8::1/128", "2001:db8::1/32": "2001:db8::/32",
		"::ffff:198.51.100.7": "198.51.100.7/32", "::ffff:10.1.2.3/104": "10.0.0.0/8",
	} {
		if got, ok := notation.Prefix(text); !ok || got != netip.MustParsePrefix(want) {
			t.Errorf("%q is %v %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "localhost", "10.0.0.0/33", "1.2.3", "fe80::1%eth0"} {
		if got, ok := notation.Prefix(text); ok {
			t.Errorf("%q is taken, as %v", text, got)
		}
	}
}
