package mapping

import "buildbridge/mapping/internal/yamldoc"

// A document is a file as it is written: every value with its position, and nothing
// resolved. Its structs are the one description of the language: package yamldoc
// decodes by their tags, and rules.schema.json is made from the tags and from the
// comments, which editors show.
type document struct {
	yamldoc.Object `ignored:"x-"`

	// Version of the rules language: 1.
	Version yamldoc.Integer `yaml:"version,required" min:"1" max:"1"`
	// Constants, by name: ${vars.name} in rules of every file.
	Vars yamldoc.Map[yamldoc.Text] `yaml:"vars,strict" keys:"variable_name"`
	// What a rule of this file has if it says nothing itself.
	Defaults *defaultsDocument `yaml:"defaults"`
	// Who may call: POST /webhooks/<name>.
	Sources yamldoc.Map[sourceDocument] `yaml:"sources" keys:"name"`
	// Where builds run.
	Targets yamldoc.Map[targetDocument] `yaml:"targets" keys:"name"`
	// What builds when. Every matching rule builds.
	Rules []ruleDocument `yaml:"rules"`
}

func (*document) Misnamed(field string) string {
	if field == "tests" {
		return "tests of rules are in a file of their own: name it *.test.yaml, and run it with buildbridge test"
	}
	return ""
}

type sourceDocument struct {
	yamldoc.Object

	// Whose deliveries these are. Never guessed from headers.
	Provider yamldoc.Text `yaml:"provider,required"`
	// Webhook secrets, tokens or passwords. Any one matches.
	Secrets []secretDocument `yaml:"secrets" min:"1"`
	// GitLab's signing tokens (whsec_…), and GitCode's signature keys. Where there is one, a signature is required.
	SigningTokens []secretDocument `yaml:"signing_tokens" min:"1"`
	// HTTP Basic credentials, of Bitbucket Data Center and Azure DevOps. Any one matches.
	Basic []basicDocument `yaml:"basic" min:"1"`
	// The header that carries a secret, of CodeArts Repo (X-Repo-Token if absent) and Azure DevOps.
	TokenHeader yamldoc.Text `yaml:"token_header" form:"header"`
	// Accepts deliveries from anybody. Only without any secret.
	Insecure yamldoc.Boolean `yaml:"insecure" default:"false"`
	// Largest body taken: bytes, or text such as 25MiB. 1 KiB to 100 MiB.
	MaxBody yamldoc.Size `yaml:"max_body" min:"1KiB" max:"100MiB" default:"\"25MiB\""`
	// IP addresses or CIDRs that may call. Everybody if absent.
	AllowFrom yamldoc.Texts `yaml:"allow_from" form:"network"`
	// Deliveries a second. No limit if absent.
	RateLimit *rateDocument `yaml:"rate_limit"`
	// How buildbridge may ask and tell this host.
	API *apiDocument `yaml:"api"`
	// Sets statuses on the commits that are built, where a rule says nothing else. Needs api.
	Report yamldoc.Boolean `yaml:"report" default:"false"`
	// Finds pushes and tags whose delivery never came, by a look at the refs of repositories. Needs api. Off if absent.
	CatchUp *catchUpDocument `yaml:"catch_up"`
}

func (*sourceDocument) Misnamed(field string) string {
	switch field {
	case "token", "url", "username":
		return "it belongs under api"
	case "every", "missed":
		return "it belongs under catch_up"
	default:
		return ""
	}
}

type apiDocument struct {
	yamldoc.Object

	// Where the token is that the host's API takes.
	Token *secretDocument `yaml:"token,required"`
	// The root of a self-hosted host: http or https, host, port and path. The provider's public service if absent.
	URL yamldoc.Text `yaml:"url" form:"root"`
	// User name, where the host takes the token with one.
	Username yamldoc.Text `yaml:"username" form:"user"`
}

type catchUpDocument struct {
	yamldoc.Object

	// How often the refs of each repository are looked at. 1s to 7d.
	Every yamldoc.Duration `yaml:"every" min:"1s" max:"7d" default:"\"15m\""`
	// What becomes of what was missed: report only says so, build builds it too.
	Missed yamldoc.Text `yaml:"missed" enum:"report|build" default:"\"report\""`
}

func (*catchUpDocument) Shape() (form, why string) {
	return "{every: 15m, missed: report}", "it says how often refs are looked at, and what to do"
}

type secretDocument struct {
	yamldoc.Object

	// Name of an environment variable.
	Env yamldoc.Text `yaml:"env" form:"variable"`
	// Path of a file; one trailing newline is dropped.
	File yamldoc.Text `yaml:"file" form:"path"`
}

func (*secretDocument) Shape() (form, why string) {
	return "{env: NAME} or {file: PATH}", "a secret is never written in the file"
}

type basicDocument struct {
	yamldoc.Object

	// User name.
	Username yamldoc.Text `yaml:"username,required" form:"user"`
	// Where the password is.
	Password *secretDocument `yaml:"password,required"`
}

type rateDocument struct {
	yamldoc.Object

	// Tokens that come back each second.
	PerSecond yamldoc.Number `yaml:"per_second,required" above:"0" max:"1000000"`
	// The most at once; per_second, rounded up, if absent.
	Burst yamldoc.Integer `yaml:"burst" min:"1" max:"1000000"`
}

type targetDocument struct {
	yamldoc.Object

	// Region id. Exactly one of region and endpoint.
	Region yamldoc.Text `yaml:"region" form:"region"`
	// The service's address, for private clouds and the simulator.
	Endpoint yamldoc.Text `yaml:"endpoint" form:"endpoint"`
	// The address of CodeArts Pipeline; that of the region if absent. Jobs do not need it.
	PipelineEndpoint yamldoc.Text `yaml:"pipeline_endpoint" form:"endpoint"`
	// How calls are authenticated: exactly one kind.
	Credentials *credentialsDocument `yaml:"credentials,required"`
	// Calls that start builds, a second. No limit if absent.
	RateLimit *rateDocument `yaml:"rate_limit"`
	// Of one call. 100ms to 10m.
	Timeout yamldoc.Duration `yaml:"timeout" min:"100ms" max:"10m" default:"\"30s\""`
	// From acceptance until a build that could not be started is given up. 1s to 31d.
	RetryFor yamldoc.Duration `yaml:"retry_for" min:"1s" max:"31d" default:"\"24h\""`
	// Error codes of the service after which a build is tried again, though it would be dead.
	RetryCodes yamldoc.Texts `yaml:"retry_codes,none" form:"error_code"`
	// How a build is looked for when its start got no answer.
	Reconcile *reconcileDocument `yaml:"reconcile"`
	// Asks what became of each build that was started.
	Follow yamldoc.Boolean `yaml:"follow" default:"true"`
	// Address of a build in the console, with {region}, {project_id}, {job_id}, {build_no} and {record_id}.
	ConsoleURL yamldoc.Text `yaml:"console_url" form:"console"`
}

type reconcileDocument struct {
	yamldoc.Object

	// By how much the service's own clocks may differ: records from this long before the call count. 0s to 24h.
	Window yamldoc.Duration `yaml:"window" min:"0s" max:"24h" default:"\"3s\""`
	// Not found for this long after the call: it did not start. 0s to 24h.
	Patience yamldoc.Duration `yaml:"patience" min:"0s" max:"24h" default:"\"2m\""`
	// IANA name of the time zone of the service's record times.
	TimeZone yamldoc.Text `yaml:"time_zone" form:"zone" default:"\"Asia/Shanghai\""`
}

type credentialsDocument struct {
	yamldoc.Object

	// Access key, with secret_key.
	AccessKey *secretDocument `yaml:"access_key"`
	// Secret key.
	SecretKey *secretDocument `yaml:"secret_key"`
	// Security token of temporary keys.
	SecurityToken *secretDocument `yaml:"security_token"`
	// Logs in for a project-scoped token.
	IAMUser *iamUserDocument `yaml:"iam_user"`
	// Address of IAM; the region's if absent.
	IAMEndpoint yamldoc.Text `yaml:"iam_endpoint" form:"address"`
	// A fixed, project-scoped user token.
	Token *secretDocument `yaml:"token"`
	// The SDK's own chain: environment, profile, agency metadata.
	Chain yamldoc.Boolean `yaml:"chain"`
}

type iamUserDocument struct {
	yamldoc.Object

	// Name of the account (domain).
	Domain yamldoc.Text `yaml:"domain,required" form:"short"`
	// Name of the IAM user.
	Name yamldoc.Text `yaml:"name,required" form:"short"`
	// Where the password is.
	Password *secretDocument `yaml:"password,required"`
	// Name of the project; the region's if absent.
	Project yamldoc.Text `yaml:"project" form:"short"`
}

type defaultsDocument struct {
	yamldoc.Object

	// Where the event has to come from: a name under sources, or a list.
	Source yamldoc.Texts `yaml:"source,constant" form:"any"`
	// Glob, or ordered list of globs, of owner/name, for rules without repository and for_each.
	Repository yamldoc.Texts `yaml:"repository,constant" form:"any"`
	// For pushes with paths or paths_ignore: what to do when the host did not send a complete list of changed files.
	UnknownPaths yamldoc.Text `yaml:"unknown_paths" enum:"build|skip"`
	// For pushes: whether those with a skip mark are skipped.
	SkipMarks yamldoc.Boolean `yaml:"skip_marks"`
	// CEL condition on the whole event, for rules without if.
	If yamldoc.Text `yaml:"if" form:"any"`
	// A name under targets, for jobs without target.
	Target yamldoc.Text `yaml:"target,constant" form:"any"`
	// Build parameters of every job. They are merged by name: a job's own wins, and null leaves one out.
	Parameters yamldoc.Map[yamldoc.Text] `yaml:"parameters,strict" keys:"parameter"`
	// Variables of every pipeline, merged as parameters are.
	Variables yamldoc.Map[yamldoc.Text] `yaml:"variables,strict" keys:"pipeline_variable"`
	// auto: sends scm.build_type. Of jobs.
	BuildType yamldoc.Text `yaml:"build_type" enum:"auto"`
	// A declared parameter that gets the build's id. Of jobs: pipelines have one of their own.
	Marker yamldoc.Text `yaml:"marker,constant" form:"parameter"`
	// What builds of pushes to one branch do to each other, for rules that are for pushes.
	Concurrency *concurrencyDocument `yaml:"concurrency"`
	// Whether one commit is built once by a rule.
	Once yamldoc.Text `yaml:"once" enum:"commit|never"`
	// Statuses on the commits that are built.
	Report *reportDocument `yaml:"report"`
	// Who looks after the rules.
	Owner yamldoc.Text `yaml:"owner,constant" form:"title"`
}

type ruleDocument struct {
	yamldoc.Object

	// Unique; names the rule in logs, answers and metrics.
	Name yamldoc.Text `yaml:"name,required,label" form:"rule"`
	// What the rule is for, for people.
	Description yamldoc.Text `yaml:"description,constant" form:"description"`
	// Who looks after the rule: the label owner of buildbridge_rule_info.
	Owner yamldoc.Text `yaml:"owner,constant" form:"title"`
	// Where the event has to come from: a name under sources, or a list. Every source if absent.
	Source yamldoc.Texts `yaml:"source,constant" form:"any"`
	// Glob, or ordered list of globs, of owner/name; a leading ! excludes. Compared without case.
	// Every repository if absent.
	Repository yamldoc.Texts `yaml:"repository,constant" form:"any"`
	// A rule for each of these repositories, with values of its own: in place of repository.
	ForEach *forEachDocument `yaml:"for_each"`
	// The kinds of event: push, tag or both.
	When *whenDocument `yaml:"when,required"`
	// CEL condition on the whole event.
	If yamldoc.Text `yaml:"if" form:"any"`
	// What to run: jobs and pipelines.
	Jobs []jobDocument `yaml:"jobs,required" min:"1"`
	// What builds of pushes to one branch do to each other: newest, none, or a map. Never tags.
	Concurrency *concurrencyDocument `yaml:"concurrency"`
	// commit: a commit that this rule builds, or has built, is not built again.
	Once yamldoc.Text `yaml:"once" enum:"commit|never" default:"\"never\""`
	// Statuses on the commits that are built: true, false, or a map with their context. As the source says if absent.
	Report *reportDocument `yaml:"report"`
	// Why the builds of this rule wait, and are not called. They are not paused if absent.
	Paused yamldoc.Text `yaml:"paused,constant" form:"reason"`
}

func (*ruleDocument) Misnamed(field string) string {
	switch field {
	case "on", "true", "events":
		return "when"
	case "branches", "unknown_paths", "skip_marks":
		return "it belongs under when.push"
	case "paths", "paths_ignore":
		return "it belongs under when.push, or under one of jobs"
	case "tags", "semver", "prefix":
		return "it belongs under when.tag"
	case "job_id", "parameters", "target", "build_type", "marker", "scm",
		"pipeline_id", "project_id", "variables", "choose_stages", "sources", "pin_commit":
		return "it belongs under jobs"
	case "pipelines", "pipeline":
		return "a pipeline stands under jobs, with pipeline_id in place of job_id"
	case "replace", "max_running", "settle":
		return "it belongs under concurrency"
	case "context":
		return "it belongs under report"
	case "enabled", "disabled", "pause":
		return "paused"
	default:
		return ""
	}
}

type forEachDocument struct {
	yamldoc.Object

	// Full names of repositories, each with its values: ${each.name}. each.repository is the full name.
	Repository yamldoc.Map[yamldoc.Map[yamldoc.Text]] `yaml:"repository,required,strict" keys:"any" values:"variable_name" example:"a/b: {}"`
}

func (*forEachDocument) Shape() (form, why string) {
	return "{repository: {acme/cart: {}}}", "it names repositories, each with its values"
}

type concurrencyDocument struct {
	yamldoc.Object

	// newest: the same as {replace: waiting}. none: nothing, whatever the defaults say.
	Word yamldoc.Text `yaml:",scalar" enum:"newest|none"`
	// What a newer push replaces: builds that wait, or also those that run, which are stopped.
	Replace yamldoc.Text `yaml:"replace" enum:"waiting|running"`
	// The most that run at once; the others wait. No limit if absent.
	MaxRunning yamldoc.Integer `yaml:"max_running" min:"1" max:"1000000"`
	// How long a push waits for a newer one. 1s to 10m.
	Settle yamldoc.Duration `yaml:"settle" min:"1s" max:"10m"`
}

type reportDocument struct {
	yamldoc.Object

	// Whether statuses are set.
	On yamldoc.Boolean `yaml:",scalar"`
	// Name of the statuses; buildbridge/<rule> if absent.
	Context yamldoc.Text `yaml:"context,required,constant" form:"context"`
}

type whenDocument struct {
	yamldoc.Object

	// Pushes to branches; every push if empty.
	Push *pushDocument `yaml:"push,null"`
	// Tags; every tag if empty.
	Tag *tagDocument `yaml:"tag,null"`
}

type pushDocument struct {
	yamldoc.Object

	// Glob, or ordered list of globs, of short branch names; a leading ! excludes.
	Branches yamldoc.Texts `yaml:"branches,constant" form:"any"`
	// Glob, or ordered list of globs: one changed file must match.
	Paths yamldoc.Texts `yaml:"paths,constant" form:"any"`
	// Glob, or ordered list of globs: changed files that do not count.
	PathsIgnore yamldoc.Texts `yaml:"paths_ignore,constant" form:"any"`
	// What to do when the host did not send a complete list of changed files.
	UnknownPaths yamldoc.Text `yaml:"unknown_paths" enum:"build|skip" default:"\"build\""`
	// Whether pushes are skipped whose head commit says so: [skip ci] in its title, and the like.
	SkipMarks yamldoc.Boolean `yaml:"skip_marks" default:"false"`
}

type tagDocument struct {
	yamldoc.Object

	// Glob, or ordered list of globs, of short tag names; a leading ! excludes.
	Tags yamldoc.Texts `yaml:"tags,constant" form:"any"`
	// Constraint on the version that the tag names, without a leading v: >=2.0.0.
	Semver yamldoc.Text `yaml:"semver,constant" form:"short"`
	// Text that is taken off the tag before semver looks at it; a leading v if absent.
	Prefix yamldoc.Text `yaml:"prefix,constant" form:"short"`
}

type jobDocument struct {
	yamldoc.Object

	// A job of CodeArts Build: 32 characters of a-z and 0-9, behind /detail/history/ in its address in the console.
	// Exactly one of job_id and pipeline_id.
	JobID yamldoc.Text `yaml:"job_id,constant" form:"job"`
	// A pipeline of CodeArts Pipeline: 32 hexadecimal digits, behind /pipeline/detail/ in its address in the console.
	PipelineID yamldoc.Text `yaml:"pipeline_id,constant" form:"pipeline"`
	// The CodeArts project of the pipeline: 32 hexadecimal digits, behind /project/ in the same address. Not the IAM project.
	ProjectID yamldoc.Text `yaml:"project_id,constant" form:"project"`
	// Names the job in statuses; unique in the rule.
	Name yamldoc.Text `yaml:"name,constant" form:"title"`
	// A name under targets; optional where there is exactly one.
	Target yamldoc.Text `yaml:"target,constant" form:"any"`
	// Glob, or ordered list of globs: for pushes, one changed file must match, for this job.
	Paths yamldoc.Texts `yaml:"paths,constant" form:"any"`
	// Glob, or ordered list of globs: changed files that do not count, for this job.
	PathsIgnore yamldoc.Texts `yaml:"paths_ignore,constant" form:"any"`
	// CEL condition on the whole event, for this job.
	If yamldoc.Text `yaml:"if" form:"any"`
	// Build parameters: text with ${…}, which is CEL. Nothing leaves out a default.
	Parameters yamldoc.Map[yamldoc.Text] `yaml:"parameters,strict,null" keys:"parameter"`
	// auto: sends scm.build_type.
	BuildType yamldoc.Text `yaml:"build_type" enum:"auto"`
	// For a job with several code sources: of which the commit or tag is.
	SCM *scmDocument `yaml:"scm"`
	// Of a pipeline: variables that it declares, as parameters are.
	Variables yamldoc.Map[yamldoc.Text] `yaml:"variables,strict,null" keys:"pipeline_variable"`
	// Of a pipeline: identifiers, not names, of the stages to run. All if absent.
	ChooseStages yamldoc.Texts `yaml:"choose_stages,constant" form:"identifier"`
	// Of a pipeline: what is built of each code source; [] for what the pipeline is set to. One that gets the
	// branch or tag of the event if absent.
	Sources []codeSourceDocument `yaml:"sources"`
	// Of a pipeline: builds the commit of the push, if the service goes by it, and not the head of its branch.
	PinCommit yamldoc.Boolean `yaml:"pin_commit" default:"false"`
	// A declared parameter or variable that gets the build's id. The runs of a pipeline have it in their description too.
	Marker yamldoc.Text `yaml:"marker,constant" form:"parameter"`
}

func (*jobDocument) Misnamed(field string) string {
	switch field {
	case "git_type", "git_url", "codehub_id", "endpoint_id", "alias", "default_branch", "tag":
		return "it belongs under sources"
	case "branch", "repo_id", "url":
		return "of a job, it belongs under scm; of a pipeline, under sources"
	case "choose_jobs", "stages":
		return "choose_stages"
	case "commit", "commit_id":
		return "the commit of the push is sent to jobs; for pipelines, see pin_commit"
	default:
		return ""
	}
}

type scmDocument struct {
	yamldoc.Object

	// auto: sends the branch of a push.
	Branch yamldoc.Text `yaml:"branch" enum:"auto"`
	// The id of the repository at the code host of CodeArts.
	RepoID yamldoc.Text `yaml:"repo_id,constant" form:"identifier"`
	// The repository's address for clones, as the job has it.
	URL yamldoc.Text `yaml:"url,constant" form:"root"`
}

type codeSourceDocument struct {
	yamldoc.Object

	// Its code host: codehub, gitee, github, gitcode or gitlab.
	GitType yamldoc.Text `yaml:"git_type,constant" form:"identifier"`
	// The repository's address for clones by HTTPS.
	GitURL yamldoc.Text `yaml:"git_url,constant" form:"root"`
	// The id of a repository of CodeArts Repo.
	CodehubID yamldoc.Text `yaml:"codehub_id,constant" form:"identifier"`
	// The id of the service endpoint, for another code host.
	EndpointID yamldoc.Text `yaml:"endpoint_id,constant" form:"identifier"`
	// Its name in the pipeline, where there are several.
	Alias yamldoc.Text `yaml:"alias,constant" form:"title"`
	// The repository's default branch.
	DefaultBranch yamldoc.Text `yaml:"default_branch,constant" form:"short"`
	// The branch to build. That of the event, or its tag, if branch and tag are absent.
	Branch yamldoc.Text `yaml:"branch,constant" form:"short"`
	// The tag to build.
	Tag yamldoc.Text `yaml:"tag,constant" form:"short"`
}

func (*codeSourceDocument) Misnamed(field string) string {
	switch field {
	case "pin_commit", "commit", "commit_id":
		return "pin_commit belongs beside sources"
	case "url", "repo_id":
		return "git_url or codehub_id"
	default:
		return ""
	}
}

const (
	maxRuleName = 128 // characters

	printablePattern = `[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?`
	printableIs      = "printable text without a space at either end"

	addressPattern = `https?://[^/?#@\s]+/?`
	addressIs      = "an http or https address of scheme, host and port alone"
)

// forms are what texts of a document have to look like.
var forms = map[string]yamldoc.Form{
	"any":      {Min: 1},
	"short":    {Min: 1, Max: 256},
	"zone":     {Min: 1, Max: 64},
	"endpoint": {Pattern: addressPattern, Is: addressIs, Max: 300},
	"address":  {Pattern: addressPattern, Is: addressIs, Max: 2048},
	"name": {
		Pattern: `[A-Za-z0-9][A-Za-z0-9._-]*`, Max: 64,
		Is: "a name: letters, digits, '.', '_' and '-', the first a letter or a digit",
	},
	"root": {
		Pattern: `https?://[^/?#@\s]+(/[^?#@\s]*)?`, Max: 2048,
		Is: "an http or https address of scheme, host, port and path alone",
	},
	"console": {
		Pattern: `https?://[^/?#@\s]+([/?#]\S*)?`, Max: 2048,
		Is: "an http or https address",
	},
	"rule":        {Pattern: printablePattern, Is: printableIs, Min: 1, Max: maxRuleName},
	"title":       {Pattern: printablePattern, Is: printableIs, Min: 1, Max: 64},
	"description": {Pattern: printablePattern, Is: printableIs, Min: 1, Max: 300},
	"variable_name": {
		Pattern: `[A-Za-z_][A-Za-z0-9_]*`, Max: 64,
		Is: "a name: letters, digits and '_', the first not a digit",
		Not: []yamldoc.Not{{
			Why:   "a word of CEL: no expression can name it, choose another name",
			Texts: []string{"in", "true", "false", "null"},
		}},
	},
	"reason": {
		Pattern: printablePattern, Is: printableIs, Min: 1, Max: 200,
		Not: []yamldoc.Not{{
			Why:   `write why its builds wait, such as paused: "until the freeze ends"; remove the field to let them go on`,
			Texts: []string{"true", "false"},
		}},
	},
	"context": { // Azure DevOps splits it at the first '/', and takes no empty part
		Pattern: `[^/\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^/\s\x00-\x1f\x7f-\x9f])?`, Min: 1, Max: maxContext,
		Is: "printable text without a space or a '/' at either end",
	},
	"header": {
		Pattern: `[A-Za-z0-9-]+`, Min: 1, Max: 64,
		Is: "a header name: letters, digits and '-'",
	},
	"network": {
		Pattern: `[0-9A-Fa-f:.]+(/[0-9]{1,3})?`,
		Is:      "an IP address or a CIDR such as 203.0.113.0/24",
	},
	"variable": {
		Pattern: `[A-Za-z_][A-Za-z0-9_]*`, Min: 1, Max: 256, Secret: true,
		Is: "the name of an environment variable: letters, digits and '_'",
	},
	"path": {
		Pattern: `[^\x00]*`, Min: 1, Max: 4096,
		Is: "a path",
	},
	"user": {
		Pattern: `[^:]*`, Min: 1, Max: 256,
		Is: "a user name without ':'",
	},
	"region": {
		Pattern: `[a-z0-9-]+`, Min: 1, Max: 64,
		Is: "a region id such as cn-north-4",
	},
	"job": {
		Pattern: `[0-9a-z]{32}`, Instead: pastedAddress,
		Is: "a job id: 32 characters of a-z and 0-9, behind /detail/history/ in the job's URL in the console",
	},
	"pipeline": {
		Pattern: hexadecimalID, Instead: noPipelineID,
		Is: "a pipeline id: 32 hexadecimal digits, behind /pipeline/detail/ in the pipeline's URL in the console",
	},
	"project": {
		Pattern: hexadecimalID, Instead: pastedAddress,
		Is: "the id of a CodeArts project: 32 hexadecimal digits, behind /project/ in the pipeline's URL in the console",
	},
	"identifier": {
		Pattern: `[A-Za-z0-9_-]+`, Max: 128,
		Is: "an id: letters, digits, '_' and '-'",
	},
	"error_code": {
		Pattern: `[A-Za-z0-9._-]+`, Max: 64,
		Is: "an error code such as DEVPIPE.00011104",
	},
	"parameter": {
		Pattern: `[A-Za-z0-9_]+`, Max: 128,
		Is: "a parameter name: letters, digits and '_'",
		// As the page "Execute the build job" of CodeArts Build lists them.
		Not: []yamldoc.Not{
			{
				Why:   "CodeArts Build forbids a parameter of this name",
				Texts: []string{"LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "path", "BASH_ENV", "GIT_SSH_COMMAND"},
			},
			{
				Why: "CodeArts Build sets this parameter itself: choose another name",
				Texts: []string{
					"BUILDNUMBER", "TIMESTAMP", "INCREASENUM", "PROJECT_ID", "WORKSPACE", "GIT_TAG", "COMMIT_ID", "COMMIT_ID_SHORTER",
				},
			},
		},
	},
	"pipeline_variable": {
		Pattern: `[A-Za-z0-9_]+`, Max: 128,
		Is: "the name of a variable: letters, digits and '_'",
		// See scope.checkVariable for those that only begin or end so.
		Not: []yamldoc.Not{{
			Why: reservedByPipeline,
			Texts: []string{
				"PROJECT_ID", "COMPONENT_ID", "PIPELINE_ID", "PIPELINE_NUMBER", "COMMIT_ID", "COMMIT_ID_SHORT", "TIMESTAMP",
				"PIPELINE_TRIGGER_TYPE", "PIPELINE_NAME", "REPO_URL", "EXECUTE_USER", "PASS_CONDITIONS_LINK", "PIPELINE_RUN_ID", "MERGE_ID",
				"WEBHOOK_PAYLOAD",
			},
		}},
	},
}
