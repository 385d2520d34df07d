package codearts

// RegionEndpoint is the address of CodeArts Build in a region. The region is
// not checked against [mapping.Regions].
func RegionEndpoint(region string) string {
	return "https://cloudbuild-ext." + region + ".myhuaweicloud.com"
}

// IAMEndpoint is the address that gives out user tokens in a region.
func IAMEndpoint(region string) string {
	return "https://iam." + region + ".myhuaweicloud.com"
}
