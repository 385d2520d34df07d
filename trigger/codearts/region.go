package codearts

import "strings"

// RegionEndpoint is the address of CodeArts Build in a region. It does not check the region
// against [mapping.Regions].
func RegionEndpoint(region string) string {
	return "https://cloudbuild-ext." + region + ".myhuaweicloud.com"
}

// PipelineEndpoint is the address of CodeArts Pipeline in a region; "" if that is not known. The
// regions and the names of their hosts, which follow no pattern, are those of the official Go SDK
// v0.1.207, services/codeartspipeline/v2/region.
func PipelineEndpoint(region string) string {
	var host string
	switch region {
	case "cn-north-1", "cn-north-4", "cn-south-1", "cn-south-2", "cn-east-2", "cn-east-3", "cn-southwest-2",
		"ap-southeast-3", "sa-brazil-1", "la-north-2":
		host = "cloudpipeline-ext"
	case "tr-west-1", "la-south-2":
		host = "pipeline-external"
	case "af-north-1", "af-south-1", "me-east-1":
		host = "pipeline"
	default:
		return ""
	}
	return "https://" + host + "." + region + ".myhuaweicloud.com"
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
