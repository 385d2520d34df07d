// Package notation reads the values with a notation of their own that rules and
// settings share: durations with days, sizes in bytes, addresses of networks.
package notation

import (
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// DurationPattern is a regular expression for the text of a duration.
const DurationPattern = `([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d))+`

var (
	durationForm = regexp.MustCompile("^(?:" + DurationPattern + ")$")
	sizeForm     = regexp.MustCompile(`^([0-9]+)(?: ?([kKMG]?B|[KMG]iB))?$`)
	days         = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)d`)
)

// Duration reads a duration as Go writes it, without a sign, and with days of 24 hours:
// 30s, 1d12h. A number without a unit is none.
func Duration(s string) (time.Duration, bool) {
	if !durationForm.MatchString(s) {
		return 0, false
	}
	s = days.ReplaceAllStringFunc(s, func(match string) string {
		v, _ := strconv.ParseFloat(strings.TrimSuffix(match, "d"), 64) // +Inf if it is too large: no number to time
		return strconv.FormatFloat(v*24, 'f', -1, 64) + "h"
	})
	d, err := time.ParseDuration(s)
	return d, err == nil
}

var units = map[string]int64{
	"": 1, "B": 1,
	"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}

// Size reads a number of bytes: 1048576, 1024KiB or 1MiB. kB, KB, MB and GB are of a
// thousand.
func Size(s string) (int64, bool) {
	m := sizeForm.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	unit := units[m[2]]
	n, err := strconv.ParseInt(m[1], 10, 64)
	return n * unit, err == nil && n <= math.MaxInt64/unit
}

// Prefix reads an IP address, which stands for itself alone, or a CIDR. IPv4 addresses
// that are written as IPv6 (::ffff:192.0.2.1) become IPv4.
func Prefix(s string) (netip.Prefix, bool) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}
