package cli

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// prefix is an address or a CIDR.
type prefix struct{ netip.Prefix }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *prefix) UnmarshalText(text []byte) error {
	if addr, err := netip.ParseAddr(string(text)); err == nil {
		p.Prefix = netip.PrefixFrom(addr, addr.BitLen())
		return nil
	}
	parsed, err := netip.ParsePrefix(string(text))
	if err != nil {
		return fmt.Errorf("%q is neither an address nor a CIDR", text)
	}
	p.Prefix = parsed.Masked()
	return nil
}

// checkAddress says what is wrong with an address to listen on, which a flag has.
func checkAddress(flag, text string) error {
	_, port, err := net.SplitHostPort(text)
	number, noNumber := strconv.Atoi(port) // it may be a name, such as http
	if err == nil && port != "" && (noNumber != nil || number >= 0 && number <= math.MaxUint16) {
		return nil
	}
	such := "127.0.0.1:8080 or :8080"
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		such = ":" + text
	}
	return fmt.Errorf("%s: %q is no address to listen on: want host:port, such as %s", flag, text, such)
}

// span is how long something is kept: a duration, or whole days. 0 is for ever.
type span time.Duration

const day = 24 * time.Hour

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *span) UnmarshalText(text []byte) error {
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 64); err == nil && n <= uint64(math.MaxInt64/day) {
			*s = span(time.Duration(n) * day)
			return nil
		}
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no time to keep something: want days or hours, such as 30d or 36h, or 0 for ever", text)
	}
	*s = span(d)
	return nil
}

// size is a number of bytes, in the units that programs count memory in.
type size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for suffix, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if cut, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = cut, bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is no size: want bytes, or text such as 256MiB", text)
	}
	*s = size(n * unit)
	return nil
}
