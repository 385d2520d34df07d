package mapping

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Regions lists the regions with CodeArts Build: those of the official Go SDK
// v0.1.207, services/codeartsbuild/v3/region. New regions and private clouds are
// reached by their endpoint.
func Regions() []string {
	return []string{
		"cn-north-1", "cn-north-4", "cn-east-2", "cn-east-3", "cn-south-1", "cn-south-2", "cn-southwest-2",
		"ap-southeast-3", "sa-brazil-1", "la-north-2", "la-south-2", "tr-west-1",
	}
}

// target checks one target as a whole.
func (s scope) target(name string, doc *targetDocument) *Target {
	field := "targets." + name
	region, endpoint := doc.Region.at.present(), doc.Endpoint.at.present()
	switch {
	case region && endpoint:
		s.fault(doc.Endpoint.at, field+".endpoint", "want exactly one of region and endpoint")
	case !region && !endpoint && !doc.doubts("region", "endpoint"):
		s.fault(doc.at, field, "want exactly one of region and endpoint")
	case region && !slices.Contains(Regions(), doc.Region.value):
		s.warn(doc.Region.at, field+".region", "%q is not on the list of known regions%s", clip(doc.Region.value), Suggest(doc.Region.value, Regions()))
	}
	out := &Target{
		Name:      name,
		Region:    doc.Region.value,
		Endpoint:  s.address(doc.Endpoint, field+".endpoint"),
		RateLimit: rate(doc.RateLimit),
		Timeout:   s.within(doc.Timeout, field+".timeout", DefaultTimeout, 100*time.Millisecond, 10*time.Minute),
		RetryFor:  s.within(doc.RetryFor, field+".retry_for", DefaultRetryFor, time.Second, 31*24*time.Hour),
	}
	if doc.Credentials != nil {
		out.Credentials = s.credentials(doc.Credentials, field+".credentials", region)
	}
	reconcile := doc.Reconcile
	if reconcile == nil {
		reconcile = new(reconcileDocument)
	}
	out.Reconcile = Reconcile{
		Window:   s.within(reconcile.Window, field+".reconcile.window", DefaultWindow, 0, 24*time.Hour),
		Patience: s.within(reconcile.Patience, field+".reconcile.patience", DefaultPatience, 0, 24*time.Hour),
		TimeZone: s.timeZone(reconcile.TimeZone, field+".reconcile.time_zone"),
	}
	return out
}

func (s scope) within(d duration, field string, absent, lowest, highest time.Duration) time.Duration {
	if !d.at.present() {
		return absent
	}
	if d.value < lowest || d.value > highest {
		s.fault(d.at, field, "%s is out of bounds: want %s to %s", short(d.value), short(lowest), short(highest))
	}
	return d.value
}

// short prints a duration as the reference does.
func short(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d > day && d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	case d > 0 && d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	case d > 0 && d%time.Minute == 0:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	default:
		return d.String()
	}
}

func (s scope) timeZone(t text, field string) *time.Location {
	name := t.value
	if !t.at.present() {
		name = DefaultTimeZone
	}
	loc, err := time.LoadLocation(name)
	switch {
	case err == nil && name != "Local":
		return loc
	case !t.at.present():
		return time.FixedZone(DefaultTimeZone, 8*60*60) // it has no summer time
	}
	s.fault(t.at, field, "%q is not the IANA name of a time zone such as Asia/Shanghai", clip(name))
	return nil
}

// address checks what the pattern of an endpoint cannot, and drops a final
// slash.
func (s scope) address(t text, field string) string {
	if !t.at.present() || t.value == "" {
		return ""
	}
	u, err := url.Parse(t.value)
	if err == nil {
		port, portErr := strconv.Atoi(u.Port())
		if u.Hostname() == "" || u.Port() != "" && (portErr != nil || port < 1 || port > 65535) || strings.HasSuffix(u.Host, ":") {
			err = url.InvalidHostError(u.Host)
		}
	}
	if err != nil && wholeAddress.MatchString(t.value) {
		s.fault(t.at, field, "%q is not an address: its host or port is wrong", clip(t.value))
	}
	return strings.TrimSuffix(t.value, "/")
}

func (s scope) credentials(doc *credentialsDocument, field string, region bool) Credentials {
	out := Credentials{
		AccessKey:     s.secret(doc.AccessKey, field+".access_key"),
		SecretKey:     s.secret(doc.SecretKey, field+".secret_key"),
		SecurityToken: s.secret(doc.SecurityToken, field+".security_token"),
		Token:         s.secret(doc.Token, field+".token"),
		IAMEndpoint:   s.address(doc.IAMEndpoint, field+".iam_endpoint"),
		Chain:         doc.Chain.value,
	}
	keys := doc.AccessKey != nil || doc.SecretKey != nil || doc.SecurityToken != nil
	kinds := 0
	for _, given := range []bool{keys, doc.IAMUser != nil, doc.Token != nil, doc.Chain.at.present()} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1 && doc.doubts("access_key", "secret_key", "iam_user", "token", "chain"):
	case kinds != 1:
		s.fault(doc.at, field, "want exactly one kind: access_key with secret_key, iam_user, token, or chain: true")
	case keys && (doc.AccessKey == nil || doc.SecretKey == nil) && !doc.doubts("access_key", "secret_key"):
		s.fault(doc.at, field, "access_key and secret_key go together")
	case doc.Chain.at.present() && !doc.Chain.value:
		s.fault(doc.Chain.at, field+".chain", "write chain: true, or another kind of credentials")
	}
	if doc.IAMEndpoint.at.present() && doc.IAMUser == nil {
		s.fault(doc.IAMEndpoint.at, field+".iam_endpoint", "goes with iam_user only")
	}
	if u := doc.IAMUser; u != nil {
		out.IAMUser = &IAMUser{Domain: u.Domain.value, Name: u.Name.value, Project: u.Project.value}
		if ref := s.secret(u.Password, field+".iam_user.password"); ref != nil {
			out.IAMUser.Password = *ref
		}
		if !region && !doc.IAMEndpoint.at.present() {
			s.fault(u.at, field+".iam_user", "without a region, iam_endpoint is required beside it")
		}
		if !region && !u.Project.at.present() && !u.doubts("project") {
			s.fault(u.at, field+".iam_user.project", "required without a region")
		}
	}
	return out
}

var wholeAddress = regexp.MustCompile(`^https?://[^/?#@\s]+/?$`)
