package codearts

import "strings"

// RegionEndpoint is the address of CodeArts Build in a region. The region is
// not checked against [mapping.Regions].
func RegionEndpoint(region string) string {
	return "https://cloudbuild-ext." + region + ".myhuaweicloud.com"
}

// IAMEndpoint is the address that gives out user tokens in a region.
func IAMEndpoint(region string) string {
	return "https://iam." + region + ".myhuaweicloud.com"
}

// Address is the host that the client calls, with the port unless it is the usual
// one: the same for all ways to write it.
func (c *Client) Address() string {
	usual := map[string]string{"https": ":443", "http": ":80"}[c.endpoint.Scheme]
	return strings.TrimSuffix(strings.ToLower(c.endpoint.Host), usual)
}
