package codearts_test

import (
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartsbuild/v3/region"
	pipelines "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartspipeline/v2/region"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
)

func TestRegions(t *testing.T) {
	regions := mapping.Regions()
	if len(regions) != 12 {
		t.Errorf("regions: %v", regions)
	}
	for _, name := range regions {
		official, err := region.SafeValueOf(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got, want := codearts.RegionEndpoint(name), official.Endpoints[0]; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if n := len(mapping.PipelineRegions()); n != 15 {
		t.Errorf("%d regions with pipelines", n)
	}
	for name := range mapping.PipelineRegions() {
		official, err := pipelines.SafeValueOf(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got, want := codearts.PipelineEndpoint(name), official.Endpoints[0]; got != want {
			t.Errorf("pipelines of %s: %s, want %s", name, got, want)
		}
	}
	if got := codearts.PipelineEndpoint("cn-west-9"); got != "" {
		t.Errorf("pipelines of a region that is not known: %s", got)
	}
	if got, want := codearts.IAMEndpoint("cn-north-4"), "https://iam.cn-north-4.myhuaweicloud.com"; got != want {
		t.Errorf("IAM: %s, want %s", got, want)
	}
}
