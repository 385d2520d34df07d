package mapping

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// consoleFields are what console_url may have in braces: what the service tells of a build.
var consoleFields = []string{"region", "project_id", "job_id", "build_no", "record_id"}

var consoleField = regexp.MustCompile(`\{([^{}]*)\}|[{}]`)

// console checks the address of a build in the console. region says whether the target has one.
func (s scope) console(t yamldoc.Text, field string, region bool) string {
	if !t.At.Known() || t.Bad {
		return ""
	}
	filled := consoleField.ReplaceAllString(t.Value, "1")
	for _, at := range consoleField.FindAllStringSubmatchIndex(t.Value, -1) {
		where := s.file.Inside(t, at[0])
		if at[2] < 0 {
			s.fault(where, field, "this brace has no other: names in braces are {%s}", strings.Join(consoleFields, "}, {"))
		} else if name := t.Value[at[2]:at[3]]; !slices.Contains(consoleFields, name) {
			s.fault(where, field, "{%s} is not %s", clip(name), yamldoc.OneOf(name, consoleFields))
		} else if name == "region" && !region {
			s.warn(where, field, "this target has no region, so that there is never a link: write the region in place of {region}")
		}
	}
	if _, err := url.Parse(filled); err != nil {
		s.fault(t.At, field, "%q is not an address: its host or port is wrong", clip(t.Value))
	}
	return t.Value
}
