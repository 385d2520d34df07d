package cli

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/mapping/notation"
)

// text is a kind of flag or argument whose value is parsed from one text. Its name stands
// for the value in the help.
type text[T any] struct {
	name  string
	parse func(string) (T, error)
}

// Decode parses the text for kong.
func (t text[T]) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	var given string
	if err := ctx.Scan.PopValueInto(t.name, &given); err != nil {
		return err
	}
	value, err := t.parse(given)
	if err == nil {
		target.Set(reflect.ValueOf(value))
	}
	return err
}

// PlaceHolder is the name of the value in the help.
func (t text[T]) PlaceHolder(*kong.Flag) string { return t.name }

// kinds are the types of flags that kong does not know, by their Go type or their type tag.
func kinds() []kong.Option {
	return []kong.Option{
		kong.NamedMapper("age", text[time.Duration]{"TIME", parseAge}),
		kong.NamedMapper("end", text[time.Time]{"TIME", parseEnd}),
		kong.NamedMapper("size", text[int64]{"SIZE", parseSize}),
		kong.NamedMapper("webaddress", text[string]{"URL", parseWebAddress}),
		kong.NamedMapper("trace", text[string]{"TEMPLATE", parseTraceAddress}),
		kong.TypeMapper(reflect.TypeFor[netip.Prefix](), text[netip.Prefix]{"CIDR", parsePrefix}),
		kong.TypeMapper(reflect.TypeFor[time.Time](), text[time.Time]{"TIME", parseMoment}),
		// kong would print the value with an error, and it may be a token. So an invalid
		// reference becomes the zero value, and checkTokenRef returns the error.
		kong.TypeMapper(reflect.TypeFor[mapping.SecretRef](), text[mapping.SecretRef]{
			name:  "env:NAME|file:PATH",
			parse: func(given string) (mapping.SecretRef, error) { return parseTokenRef(given), nil },
		}),
		// The same is true of a token with a name, and of checkAdminTokens.
		kong.TypeMapper(reflect.TypeFor[bridge.AdminToken](), text[bridge.AdminToken]{
			name:  "NAME=ROLE:env:NAME|file:PATH",
			parse: func(given string) (bridge.AdminToken, error) { return parseAdminToken(given), nil },
		}),
	}
}

// checkMinimum compares a flag with the least value that its min tag allows.
func checkMinimum(flag *kong.Flag) error {
	limit := flag.Tag.Get("min")
	if limit == "" {
		return nil
	}
	least, err := parseSize(limit)
	if err == nil && flag.Target.Int() < least {
		err = fmt.Errorf("--%s must be %s or more", flag.Name, limit)
	}
	return err
}

// parsePrefix parses a CIDR; an address is a CIDR of its own.
func parsePrefix(given string) (netip.Prefix, error) {
	prefix, ok := notation.Prefix(given)
	if !ok {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a CIDR", given)
	}
	return prefix, nil
}

// checkAddress returns an error if a flag's value is not an address to listen on.
func checkAddress(flag, given string) error {
	_, port, err := net.SplitHostPort(given)
	number, noNumber := strconv.Atoi(port) // a port can also be a name, such as http
	if err == nil && port != "" && (noNumber != nil || number >= 0 && number <= math.MaxUint16) {
		return nil
	}
	example := "127.0.0.1:8080 or :8080"
	if _, err := strconv.ParseUint(given, 10, 16); err == nil {
		example = ":" + given
	}
	return fmt.Errorf("%s: %q is not an address to listen on: want host:port, such as %s", flag, given, example)
}

// parseAge parses a duration that may be given in days.
func parseAge(given string) (time.Duration, error) {
	age, ok := notation.Duration(given)
	if !ok && given != "0" {
		return 0, fmt.Errorf("%q is not a time to keep something: want days or hours, such as 30d or 36h, or 0 for ever", given)
	}
	return age, nil
}

// parseMoment parses a point in time: how long ago, RFC 3339, or a day.
func parseMoment(given string) (time.Time, error) {
	if ago, err := parseAge(given); err == nil {
		return time.Now().Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, given, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf(
		"%q is neither how long ago, such as 90m or 7d, nor a time such as 2026-01-31T08:00:00Z or 2026-01-31", given)
}

// parseEnd parses a point in time that is still to come: in how long, RFC 3339, or the beginning
// of a day.
func parseEnd(given string) (time.Time, error) {
	if in, err := parseAge(given); err == nil {
		return time.Now().Add(in), nil
	}
	if t, err := parseMoment(given); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf(
		"%q is neither a time from now, such as 2h or 3d, nor one such as 2026-01-31T08:00:00Z or 2026-01-31", given)
}

// parseSize parses a number of bytes, at least one, which may have a unit such as MiB.
func parseSize(given string) (int64, error) {
	size, ok := notation.Size(given)
	if !ok || size == 0 {
		return 0, fmt.Errorf("%q is not a size: want bytes, or text such as 256MiB", given)
	}
	return size, nil
}

// parseWebAddress parses the address of a site, which other addresses are made from: it may have a
// path. It takes a slash off the end.
func parseWebAddress(given string) (string, error) {
	u, err := url.Parse(given)
	if err != nil || !isWeb(u) || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", fmt.Errorf("%q is not the address of a site: want http or https, a host and maybe a path, such as https://ci.example.com",
			given)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// parseTraceAddress parses the template of the address of a trace.
func parseTraceAddress(given string) (string, error) {
	u, err := url.Parse(strings.ReplaceAll(given, traceID, "0"))
	if err != nil || !isWeb(u) || !strings.Contains(given, traceID) {
		return "", fmt.Errorf("%q is not the address of a trace: want http or https, a host and %s, such as https://example.com/trace/%[2]s",
			given, traceID)
	}
	return given, nil
}

// traceID is where the id of the trace goes.
const traceID = "{trace_id}"

// isWeb tells that an address can be a link for everybody.
func isWeb(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil
}

// parseTokenRef parses a reference to a token, env:NAME or file:PATH. It returns the zero
// value for any other text.
func parseTokenRef(given string) mapping.SecretRef {
	kind, name, _ := strings.Cut(given, ":")
	switch kind {
	case "env":
		return mapping.SecretRef{Env: name}
	case "file":
		return mapping.SecretRef{File: name}
	}
	return mapping.SecretRef{}
}

// checkTokenRef returns an error for a text that parseTokenRef did not understand, without
// that text, which may be the token.
func checkTokenRef(flag string, refs ...mapping.SecretRef) error {
	if slices.Contains(refs, mapping.SecretRef{}) {
		return fmt.Errorf("%s takes env:NAME or file:PATH, where the token is, and not the token itself", flag)
	}
	return nil
}

// parseAdminToken parses a token with a name, NAME=ROLE:env:NAME or NAME=ROLE:file:PATH. What
// it does not understand is left out.
func parseAdminToken(given string) (t bridge.AdminToken) {
	name, rest, ok := strings.Cut(given, "=")
	if !ok {
		return t
	}
	role, ref, _ := strings.Cut(rest, ":")
	t.Name, t.Ref = name, parseTokenRef(ref)
	t.Role, _ = admin.ParseRole(role)
	return t
}

// checkAdminTokens returns an error for texts that parseAdminToken did not understand. It has
// only what cannot be the token.
func checkAdminTokens(tokens []bridge.AdminToken) error {
	const form = "it takes NAME=ROLE:REF, such as ann=operate:file:/run/secrets/ann"
	for _, t := range tokens {
		if wrong := bridge.CheckTokenName(t.Name); wrong != "" {
			return fmt.Errorf("--admin-token: %s; %s", wrong, form)
		}
		if t.Role == 0 {
			return fmt.Errorf("--admin-token: the role of %s is none of read, operate, write; %s", t.Name, form)
		}
		if err := checkTokenRef(fmt.Sprintf("--admin-token: %s=%s", t.Name, t.Role), t.Ref); err != nil {
			return err
		}
	}
	return nil
}
