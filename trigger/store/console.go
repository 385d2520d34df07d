package store

import (
	"net/url"
	"strings"

	"buildbridge/mapping"
)

// ConsoleURL gives the address of a build in the console of the service; "" if its target has no
// template for it, or while something is not known that the template names.
func (b *Build) ConsoleURL(target *mapping.Target) string {
	address := target.ConsoleURL
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
