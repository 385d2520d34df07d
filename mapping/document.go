package mapping

import (
	"slices"
	"time"
)

// A document is the file as it is written: every value with its place, nothing
// resolved. The tags are the one description of its structure; the decoder and
// the JSON schema are both made from them:
//
//	yaml     name, then "required" or "null" (may be written without a value)
//	enum     the values allowed, separated by |
//	pattern  a regular expression for the whole text, as Go and ECMA both read it
//	is       what a text that fits the pattern is, for the fault
//	hide     the text may be a secret that was pasted there: no fault shows it
//	min, max bounds of a number, above an open one; for text, of its length in characters;
//	         for a list, of its number of elements
//	keys     the pattern of a map's names; keyis and keymax go with it
//	not      names a map must not have, separated by |
//	default  what absence means
//	doc      what editors show
type document struct {
	object

	Version integer                 `yaml:"version,required" min:"1" max:"1" doc:"Version of the rules language: 1."`
	Sources []entry[sourceDocument] `yaml:"sources" keys:"[A-Za-z0-9][A-Za-z0-9._-]*" keyis:"a name: letters, digits, '.', '_' and '-', the first a letter or a digit" keymax:"64" doc:"Who may call: POST /webhooks/<name>."`
	Targets []entry[targetDocument] `yaml:"targets" keys:"[A-Za-z0-9][A-Za-z0-9._-]*" keyis:"a name: letters, digits, '.', '_' and '-', the first a letter or a digit" keymax:"64" doc:"Where builds run."`
	Rules   []ruleDocument          `yaml:"rules" doc:"What builds when. Every matching rule builds."`
}

type sourceDocument struct {
	object

	Provider      text             `yaml:"provider,required" doc:"Whose deliveries these are. Never guessed from headers."`
	Secrets       []secretDocument `yaml:"secrets" min:"1" doc:"Webhook secrets, tokens or passwords. Any one matches."`
	SigningTokens []secretDocument `yaml:"signing_tokens" min:"1" doc:"GitLab's signing tokens (whsec_…). Where there is one, a signature is required."`
	Basic         []basicDocument  `yaml:"basic" min:"1" doc:"HTTP Basic credentials, of Bitbucket Data Center and Azure DevOps. Any one matches."`
	TokenHeader   text             `yaml:"token_header" pattern:"[A-Za-z0-9-]+" is:"a header name: letters, digits and '-'" min:"1" max:"64" doc:"The header that carries a secret, of CodeArts Repo (X-Repo-Token if absent) and Azure DevOps."`
	Insecure      boolean          `yaml:"insecure" default:"false" doc:"Accepts deliveries from anybody. Only without any secret."`
	MaxBody       size             `yaml:"max_body" default:"\"25MiB\"" doc:"Largest body taken: bytes, or text such as 25MiB. 1 KiB to 100 MiB."`
	AllowFrom     texts            `yaml:"allow_from" pattern:"[0-9A-Fa-f:.]+(/[0-9]{1,3})?" is:"an IP address or a CIDR such as 203.0.113.0/24" doc:"IP addresses or CIDRs that may call. Everybody if absent."`
	RateLimit     *rateDocument    `yaml:"rate_limit" doc:"Deliveries a second. No limit if absent."`
}

type secretDocument struct {
	object

	Env  text `yaml:"env" pattern:"[A-Za-z_][A-Za-z0-9_]*" is:"the name of an environment variable: letters, digits and '_'" hide:"true" min:"1" max:"256" doc:"Name of an environment variable."`
	File text `yaml:"file" pattern:"[^\\x00]*" is:"a path" min:"1" max:"4096" doc:"Path of a file; one trailing newline is dropped."`
}

type basicDocument struct {
	object

	Username text            `yaml:"username,required" pattern:"[^:]*" is:"a user name without ':'" min:"1" max:"256" doc:"User name."`
	Password *secretDocument `yaml:"password,required" doc:"Where the password is."`
}

type rateDocument struct {
	object

	PerSecond number  `yaml:"per_second,required" above:"0" max:"1000000" doc:"Tokens that come back each second."`
	Burst     integer `yaml:"burst" min:"1" max:"1000000" doc:"The most at once; per_second, rounded up, if absent."`
}

type targetDocument struct {
	object

	Region      text                 `yaml:"region" pattern:"[a-z0-9-]+" is:"a region id such as cn-north-4" min:"1" max:"64" doc:"Region id. Exactly one of region and endpoint."`
	Endpoint    text                 `yaml:"endpoint" pattern:"https?://[^/?#@\\s]+/?" is:"an http or https address of scheme, host and port alone" max:"300" doc:"The service's address, for private clouds and the simulator."`
	Credentials *credentialsDocument `yaml:"credentials,required" doc:"How calls are authenticated: exactly one kind."`
	RateLimit   *rateDocument        `yaml:"rate_limit" doc:"RunJob calls a second. No limit if absent."`
	Timeout     duration             `yaml:"timeout" default:"\"30s\"" doc:"Of one call. 100ms to 10m."`
	RetryFor    duration             `yaml:"retry_for" default:"\"24h\"" doc:"From acceptance until a build that could not be started is given up. 1s to 31d."`
	Reconcile   *reconcileDocument   `yaml:"reconcile" doc:"How a build is looked for when its start got no answer."`
}

type reconcileDocument struct {
	object

	Window   duration `yaml:"window" default:"\"3s\"" doc:"By how much the service's own clocks may differ: records from this long before the call count. 0s to 24h."`
	Patience duration `yaml:"patience" default:"\"2m\"" doc:"Not found for this long after the call: it did not start. 0s to 24h."`
	TimeZone text     `yaml:"time_zone" min:"1" max:"64" default:"\"Asia/Shanghai\"" doc:"IANA name of the time zone of the service's record times."`
}

type credentialsDocument struct {
	object

	AccessKey     *secretDocument  `yaml:"access_key" doc:"Access key, with secret_key."`
	SecretKey     *secretDocument  `yaml:"secret_key" doc:"Secret key."`
	SecurityToken *secretDocument  `yaml:"security_token" doc:"Security token of temporary keys."`
	IAMUser       *iamUserDocument `yaml:"iam_user" doc:"Logs in for a project-scoped token."`
	IAMEndpoint   text             `yaml:"iam_endpoint" pattern:"https?://[^/?#@\\s]+/?" is:"an http or https address of scheme, host and port alone" max:"2048" doc:"Address of IAM; the region's if absent."`
	Token         *secretDocument  `yaml:"token" doc:"A fixed, project-scoped user token."`
	Chain         boolean          `yaml:"chain" doc:"The SDK's own chain: environment, profile, agency metadata."`
}

type iamUserDocument struct {
	object

	Domain   text            `yaml:"domain,required" min:"1" max:"256" doc:"Name of the account (domain)."`
	Name     text            `yaml:"name,required" min:"1" max:"256" doc:"Name of the IAM user."`
	Password *secretDocument `yaml:"password,required" doc:"Where the password is."`
	Project  text            `yaml:"project" min:"1" max:"256" doc:"Name of the project; the region's if absent."`
}

type ruleDocument struct {
	object

	label string // the name, for faults; known even where another field is at fault
	path  string // where it has no name: rules[3]

	Name        text          `yaml:"name,required" pattern:"[^\\s\\x00-\\x1f\\x7f-\\x9f]([^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f])?" is:"printable text without a space at either end" min:"1" max:"128" doc:"Unique; names the rule in logs, answers and metrics."`
	Source      texts         `yaml:"source" min:"1" doc:"Where the event has to come from: a name under sources, or a list. Every source if absent."`
	Repository  texts         `yaml:"repository" min:"1" doc:"Glob, or ordered list of globs, of owner/name; a leading ! excludes. Compared without case. Every repository if absent."`
	When        *whenDocument `yaml:"when,required" doc:"The kinds of event: push, tag or both."`
	If          text          `yaml:"if" min:"1" doc:"CEL condition on the whole event."`
	Jobs        []jobDocument `yaml:"jobs,required" min:"1" doc:"What to run."`
	Concurrency text          `yaml:"concurrency" enum:"newest" doc:"newest: a newer push replaces one that still waits. Never tags."`
}

type whenDocument struct {
	object

	Push *pushDocument `yaml:"push,null" doc:"Pushes to branches; every push if empty."`
	Tag  *tagDocument  `yaml:"tag,null" doc:"Tags; every tag if empty."`
}

type pushDocument struct {
	object

	Branches     texts `yaml:"branches" min:"1" doc:"Glob, or ordered list of globs, of short branch names; a leading ! excludes."`
	Paths        texts `yaml:"paths" min:"1" doc:"Glob, or ordered list of globs: one changed file must match."`
	PathsIgnore  texts `yaml:"paths_ignore" min:"1" doc:"Glob, or ordered list of globs: changed files that do not count."`
	UnknownPaths text  `yaml:"unknown_paths" enum:"build|skip" default:"\"build\"" doc:"What to do when the host did not send a complete list of changed files."`
}

type tagDocument struct {
	object

	Tags   texts `yaml:"tags" min:"1" doc:"Glob, or ordered list of globs, of short tag names; a leading ! excludes."`
	Semver text  `yaml:"semver" min:"1" max:"256" doc:"Constraint on the version that the tag names, without a leading v: >=2.0.0."`
}

type jobDocument struct {
	object

	JobID      text          `yaml:"job_id,required" pattern:"[0-9a-z]{32}" is:"a job id: 32 characters of a-z and 0-9, the end of the job's URL in the console" doc:"The end of the job's URL in the console: 32 characters of a-z and 0-9."`
	Target     text          `yaml:"target" min:"1" doc:"A name under targets; optional where there is exactly one."`
	Parameters []entry[text] `yaml:"parameters" keys:"[A-Za-z0-9_]+" keyis:"a parameter name: letters, digits and '_'" keymax:"128" not:"LD_PRELOAD|LD_LIBRARY_PATH|PATH|path|BASH_ENV|GIT_SSH_COMMAND|BUILDNUMBER|TIMESTAMP|INCREASENUM|PROJECT_ID|WORKSPACE|GIT_TAG|COMMIT_ID|COMMIT_ID_SHORTER" doc:"Build parameters: text with ${…}, which is CEL."`
	BuildType  text          `yaml:"build_type" enum:"auto" doc:"auto: sends scm.build_type."`
	Marker     text          `yaml:"marker" pattern:"[A-Za-z0-9_]+" is:"a parameter name: letters, digits and '_'" max:"128" not:"LD_PRELOAD|LD_LIBRARY_PATH|PATH|path|BASH_ENV|GIT_SSH_COMMAND|BUILDNUMBER|TIMESTAMP|INCREASENUM|PROJECT_ID|WORKSPACE|GIT_TAG|COMMIT_ID|COMMIT_ID_SHORTER" doc:"A declared parameter that gets the build's id."`
}

// place is where something is written. The zero place is nowhere: the value is
// absent.
type place struct {
	line, column int32
}

func (p place) present() bool { return p.line != 0 }

// object is the part that every map of a document has: its place.
type object struct {
	at    place
	wrong []string // fields with a fault; "" is one that is not known, or all of it
	lost  bool     // a tag or an alias in it may have taken fields with it
}

// doubts says whether what seems to be missing may be a field that was not
// taken: one of those named, or one that is not known.
func (o *object) doubts(fields ...string) bool {
	return o.lost || o.misnamed(fields...)
}

// misnamed says whether a field is not known, or one of those named has a fault.
func (o *object) misnamed(fields ...string) bool {
	return slices.ContainsFunc(o.wrong, func(w string) bool { return w == "" || slices.Contains(fields, w) })
}

func (o *object) base() *object { return o }

// text is a scalar that is text. A scalar that YAML reads as something else is
// a fault.
type text struct {
	value string
	at    place
	plain bool // not quoted, not a block
}

// texts is one text or a list of them.
type texts []text

// duration is text such as 1d12h.
type duration struct {
	value time.Duration
	at    place
}

// size is a number of bytes, or text such as 25MiB.
type size struct {
	bytes int64
	at    place
}

// integer is a whole number.
type integer struct {
	value int64
	at    place
}

// number is any number.
type number struct {
	value float64
	at    place
}

// boolean is true or false.
type boolean struct {
	value bool
	at    place
}

// entry is one named element of a map, in the order of the file.
type entry[T any] struct {
	Key   text
	Value T
}
