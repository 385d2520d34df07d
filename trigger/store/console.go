package store

import (
	"net/url"
	"strings"

	"buildbridge/mapping"
)

// pipelineConsole is where the console shows a run of a pipeline. Public clients build it so.
const pipelineConsole = "https://devcloud.{region}.huaweicloud.com/cicd/project/{project_id}/pipeline/detail/{job_id}/{build_no}?v=1"

// ConsoleURL gives the address of a build in the console of the service; "" if it is not known. For a
// job it is by the template of its target, and "" while something is not known that the template names.
// For a pipeline it is what the service gave for the run, else by the region of its target.
func (b *Build) ConsoleURL(target *mapping.Target) string {
	address := target.ConsoleURL
	if b.Action == mapping.ActionPipeline {
		if u, err := url.Parse(b.Console); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			return b.Console
		}
		address = pipelineConsole
	}
	for name, value := range map[string]string{
		"{region}": target.Region, "{project_id}": b.ProjectID, "{job_id}": b.JobID, "{build_no}": b.BuildNumber, "{record_id}": b.RecordID,
	} {
		if value == "" && strings.Contains(address, name) {
			return ""
		}
		address = strings.ReplaceAll(address, name, url.PathEscape(value))
	}
	return address
}
