package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// The reasons why a start by hand was refused, beside those of a delivery.
const (
	noRef     = "no_ref"     // the ref is not there, or its commit is not known
	wrongRule = "wrong_rule" // a rule that was named is not there, or does not match
)

const (
	// dryRun is the outcome of a start that only tries.
	dryRun = "dry_run"
	// startWindow is how long a second start with the same key counts as the same start.
	startWindow = 24 * time.Hour
	// headTimeout bounds how long a code host may take to say where a ref is.
	headTimeout = 30 * time.Second
)

// Start is a start by hand: a push or a tag that no code host told of.
type Start struct {
	Source     string
	Repository string // acme/shop
	Seen       bool   // it is written as the host does; else a rule that names it may know better
	Ref        string // in full: refs/heads/main, refs/tags/v1
	// Commit is what to build of a branch, and what a tag is on: an object id of 40 or 64
	// hexadecimal digits. "" means that the code host is asked. A tag needs none.
	Commit string
	Rules  []string // those that may build; none stands for all
	Key    string   // starts of the same with the same key are one, for a day; "" for one of its own
	DryRun bool     // say what would be built, and build nothing
	By     mapping.By
}

// Started is the answer to a start by hand. Outcome is accepted, duplicate, dry_run or, if
// there is nothing to build, ignored. Rules is what each rule said that names the
// repository, and of those that were asked for.
type Started struct {
	Answer

	Repository string    `json:"repository,omitempty"`
	Ref        string    `json:"ref,omitempty"`
	Commit     string    `json:"commit,omitempty"`
	Planned    []Planned `json:"planned,omitempty"` // dry_run
}

// Planned is a build that would be started.
type Planned struct {
	Rule       string              `json:"rule"`
	Target     string              `json:"target"`
	Action     mapping.Action      `json:"action,omitzero"`
	JobID      string              `json:"job_id"`               // of the job, or of the pipeline
	ProjectID  string              `json:"project_id,omitempty"` // of a pipeline
	Tag        string              `json:"tag,omitempty"`
	Commit     string              `json:"commit,omitempty"`
	Parameters []mapping.Parameter `json:"parameters,omitempty"` // of a pipeline its variables
	Context    string              `json:"context,omitempty"`    // of its status on the commit
	Dead       string              `json:"dead,omitempty"`       // why it would be dead on arrival
}

func planned(builds []mapping.Build) []Planned {
	list := make([]Planned, len(builds))
	for i, b := range builds {
		list[i] = Planned{
			Rule: b.Rule, Target: b.Target, Action: b.Action, JobID: b.JobID, ProjectID: b.ProjectID, Tag: b.Tag, Commit: b.Commit,
			Parameters: b.Parameters, Context: b.Context, Dead: b.Dead,
		}
	}
	return list
}

// Start decides an event that a person made, by the rules of now, and has it kept with its
// builds as a delivery is. The event has the origin manual, and its files are not known.
// What is refused, or builds nothing, is logged and not kept. The metrics do not count it as
// a call of the webhook.
func (s *Server) Start(ctx context.Context, start Start) Started {
	began := time.Now()
	cl := &call{name: start.Source, only: start.Rules}
	cl.delivery.Origin, cl.delivery.By = mapping.OriginManual, start.By
	if s.tracer != nil {
		ctx, cl.span = s.tracer.Start(ctx, "start by hand", trace.WithTimestamp(began),
			trace.WithAttributes(attribute.String("source", cl.name)))
	}
	answer, err := s.start(ctx, cl, start)
	if err != nil {
		answer.Answer = answerTo(err)
	}
	s.log(ctx, cl, answer.Answer, time.Since(began), err)
	cl.endTrace(answer.Answer, err)
	return answer
}

func (s *Server) start(ctx context.Context, cl *call, start Start) (answer Started, err error) {
	st := s.state.Load()
	if err := start.check(st); err != nil {
		return answer, err
	}
	cl.source = st.Sources[start.Source]
	if !start.Seen {
		named := st.Rules.NamedRepositories(start.Source)
		if i := slices.IndexFunc(named, func(name string) bool { return strings.EqualFold(name, start.Repository) }); i >= 0 {
			start.Repository = named[i]
		}
	}
	event, err := s.event(ctx, cl.source, start)
	if err != nil {
		return answer, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return answer, fmt.Errorf("delivery id: %w", err)
	}
	body, err := json.Marshal(madeEvent{event, start.Rules})
	if err != nil {
		return answer, err
	}
	cl.delivery.Delivery = mapping.Delivery{
		ID: id.String(), Source: cl.source.Name, Provider: cl.source.Provider, Event: startEvent,
		DuplicateKey: "start:" + start.key(id.String()), DuplicateWindow: startWindow,
		Body: body, Events: []mapping.Event{event}, Origin: mapping.OriginManual, By: start.By,
		ReceivedAt: time.Now(), // the code host may have taken long, which leaves no less time to store it
	}
	cl.match(st.Rules)
	first := &cl.delivery.Events[0]
	answer.Repository, answer.Ref, answer.Commit = first.Repository, first.Ref, first.Commit
	verdicts, err := start.verdicts(st.Rules, first)
	if err != nil {
		return answer, err
	}
	switch {
	case len(cl.builds) == 0:
		answer.Answer = Answer{Status: http.StatusOK, Outcome: ignored, Reason: string(mapping.ReasonNoMatch)}
	case start.DryRun:
		answer.Answer = Answer{Status: http.StatusOK, Outcome: dryRun}
		answer.Planned = planned(cl.builds)
	default:
		if answer.Answer, err = s.accept(ctx, cl); err != nil {
			if r, ok := errors.AsType[*Refusal](err); ok && r.Reason == notStored {
				r.Detail = "not known to be stored: look at the newest builds before you send it again"
				if start.Key != "" {
					r.Detail = "not known to be stored; sent again with the same Idempotency-Key, it is not built twice"
				}
			}
			return answer, err
		}
	}
	answer.Rules = verdicts
	return answer, nil
}

// key is the same for starts of the same with the same key. own is for one without a key.
func (start *Start) key(own string) string {
	if start.Key == "" {
		return own
	}
	what := sha256.Sum256([]byte(strings.Join(append([]string{
		strings.ToLower(start.Repository), start.Ref, strings.ToLower(start.Commit),
	}, slices.Sorted(slices.Values(start.Rules))...), "\n")))
	return start.Key + ":" + hex.EncodeToString(what[:8])
}

// check says what is wrong with a start, whatever the code host says.
func (start *Start) check(st *state) error {
	if st.Sources[start.Source] == nil {
		var names []string
		for _, source := range st.Rules.Sources() {
			names = append(names, source.Name)
		}
		return refuse(http.StatusNotFound, noSource, fmt.Sprintf("the rules have no source %q%s", start.Source, oneOf(start.Source, names)), nil)
	}
	name, given := start.Ref, start.Repository
	kind := "tag"
	if branch, ok := strings.CutPrefix(name, "refs/heads/"); ok {
		kind, name = "branch", branch
	}
	name = strings.TrimPrefix(name, "refs/tags/")
	switch err := mapping.CheckRef(start.Ref); {
	case given == "" || len(given) > mapping.MaxRepository || strings.ContainsFunc(given, odd) || strings.Contains(given, "://") ||
		strings.Trim(given, "/") != given || strings.HasSuffix(given, ".git"):
		return refuse(http.StatusBadRequest, malformed, fmt.Sprintf("repository: %.200q is not the name of one, as its code host "+
			"writes it, such as acme/shop", given), nil)
	case name == "":
		return refuse(http.StatusBadRequest, malformed, kind+": empty", nil)
	case strings.HasPrefix(name, "refs/"):
		return refuse(http.StatusBadRequest, malformed, fmt.Sprintf("%s: give its short name, not %.200q", kind, name), nil)
	case err != nil:
		return refuse(http.StatusBadRequest, malformed, fmt.Sprintf("%s: %.200q %v", kind, name, err), nil)
	case start.Commit != "" && !codehost.IsObjectID(start.Commit):
		return refuse(http.StatusBadRequest, malformed, fmt.Sprintf("commit: %.80q is not a whole id of a commit, which has 40 or 64 "+
			"hexadecimal digits: git rev-parse %.80s prints it", start.Commit, printableWord(start.Commit)), nil)
	}
	known := st.Rules.RuleNames()
	for _, rule := range start.Rules {
		if !slices.Contains(known, rule) {
			return refuse(http.StatusNotFound, wrongRule, fmt.Sprintf("there is no rule %q%s", rule, oneOf(rule, known)), nil)
		}
	}
	if !st.Rules.NamesRepository("", start.Repository) {
		return refuse(http.StatusConflict, string(mapping.ReasonNoRule), fmt.Sprintf("no rule names the repository %q%s",
			start.Repository, mapping.Suggest(start.Repository, st.Rules.NamedRepositories(start.Source))), nil)
	}
	return nil
}

// odd is a character that no name of a repository has.
func odd(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }

// printableWord is a text as it may stand in a command that people copy.
func printableWord(text string) string {
	if strings.Trim(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_./") != "" {
		return "COMMIT"
	}
	return text
}

// oneOf says which name may have been meant, or which there are.
func oneOf(name string, names []string) string {
	const most = 10
	if hint := mapping.Suggest(name, names); hint != "" {
		return hint
	}
	switch n := len(names); {
	case n == 0:
		return ": they have none"
	case n > most:
		return fmt.Sprintf("; there are %s and %d more", strings.Join(names[:most], ", "), n-most)
	}
	return "; there are " + strings.Join(names, ", ")
}

// event makes the event of a start. It asks the code host for what is not known, if the
// source has an api: the commit of a ref, and so whether it is there.
func (s *Server) event(ctx context.Context, source *Source, start Start) (e mapping.Event, err error) {
	e = mapping.Event{
		Source: source.Name, Provider: source.Provider, Kind: mapping.Tag, Ref: start.Ref, Commit: strings.ToLower(start.Commit),
		Pusher: start.By.Actor, Files: []string{}, FilesUnknown: filesUnknown(mapping.OriginManual), Origin: mapping.OriginManual,
	}
	e.SetRepository(start.Repository)
	branch, isBranch := strings.CutPrefix(start.Ref, "refs/heads/")
	if isBranch {
		e.Kind, e.Branch = mapping.Push, branch
	} else {
		e.Tag = strings.TrimPrefix(start.Ref, "refs/tags/")
	}
	switch asks := source.API != nil && s.options.Head != nil; {
	case e.Commit != "":
	case asks:
		ctx, cancel := context.WithTimeout(ctx, headTimeout)
		defer cancel()
		if e.Commit, err = s.options.Head(ctx, source.Name, start.Repository, start.Ref); err != nil {
			return e, notFound(err)
		}
	case isBranch:
		return e, refuse(http.StatusBadRequest, noRef, fmt.Sprintf("the source %q has no api, so its code host cannot be asked for the newest "+
			"commit of %q: give the commit, or the source an api", source.Name, branch), nil)
	}
	return e, nil
}

// notFound is the refusal of a start whose commit the code host did not tell. The error is
// for those who use the admin API.
func notFound(err error) error {
	status := http.StatusBadGateway
	if errors.Is(err, mapping.ErrNoHead) {
		status = http.StatusNotFound
	}
	return refuse(status, noRef, err.Error(), err)
}

// verdicts is what the rules say of the event of a start. A rule that was asked for has to
// match.
func (start *Start) verdicts(rules *mapping.Ruleset, event *mapping.Event) ([]mapping.Verdict, error) {
	if len(start.Rules) == 0 {
		verdicts, _ := rules.ExplainRepository(event, rules.Len())
		return verdicts, nil
	}
	var verdicts []mapping.Verdict
	for _, v := range rules.Explain(event) {
		if !slices.Contains(start.Rules, v.Rule) {
			continue
		}
		if !v.Matched {
			return nil, refuse(http.StatusConflict, wrongRule, fmt.Sprintf("the rule %q does not match: %s", v.Rule, v.Reason), nil)
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}
