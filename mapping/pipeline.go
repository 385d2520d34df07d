package mapping

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// Limits of a pipeline's variables, as the page "Pipeline parameters" of CodeArts Pipeline has
// them; maxPortableVariable is that of its Terraform provider.
const (
	maxVariables        = 100
	maxPortableVariable = 32 // characters of a name
)

const reservedByPipeline = "CodeArts Pipeline sets this variable itself: choose another name"

// given says whether a field is written, even if it is at fault.
func given(t yamldoc.Text) bool { return t.At.Known() || t.Bad }

// action is what the entry does: the fields say so where both ids are missing.
func (j *jobDocument) action() Action {
	if given(j.JobID) || !given(j.PipelineID) && !given(j.ProjectID) && j.Variables.Entries == nil && j.Sources == nil {
		return ActionJob
	}
	return ActionPipeline
}

// id is that of the job, or of the pipeline.
func (j *jobDocument) id() yamldoc.Text {
	if j.action() == ActionPipeline {
		return j.PipelineID
	}
	return j.JobID
}

// values are the parameters of the job, or the variables of the pipeline.
func (j *jobDocument) values() *yamldoc.Map[yamldoc.Text] {
	if j.action() == ActionPipeline {
		return &j.Variables
	}
	return &j.Parameters
}

// checkAction checks that job i of a rule is a job or a pipeline, and has no fields of the other.
func (s scope) checkAction(doc *jobDocument, i int) {
	field := func(name string) string { return fmt.Sprintf("jobs[%d].%s", i, name) }
	values := func(m yamldoc.Map[yamldoc.Text]) yamldoc.Position {
		switch {
		case m.Entries == nil:
			return yamldoc.Position{}
		case len(m.Entries) == 0:
			return doc.At
		}
		return m.Entries[0].Key.At
	}
	var scm, sources, stages yamldoc.Position
	if doc.SCM != nil {
		scm = doc.SCM.At
	}
	if doc.Sources != nil {
		sources = doc.At
	}
	if len(doc.Sources) > 0 {
		sources = doc.Sources[0].At
	}
	if len(doc.ChooseStages) > 0 {
		stages = doc.ChooseStages[0].At
	}
	type foreign struct {
		name string
		at   yamldoc.Position
		why  string
	}
	action := doc.action()
	switch {
	case given(doc.JobID) && given(doc.PipelineID):
		s.fault(doc.PipelineID.At, field("pipeline_id"),
			"both job_id and pipeline_id are given: an entry is a job or a pipeline, remove one of the two")
		return
	case given(doc.id()) || doc.MayHave("job_id", "pipeline_id"):
	case action == ActionJob:
		s.fault(doc.At, field("job_id"), "required, or pipeline_id and project_id for a pipeline: neither is given")
	default:
		s.fault(doc.At, field("pipeline_id"), "required beside what belongs to a pipeline: neither job_id nor pipeline_id is given")
	}
	others := []foreign{
		{"parameters", values(doc.Parameters), ": what a pipeline gets are variables"},
		{"build_type", doc.BuildType.At, ""},
		{"scm", scm, ": a pipeline has sources"},
	}
	if action == ActionJob {
		others = []foreign{
			{"project_id", doc.ProjectID.At, ": if job_id has the id of a pipeline, write it as pipeline_id"},
			{"variables", values(doc.Variables), ": what a job gets are parameters"},
			{"choose_stages", stages, ""},
			{"sources", sources, ": a job has scm"},
			{"pin_commit", doc.PinCommit.At, ": a job always builds the commit of the push"},
		}
	} else if !given(doc.ProjectID) && !doc.MayHave("project_id") {
		s.fault(doc.At, field("project_id"), "required beside pipeline_id: %s", forms["project"].Is)
	}
	own := map[Action]Action{ActionJob: ActionPipeline, ActionPipeline: ActionJob}[action].idField()
	for _, f := range others {
		if f.at.Known() {
			s.fault(f.at, field(f.name), "goes with %s, not with %s%s", own, action.idField(), f.why)
		}
	}
}

// pipeline compiles what only pipelines have into job i of a rule.
func (s scope) pipeline(doc *jobDocument, i int, when *clauses, j *job) {
	field := func(format string, args ...any) string {
		return fmt.Sprintf("jobs[%d].", i) + fmt.Sprintf(format, args...)
	}
	j.project, j.pin = doc.ProjectID.Value, doc.PinCommit.Value
	for _, t := range doc.ChooseStages {
		j.stages = append(j.stages, t.Value)
	}
	if doc.Sources == nil && !doc.Misread("sources") {
		j.sources = []CodeSource{{}}
	}
	pinned := len(j.sources)
	var aliases []string
	for k := range doc.Sources {
		of := &doc.Sources[k]
		j.sources = append(j.sources, CodeSource{
			GitType: of.GitType.Value, GitURL: of.GitURL.Value, CodehubID: of.CodehubID.Value, EndpointID: of.EndpointID.Value,
			Alias: of.Alias.Value, DefaultBranch: of.DefaultBranch.Value, Branch: of.Branch.Value, Tag: of.Tag.Value,
		})
		if slices.Contains(aliases, of.Alias.Value) {
			s.fault(of.Alias.At, field("sources[%d].alias", k),
				"%q is the alias of another source too: a pipeline has each once", clip(of.Alias.Value))
		} else if of.Alias.Value != "" {
			aliases = append(aliases, of.Alias.Value)
		}
		s.checkCodeSource(of, field("sources[%d].", k))
		if !given(of.Branch) && !given(of.Tag) {
			pinned++
		}
	}
	if at := doc.PinCommit.At; j.pin {
		switch {
		case when.push == nil && when.tag != nil:
			s.warn(at, field("pin_commit"), "without effect: this rule is for tags only")
		case pinned == 0:
			s.warn(at, field("pin_commit"), "without effect: no source gets the branch of the push")
		case pinned > 1:
			s.warn(at, field("pin_commit"),
				"%d sources get the commit of the push, and it is in one repository: write branch for the others", pinned)
		}
	}
	if doc.Marker.Value != "" && slices.Contains(forms["pipeline_variable"].Not[0].Texts, doc.Marker.Value) {
		s.fault(doc.Marker.At, field("marker"), "%s", reservedByPipeline)
	} else if doc.Marker.Value != "" {
		s.checkVariable(doc.Marker, field("marker"), aliases)
	}
	for k := range doc.Variables.Entries {
		name := doc.Variables.Entries[k].Key
		s.checkVariable(name, field("variables.%s", name.Value), aliases)
	}
	sent, with := len(doc.Variables.Entries), ""
	if doc.Marker.Value != "" {
		sent, with = sent+1, " with the marker"
	}
	if sent > maxVariables {
		at := doc.Variables.Entries[min(maxVariables, len(doc.Variables.Entries)-1)].Key.At
		s.fault(at, field("variables"), "a pipeline has at most %d variables, these are %d%s", maxVariables, sent, with)
	}
}

// checkVariable checks the name of a variable as far as its form does not. aliases are those of
// the code sources of the pipeline.
func (s scope) checkVariable(name yamldoc.Text, field string, aliases []string) {
	if n := len(name.Value); n > maxPortableVariable && !name.Bad {
		s.warn(name.At, field, "a name of %d characters: some of Huawei's tools take at most %d", n, maxPortableVariable)
	}
	if strings.HasPrefix(name.Value, "EXECUTE_USER") && name.Value != "EXECUTE_USER" {
		s.fault(name.At, field, "%s", reservedByPipeline)
	}
	for _, alias := range aliases {
		suffix, ok := strings.CutPrefix(name.Value, alias+"_")
		if ok && slices.Contains([]string{
			"REPOSITORY_NAME", "SOURCE_BRANCH", "TARGET_BRANCH", "TAG", "COMMIT_ID", "COMMIT_ID_SHORT", "REPO_URL",
		}, suffix) {
			s.fault(name.At, field, "CodeArts Pipeline sets this variable itself, for the source %q: choose another name", clip(alias))
		}
	}
}

// checkCodeSource checks one entry of sources.
func (s scope) checkCodeSource(of *codeSourceDocument, field string) {
	known := []string{"codehub", "gitee", "github", "gitcode", "gitlab"}
	if t := of.GitType; t.Value != "" && !t.Bad && !slices.Contains(known, t.Value) {
		s.warn(t.At, field+"git_type", "%q is not on the list of known types%s", clip(t.Value), Suggest(t.Value, known))
	}
	switch kind, address := given(of.GitType), given(of.GitURL) || of.MayHave("git_url"); {
	case kind && !address:
		s.warn(of.GitType.At, field+"git_type", "Huawei's reference wants git_url beside it: the service may refuse the run")
	case given(of.GitURL) && !kind && !of.MayHave("git_type"):
		s.warn(of.GitURL.At, field+"git_url", "Huawei's reference wants git_type beside it: the service may refuse the run")
	}
	if given(of.Branch) && given(of.Tag) {
		s.fault(of.Tag.At, field+"tag", "both branch and tag are given: remove one of the two")
	}
	for name, t := range map[string]yamldoc.Text{"branch": of.Branch, "tag": of.Tag, "default_branch": of.DefaultBranch} {
		why := shortName(strings.TrimPrefix(name, "default_"))(t.Value)
		switch {
		case t.Value == "" || t.Bad:
		case why != "":
			s.fault(t.At, field+name, "%q is none: %s", clip(t.Value), why)
		case literalPrefix(t.Value) != t.Value:
			s.fault(t.At, field+name, "this is a glob: write one name")
		}
	}
}

// codeSources are what is built of each code source for an event.
func (j *job) codeSources(ev *Event) []CodeSource {
	if len(j.sources) == 0 {
		return nil
	}
	out := slices.Clone(j.sources)
	for i := range out {
		s := &out[i]
		switch {
		case s.Branch != "" || s.Tag != "":
		case ev.Kind == Tag:
			s.Tag = ev.Tag
		default:
			if s.Branch = ev.Branch; j.pin {
				s.Commit = ev.Commit
			}
		}
	}
	return out
}

// checkIDs checks that no id is one of a job at one place, and one of a pipeline or project at another,
// and that a pipeline has one project.
func (l *loader) checkIDs() {
	type use struct{ field, place string }
	first := map[string]use{}
	projects := map[string]yamldoc.Text{} // of pipelines
	for pass, action := range []Action{ActionPipeline, ActionJob} {
		for _, r := range l.rules {
			for i := range r.jobs {
				doc := &r.jobs[i]
				if doc.action() != action {
					continue
				}
				if project := doc.ProjectID; action == ActionPipeline && doc.PipelineID.Value != "" && project.Value != "" && !project.Bad {
					if before, known := projects[doc.PipelineID.Value]; !known {
						projects[doc.PipelineID.Value] = project
					} else if before.Value != project.Value {
						r.fault(project.At, fmt.Sprintf("jobs[%d].project_id", i),
							"the pipeline is in the project %s elsewhere, and a pipeline is in one project: one of the two is wrong", before.Value)
					}
				}
				for _, id := range []struct {
					field string
					yamldoc.Text
				}{{action.idField(), doc.id()}, {"project_id", doc.ProjectID}} {
					before, known := first[id.Value]
					switch {
					case id.Value == "" || id.Bad || id.field == "project_id" && action == ActionJob:
					case known && before.field != id.field:
						r.fault(id.At, fmt.Sprintf("jobs[%d].%s", i, id.field),
							"the same id is the %s at %s: one of the two is another's", before.field, before.place)
					case !known && pass == 0:
						first[id.Value] = use{id.field, r.file.Name + ":" + id.At.String()}
					}
				}
			}
		}
		if len(first) == 0 {
			return // no pipeline
		}
	}
}

// checkPipelineAddress checks that the target of job i, if it is a pipeline, has an address of pipelines.
func (r *draft) checkPipelineAddress(i int, target *Target) {
	doc := &r.jobs[i]
	if r.rule.jobs[i].action != ActionPipeline || target == nil || target.PipelineEndpoint != "" ||
		target.Region == "" && target.Endpoint == "" {
		return
	}
	if _, known := PipelineRegions()[target.Region]; known {
		return
	}
	at, why := doc.Target.At, "it has no region"
	if !at.Known() {
		at = doc.At
	}
	if target.Region != "" {
		why = fmt.Sprintf("the host of CodeArts Pipeline in its region %q is not known", target.Region)
	}
	r.fault(at, fmt.Sprintf("jobs[%d].target", i),
		"target %q has no address for pipelines, for %s: write pipeline_endpoint: https://… under targets.%s",
		target.Name, why, target.Name)
}

// Notes are what whoever reads the rules should know, and what is not wrong: each once.
func (rs *Ruleset) Notes() []string {
	for _, r := range rs.rules {
		for i := range r.jobs {
			j := &r.jobs[i]
			sent := slices.ContainsFunc(j.parameters, func(p parameter) bool {
				return p.value.has(func(e *expression) bool { return slices.Contains(e.fields, "commit") })
			})
			if j.action == ActionPipeline && r.push != nil && !j.pin && !sent {
				return []string{"a pipeline builds the head of the branch when it starts, not the commit of the push (rule " +
					strconv.Quote(r.name) + "): pass ${event.commit} as a variable that a step checks out, or try pin_commit"}
			}
		}
	}
	return nil
}
