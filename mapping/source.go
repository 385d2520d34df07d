package mapping

import (
	"net/netip"
	"time"
)

// DefaultMaxBody is the largest body accepted where a source sets no max_body:
// 25 MiB, the most that GitHub and GitLab send.
const DefaultMaxBody = 25 << 20

// Source is one caller: POST /webhooks/<Name>.
type Source struct {
	Name     string
	Provider string // the name of a [Provider]

	Secrets       []SecretRef // shared secrets, tokens or passwords; any one matches
	SigningTokens []SecretRef // GitLab's whsec_ tokens; where there is one, a signature is required
	Basic         []BasicRef  // Bitbucket Data Center and Azure DevOps
	TokenHeader   string      // CodeArts Repo: the header of the token; "" means X-Repo-Token
	Insecure      bool        // accepts anybody; only without any secret

	MaxBody   int64          // bytes; DefaultMaxBody if not set
	AllowFrom []netip.Prefix // client addresses; empty means all
	RateLimit RateLimit      // of deliveries; the zero value means no limit
}

// BasicRef is one pair of HTTP Basic credentials.
type BasicRef struct {
	Username string
	Password SecretRef
}

// RateLimit is a token bucket. The zero value is no limit.
type RateLimit struct {
	PerSecond float64
	Burst     int // at least 1 where PerSecond is set
}

// Target is one place where builds run.
type Target struct {
	Name     string
	Region   string // exactly one of Region and Endpoint is set
	Endpoint string // an absolute http or https URL without a path

	Credentials Credentials
	RateLimit   RateLimit     // of RunJob calls
	Timeout     time.Duration // of one call; DefaultTimeout if not set
	RetryFor    time.Duration // from acceptance to the deadline; DefaultRetryFor if not set
	Reconcile   Reconcile
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

// IAMUser logs in for a project-scoped token.
type IAMUser struct {
	Domain   string
	Name     string
	Password SecretRef
	Project  string // name of the project; "" means the region's
}
