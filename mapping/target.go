package mapping

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"buildbridge/mapping/internal/yamldoc"
)

// Target is one place where builds run.
type Target struct {
	Name     string
	Region   string // exactly one of Region and Endpoint is set
	Endpoint string // an absolute http or https URL without a path
	// PipelineEndpoint is the address of CodeArts Pipeline, as Endpoint; "" for that of Region.
	PipelineEndpoint string

	Credentials Credentials
	RateLimit   RateLimit     // of calls that start builds
	Timeout     time.Duration // of one call; DefaultTimeout if not set
	RetryFor    time.Duration // from acceptance to the deadline; DefaultRetryFor if not set
	RetryCodes  []string      // codes of the service after which a build is tried again, though it would be dead
	Reconcile   Reconcile

	Follow bool // whether builds are followed to their end
	// ConsoleURL is the address of a build in the console, with {region}, {project_id},
	// {job_id}, {build_no} and {record_id}; "" if it is not known.
	ConsoleURL string
}

// Defaults of a target.
const (
	DefaultTimeout  = 30 * time.Second
	DefaultRetryFor = 24 * time.Hour
	DefaultWindow   = 3 * time.Second
	DefaultPatience = 2 * time.Minute
	DefaultTimeZone = "Asia/Shanghai"
)

// Reconcile says how to look for a build whose start got no answer. The zero value
// means the defaults.
type Reconcile struct {
	Window   time.Duration  // by how much the service's clocks may differ: records from this long before the call count
	Patience time.Duration  // not found for this long after the call: it did not start
	TimeZone *time.Location // of the service's record times
}

// Credentials of a target: exactly one kind is set.
type Credentials struct {
	AccessKey     *SecretRef // with SecretKey, optionally SecurityToken
	SecretKey     *SecretRef
	SecurityToken *SecretRef

	IAMUser     *IAMUser
	IAMEndpoint string // "" means https://iam.<region>.myhuaweicloud.com

	Token *SecretRef // a fixed, project-scoped token

	Chain bool // the SDK's provider chain
}

// text tells what kind they are, and where the secrets are.
func (c Credentials) text() string {
	var parts []string
	add := func(name string, ref *SecretRef) {
		switch {
		case ref == nil:
		case ref.Env != "":
			parts = append(parts, name+" env:"+ref.Env)
		default:
			parts = append(parts, name+" file:"+ref.File)
		}
	}
	add("access_key", c.AccessKey)
	add("secret_key", c.SecretKey)
	add("security_token", c.SecurityToken)
	if u := c.IAMUser; u != nil {
		parts = append(parts, fmt.Sprintf("iam_user %s/%s, project %q", u.Domain, u.Name, u.Project))
		add("password", &u.Password)
	}
	if c.IAMEndpoint != "" {
		parts = append(parts, "iam_endpoint "+c.IAMEndpoint)
	}
	add("token", c.Token)
	if c.Chain {
		parts = append(parts, "chain")
	}
	return strings.Join(parts, ", ")
}

// IAMUser logs in for a project-scoped token.
type IAMUser struct {
	Domain   string
	Name     string
	Password SecretRef
	Project  string // name of the project; "" means the region's
}

// Regions lists the regions with CodeArts Build: those of the official Go SDK
// v0.1.207, services/codeartsbuild/v3/region. New regions and private clouds are
// reached by their endpoint.
func Regions() []string {
	return []string{
		"cn-north-1", "cn-north-4", "cn-east-2", "cn-east-3", "cn-south-1", "cn-south-2", "cn-southwest-2",
		"ap-southeast-3", "sa-brazil-1", "la-north-2", "la-south-2", "tr-west-1",
	}
}

// PipelineRegions gives the host of CodeArts Pipeline in each region where it is known: as the
// official Go SDK v0.1.207 has them in services/codeartspipeline/v2/region. Other than that of
// Build, it follows no pattern.
func PipelineRegions() map[string]string {
	hosts := map[string]string{}
	for prefix, regions := range map[string][]string{
		"cloudpipeline-ext": {
			"cn-north-1", "cn-north-4", "cn-south-1", "cn-south-2", "cn-east-2", "cn-east-3", "cn-southwest-2",
			"ap-southeast-3", "sa-brazil-1", "la-north-2",
		},
		"pipeline-external": {"tr-west-1", "la-south-2"},
		"pipeline":          {"af-north-1", "af-south-1", "me-east-1"},
	} {
		for _, region := range regions {
			hosts[region] = prefix + "." + region + ".myhuaweicloud.com"
		}
	}
	return hosts
}

// target checks one target as a whole.
func (s scope) target(name string, doc *targetDocument) *Target {
	field := "targets." + name
	region, endpoint := doc.Region.At.Known(), doc.Endpoint.At.Known()
	switch {
	case region && endpoint:
		s.fault(doc.Endpoint.At, field+".endpoint", "want exactly one of region and endpoint")
	case !region && !endpoint && !doc.MayHave("region", "endpoint"):
		s.fault(doc.At, field, "want exactly one of region and endpoint")
	case region && !slices.Contains(Regions(), doc.Region.Value) && PipelineRegions()[doc.Region.Value] == "":
		s.warn(doc.Region.At, field+".region",
			"%q is not on the list of known regions%s", clip(doc.Region.Value), Suggest(doc.Region.Value, Regions()))
	}
	out := &Target{
		Name:             name,
		Region:           doc.Region.Value,
		Endpoint:         s.address(doc.Endpoint, field+".endpoint"),
		PipelineEndpoint: s.address(doc.PipelineEndpoint, field+".pipeline_endpoint"),
		RateLimit:        rateLimit(doc.RateLimit),
		Timeout:          doc.Timeout.Or(DefaultTimeout),
		RetryFor:         doc.RetryFor.Or(DefaultRetryFor),
		Follow:           doc.Follow.Or(true),
	}
	if doc.PipelineEndpoint.Bad { // which is said, and not that it has none
		out.PipelineEndpoint = doc.PipelineEndpoint.Value
	}
	if doc.RetryCodes != nil {
		out.RetryCodes = values(doc.RetryCodes)
	}
	out.ConsoleURL = s.console(doc.ConsoleURL, field+".console_url", region)
	if doc.Credentials != nil {
		out.Credentials = s.credentials(doc.Credentials, field+".credentials", region)
	}
	reconcile := doc.Reconcile
	if reconcile == nil {
		reconcile = new(reconcileDocument)
	}
	out.Reconcile = Reconcile{
		Window:   reconcile.Window.Or(DefaultWindow),
		Patience: reconcile.Patience.Or(DefaultPatience),
		TimeZone: s.timeZone(reconcile.TimeZone, field+".reconcile.time_zone"),
	}
	return out
}

func (s scope) timeZone(t yamldoc.Text, field string) *time.Location {
	name := t.Value
	if !t.At.Known() {
		name = DefaultTimeZone
	}
	loc, err := time.LoadLocation(name)
	switch {
	case err == nil && name != "Local":
		return loc
	case !t.At.Known():
		return time.FixedZone(DefaultTimeZone, 8*60*60) // it has no summer time
	}
	s.fault(t.At, field, "%q is not the IANA name of a time zone such as Asia/Shanghai", clip(name))
	return nil
}

// address checks an address, and drops slashes at its end.
func (s scope) address(t yamldoc.Text, field string) string {
	if !t.At.Known() || t.Bad {
		return ""
	}
	u, err := url.Parse(t.Value)
	if err == nil {
		port, portErr := strconv.Atoi(u.Port())
		if u.Hostname() == "" || u.Port() != "" && (portErr != nil || port < 1 || port > 65535) || strings.HasSuffix(u.Host, ":") {
			err = url.InvalidHostError(u.Host)
		}
	}
	if escape, ok := errors.AsType[url.EscapeError](err); ok {
		s.fault(t.At, field, "%q is not an address: %v", clip(t.Value), escape)
	} else if err != nil {
		s.fault(t.At, field, "%q is not an address: its host or port is wrong", clip(t.Value))
	}
	return strings.TrimRight(t.Value, "/")
}

func (s scope) credentials(doc *credentialsDocument, field string, region bool) Credentials {
	out := Credentials{
		AccessKey:     s.secret(doc.AccessKey, field+".access_key"),
		SecretKey:     s.secret(doc.SecretKey, field+".secret_key"),
		SecurityToken: s.secret(doc.SecurityToken, field+".security_token"),
		Token:         s.secret(doc.Token, field+".token"),
		IAMEndpoint:   s.address(doc.IAMEndpoint, field+".iam_endpoint"),
		Chain:         doc.Chain.Value,
	}
	keys := doc.AccessKey != nil || doc.SecretKey != nil || doc.SecurityToken != nil
	kinds := 0
	for _, given := range []bool{keys, doc.IAMUser != nil, doc.Token != nil, doc.Chain.At.Known()} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1 && doc.MayHave("access_key", "secret_key", "iam_user", "token", "chain"):
	case kinds != 1:
		s.fault(doc.At, field, "want exactly one kind: access_key with secret_key, iam_user, token, or chain: true")
	case keys && (doc.AccessKey == nil || doc.SecretKey == nil) && !doc.MayHave("access_key", "secret_key"):
		s.fault(doc.At, field, "access_key and secret_key go together")
	case doc.Chain.At.Known() && !doc.Chain.Value:
		s.fault(doc.Chain.At, field+".chain", "write chain: true, or another kind of credentials")
	}
	if doc.IAMEndpoint.At.Known() && doc.IAMUser == nil {
		s.fault(doc.IAMEndpoint.At, field+".iam_endpoint", "goes with iam_user only")
	}
	if u := doc.IAMUser; u != nil {
		out.IAMUser = &IAMUser{Domain: u.Domain.Value, Name: u.Name.Value, Project: u.Project.Value}
		if ref := s.secret(u.Password, field+".iam_user.password"); ref != nil {
			out.IAMUser.Password = *ref
		}
		if !region && !doc.IAMEndpoint.At.Known() {
			s.fault(u.At, field+".iam_user", "without a region, iam_endpoint is required beside it")
		}
		if !region && !u.Project.At.Known() && !u.MayHave("project") {
			s.fault(u.At, field+".iam_user.project", "required without a region")
		}
	}
	return out
}
