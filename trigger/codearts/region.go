package codearts

import (
	"strings"

	"buildbridge/mapping"
)

// RegionEndpoint is the address of CodeArts Build in a region. It does not check the region
// against [mapping.Regions].
func RegionEndpoint(region string) string {
	return "https://cloudbuild-ext." + region + ".myhuaweicloud.com"
}

// PipelineEndpoint is the address of CodeArts Pipeline in a region of [mapping.PipelineRegions]; ""
// in any other.
func PipelineEndpoint(region string) string {
	host, known := mapping.PipelineRegions()[region]
	if !known {
		return ""
	}
	return "https://" + host
}

// IAMEndpoint is the address of IAM, which issues user tokens, in a region.
func IAMEndpoint(region string) string {
	return "https://iam." + region + ".myhuaweicloud.com"
}

// Address is the host that the client calls, in lower case, with the port if it is not the
// usual one: it is the same for all ways to write an endpoint.
func (c *Client) Address() string {
	usual := map[string]string{"https": ":443", "http": ":80"}[c.endpoint.Scheme]
	return strings.TrimSuffix(strings.ToLower(c.endpoint.Host), usual)
}
