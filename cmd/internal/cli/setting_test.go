package cli

import (
	"encoding"
	"testing"
	"time"
)

func TestCheckAddress(t *testing.T) {
	const other = `: want host:port, such as 127.0.0.1:8080 or :8080`
	for text, want := range map[string]string{
		":8080": "", "127.0.0.1:0": "", "[::1]:8080": "", "localhost:http": "", "host:65535": "",
		"22021":        `--listen: "22021" is no address to listen on: want host:port, such as :22021`,
		"localhost":    `--listen: "localhost" is no address to listen on` + other,
		"127.0.0.1:":   `--listen: "127.0.0.1:" is no address to listen on` + other,
		"::1:8080":     `--listen: "::1:8080" is no address to listen on` + other,
		"host:65536":   `--listen: "host:65536" is no address to listen on` + other,
		"http://x:80/": `--listen: "http://x:80/" is no address to listen on` + other,
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

func TestSettings(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		into encoding.TextUnmarshaler
		want any // nil for an error
	}{
		"days":                {text: "30d", into: new(span), want: span(720 * time.Hour)},
		"hours":               {text: "36h", into: new(span), want: span(36 * time.Hour)},
		"for ever":            {text: "0", into: new(span), want: span(0)},
		"for ever, in days":   {text: "0d", into: new(span), want: span(0)},
		"less than nothing":   {text: "-1h", into: new(span)},
		"days below nothing":  {text: "-1d", into: new(span)},
		"half a day":          {text: "0.5d", into: new(span)},
		"more than there are": {text: "106752d", into: new(span)},
		"no unit of time":     {text: "30", into: new(span)},
		"no time":             {text: "soon", into: new(span)},

		"bytes":          {text: "1000", into: new(size), want: size(1000)},
		"KiB":            {text: "1KiB", into: new(size), want: size(1 << 10)},
		"MiB":            {text: "256MiB", into: new(size), want: size(256 << 20)},
		"GiB":            {text: "2GiB", into: new(size), want: size(2 << 30)},
		"too much":       {text: "9999999999GiB", into: new(size)},
		"nothing":        {text: "0", into: new(size)},
		"a unit alone":   {text: "MiB", into: new(size)},
		"an unknown one": {text: "1TB", into: new(size)},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.into.UnmarshalText([]byte(test.text))
			var got any
			switch v := test.into.(type) {
			case *span:
				got = *v
			case *size:
				got = *v
			}
			if (err != nil) != (test.want == nil) || err == nil && got != test.want {
				t.Errorf("%q is %v, error %v, want %v", test.text, got, err, test.want)
			}
		})
	}
}
