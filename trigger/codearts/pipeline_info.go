package codearts

import (
	"context"
	"net/http"
	"strings"

	"buildbridge/trigger/internal/quoted"
)

// PipelineInfo is how a pipeline is set up. Whatever the service does not say is zero.
type PipelineInfo struct {
	Name   string // one line of at most 255 characters
	Banned bool   // it cannot be started
	// Variables are those that it declares; nil if the service does not say.
	Variables []PipelineVariable
	Aliases   []string // of its code sources
	Sources   int      // how many code sources it has
	Ignores   bool     // a run over its limit, or refuses its call, rather than queue it
}

// PipelineVariable is one that a pipeline declares.
type PipelineVariable struct {
	Name    string
	Runtime bool // it can be set at run time
	Secret  bool
}

// PipelineInfo reads how a pipeline is set up. The fate of an error is not FateUnknown.
func (c *Client) PipelineInfo(ctx context.Context, p Pipeline) (PipelineInfo, error) {
	const op = "read pipeline"
	path, err := p.path(op)
	if err != nil {
		return PipelineInfo{}, err
	}
	r, err := c.askPipeline(ctx, op, http.MethodGet, path, nil, nil)
	if err != nil {
		return PipelineInfo{}, err
	}
	if text(r.object, "id", "name") == "" {
		return PipelineInfo{}, unreadable(op) // it is no proof that the pipeline can be read
	}
	return parsePipelineInfo(r.object), nil
}

func parsePipelineInfo(object map[string]any) PipelineInfo {
	info := PipelineInfo{Name: quoted.Line(text(object, "name"), 255)}
	info.Banned, _ = flag(object, "banned")
	if list, ok := object["variables"].([]any); ok {
		info.Variables = make([]PipelineVariable, 0, len(list))
	}
	for variable := range objectsIn(object, "variables") {
		v := PipelineVariable{Name: quoted.Line(text(variable, "name"), 128)}
		v.Runtime, _ = flag(variable, "is_runtime")
		v.Secret, _ = flag(variable, "is_secret")
		if v.Name != "" {
			info.Variables = append(info.Variables, v)
		}
	}
	if control, ok := object["concurrency_control"].(map[string]any); ok {
		limited, _ := flag(control, "enable")
		info.Ignores = limited && strings.EqualFold(text(control, "exceed_action"), "ABORT")
	}
	for source := range objectsIn(object, "sources") {
		if kind := text(source, "type"); kind != "" && kind != "code" {
			continue // an artifact
		}
		info.Sources++
		params, _ := source["params"].(map[string]any)
		if alias := text(params, "alias"); alias != "" {
			info.Aliases = append(info.Aliases, quoted.Line(alias, 128))
		}
	}
	return info
}
