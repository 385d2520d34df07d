package rulestest

import (
	"regexp"

	"buildbridge/mapping/internal/yamldoc"
)

// A document is a file of tests as it is written: every value with its position. Package
// yamldoc decodes by the tags, and rules.test.schema.json is made from the tags and from the
// comments.
type document struct {
	yamldoc.Object

	// Each says what one push, tag or delivery builds.
	Tests []caseDocument `yaml:"tests,required" min:"1"`
}

func (*document) Misnamed(field string) string {
	switch field {
	case "version", "vars", "defaults", "sources", "targets", "rules":
		return "a file whose name ends in .test.yaml has tests, and no rules are read from it: give the rules another name"
	default:
		return ""
	}
}

type caseDocument struct {
	yamldoc.Object

	// Unique in the file: what is tested.
	Name yamldoc.Text `yaml:"name,required,label" form:"title"`
	// A push or a tag that is made by hand.
	Event *eventDocument `yaml:"event"`
	// A delivery of a code host that was saved.
	Delivery *deliveryDocument `yaml:"delivery"`
	// All builds, in any order; [] if nothing is built.
	Builds []buildDocument `yaml:"builds"`
	// Nothing is built, for this reason: in place of builds.
	Ignored yamldoc.Text `yaml:"ignored" enum:"no_rule|no_match|ping|event|deleted"`
	// Rules that do not match, by name, with a text that is part of the reason.
	Why yamldoc.Map[yamldoc.Text] `yaml:"why" keys:"any"`
}

func (*caseDocument) Misnamed(field string) string {
	switch field {
	case "source", "repository", "branch", "tag", "commit", "files", "message":
		return "it belongs under event"
	case "file", "headers":
		return "it belongs under delivery"
	case "rule", "job", "parameters", "variables", "pin_commit":
		return "it belongs under builds"
	case "expect", "want":
		return "builds"
	default:
		return ""
	}
}

type eventDocument struct {
	yamldoc.Object

	// A name under sources of the rules; may be left out where there is exactly one.
	Source yamldoc.Text `yaml:"source" form:"any"`
	// The full name, owner/name.
	Repository yamldoc.Text `yaml:"repository,required" form:"repository"`
	// A push to this branch: its short name. Exactly one of branch and tag.
	Branch yamldoc.Text `yaml:"branch" form:"ref"`
	// This tag: its short name.
	Tag yamldoc.Text `yaml:"tag" form:"ref"`
	// The id of the commit; made up if absent. "" is a tag of which the host does not tell the commit.
	Commit yamldoc.Text `yaml:"commit" form:"commit"`
	// The commit of the ref before; made up if absent, and zeros if the ref is new.
	Before yamldoc.Text `yaml:"before" form:"commit"`
	// The ref is new.
	Created yamldoc.Boolean `yaml:"created" default:"false"`
	// The history of the ref was rewritten.
	Forced yamldoc.Boolean `yaml:"forced" default:"false"`
	// The whole message of the head commit.
	Message yamldoc.Text `yaml:"message"`
	// The name of the head commit's author.
	Author yamldoc.Text `yaml:"author"`
	// The login of the user who pushed.
	Pusher yamldoc.Text `yaml:"pusher"`
	// The web address of the repository.
	URL yamldoc.Text `yaml:"url"`
	// The changed files. They are not known if absent.
	Files yamldoc.Texts `yaml:"files,empty" form:"any"`
	// Whether the host sent all changed files. If absent: files are given, and the ref is neither created nor forced.
	FilesComplete yamldoc.Boolean `yaml:"files_complete"`
	// The default branch of the repository.
	DefaultBranch yamldoc.Text `yaml:"default_branch"`
	// The commits that the push brought, the newest last.
	Commits []commitDocument `yaml:"commits"`
	// How the program learned of the event.
	Origin yamldoc.Text `yaml:"origin" enum:"webhook|manual|catch_up" default:"\"webhook\""`
}

func (*eventDocument) Misnamed(field string) string {
	switch field {
	case "ref", "kind":
		return "write branch or tag, with the short name"
	case "title":
		return "it is the first line of message"
	case "provider":
		return "it is that of the source"
	case "owner", "name":
		return "it is a part of repository"
	default:
		return ""
	}
}

type commitDocument struct {
	yamldoc.Object

	// Its id.
	ID yamldoc.Text `yaml:"id" form:"commit"`
	// The first line of its message.
	Title yamldoc.Text `yaml:"title"`
	// The name of its author.
	Author yamldoc.Text `yaml:"author"`
}

type deliveryDocument struct {
	yamldoc.Object

	// A name under sources of the rules; may be left out where there is exactly one.
	Source yamldoc.Text `yaml:"source" form:"any"`
	// The file with the body: its path from the folder of the file of tests.
	File yamldoc.Text `yaml:"file,required" form:"path"`
	// Headers that came with the body; what they name is guessed from the body if absent.
	Headers yamldoc.Map[yamldoc.Text] `yaml:"headers" keys:"header"`
}

type buildDocument struct {
	yamldoc.Object

	// The name of the rule.
	Rule yamldoc.Text `yaml:"rule,required" form:"any"`
	// The name of the job or pipeline in its rule, or its id.
	Job yamldoc.Text `yaml:"job" form:"any"`
	// The name of the target.
	Target yamldoc.Text `yaml:"target" form:"any"`
	// Parameters by name, with the value that is sent; others are not looked at. null: it is not sent.
	Parameters yamldoc.Map[yamldoc.Text] `yaml:"parameters,strict,null" keys:"parameter"`
	// Variables of a pipeline, compared as parameters are.
	Variables yamldoc.Map[yamldoc.Text] `yaml:"variables,strict,null" keys:"parameter"`
	// A branch that a code source of the pipeline is built of.
	Branch yamldoc.Text `yaml:"branch" form:"ref"`
	// Whether the commit of the push is sent to the pipeline.
	PinCommit yamldoc.Boolean `yaml:"pin_commit"`
	// The commit of the push. A job builds it; a pipeline builds the head of its branch.
	Commit yamldoc.Text `yaml:"commit" form:"commit"`
	// The tag that is built.
	Tag yamldoc.Text `yaml:"tag"`
	// The name of its status on the commit; "" for none.
	Context yamldoc.Text `yaml:"context"`
	// The build is dead on arrival: a text that is part of the reason. A build without it has to be alive.
	Dead yamldoc.Text `yaml:"dead" form:"any"`
}

func (*buildDocument) Shape() (form, why string) {
	return "{rule: cart, parameters: {…}}, [] if nothing is built", "a build is a map of what is compared"
}

func (*buildDocument) Misnamed(field string) string {
	switch field {
	case "job_id", "pipeline", "pipeline_id":
		return "job"
	default:
		return ""
	}
}

// forms are what texts of a document have to look like.
var forms = map[string]yamldoc.Form{
	"any":        {Min: 1},
	"title":      {Pattern: `[^\x00-\x1f\x7f-\x9f]+`, Is: "printable text of one line", Max: 200},
	"repository": {Pattern: repositoryPart + `(/` + repositoryPart + `)+`, Is: "the full name of a repository: owner/name", Max: 512},
	"ref":        {Pattern: `[^\s\x00-\x1f\x7f~^:?*\[\\]+`, Is: "the short name of a branch or tag", Max: 1000},
	"commit":     {Max: 64}, // "" too, which forms with a pattern do not take
	"path":       {Pattern: `[^\x00]*`, Is: "a path", Min: 1, Max: 4096},
	"header":     {Pattern: `[A-Za-z0-9-]+`, Is: "a header name: letters, digits and '-'", Max: 64},
	"parameter":  {Pattern: `[A-Za-z0-9_]+`, Is: "a parameter name: letters, digits and '_'", Max: 128},
}

// repositoryPart is an owner or a name. Projects of Azure DevOps have spaces inside.
const repositoryPart = `[^\s/:]+( +[^\s/:]+)*`

var wholeRepository = regexp.MustCompile("^" + forms["repository"].Pattern + "$")

// IsRepository says whether a text is the full name of a repository, as an event of a test may have it.
func IsRepository(name string) bool { return wholeRepository.MatchString(name) }
