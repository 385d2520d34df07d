package cli

import (
	"testing"
	"time"
)

func TestCheckAddress(t *testing.T) {
	const other = `: want host:port, such as 127.0.0.1:8080 or :8080`
	for text, want := range map[string]string{
		":8080": "", "127.0.0.1:0": "", "[::1]:8080": "", "localhost:http": "", "host:65535": "",
		"22021":        `--listen: "22021" is not an address to listen on: want host:port, such as :22021`,
		"localhost":    `--listen: "localhost" is not an address to listen on` + other,
		"127.0.0.1:":   `--listen: "127.0.0.1:" is not an address to listen on` + other,
		"::1:8080":     `--listen: "::1:8080" is not an address to listen on` + other,
		"host:65536":   `--listen: "host:65536" is not an address to listen on` + other,
		"http://x:80/": `--listen: "http://x:80/" is not an address to listen on` + other,
	} {
		got := ""
		if err := checkAddress("--listen", text); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	for name, test := range map[string]struct {
		given string
		want  time.Duration // -1 for an error
	}{
		"days":                {"30d", 720 * time.Hour},
		"hours":               {"36h", 36 * time.Hour},
		"for ever":            {"0", 0},
		"for ever, in days":   {"0d", 0},
		"less than nothing":   {"-1h", -1},
		"days below nothing":  {"-1d", -1},
		"half a day":          {"0.5d", 12 * time.Hour},
		"more than there are": {"106752d", -1},
		"no unit of time":     {"30", -1},
		"no time":             {"soon", -1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseAge(test.given)
			if err != nil {
				got = -1
			}
			if got != test.want {
				t.Errorf("%q is %v, error %v, want %v", test.given, got, err, test.want)
			}
		})
	}
}

func TestSize(t *testing.T) {
	for name, test := range map[string]struct {
		given string
		want  int64 // 0 for an error
	}{
		"bytes":          {"1000", 1000},
		"KiB":            {"1KiB", 1 << 10},
		"MiB":            {"256MiB", 256 << 20},
		"GiB":            {"2GiB", 2 << 30},
		"too much":       {"9999999999GiB", 0},
		"nothing":        {"0", 0},
		"a unit alone":   {"MiB", 0},
		"an unknown one": {"1TB", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parseSize(test.given); got != test.want || (err != nil) != (test.want == 0) {
				t.Errorf("%q is %v, error %v, want %v", test.given, got, err, test.want)
			}
		})
	}
}
