package codeartstest_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	sdk "github.com/huaweicloud/huaweicloud-sdk-go-v3/core"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	codeartsbuild "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartsbuild/v3"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartsbuild/v3/model"
	codeartspipeline "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartspipeline/v2"
	pipelinemodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartspipeline/v2/model"

	"buildbridge/trigger/codearts/codeartstest"
)

const (
	jobID      = "f9d6c8466d614a9788e9a0acf6c15f46"
	pipelineID = "9bc11ea1a2df4ca2a4e5b0ab1b5e4e0f"
	projectID  = "5f3a1c0b7e2d4896a1b2c3d4e5f60718"
)

// The official SDK's own client against the simulator: what it sends is
// verified, and what it gets back fits its types.
func TestOfficialClient(t *testing.T) {
	t.Setenv("HOME", t.TempDir()) // The SDK writes a file there.
	tests := map[string]struct {
		key, secret, securityToken string
		wantStatus                 int // 0 for success
	}{
		"right keys":              {key: "AK", secret: "SK"},
		"temporary keys":          {key: "TEMP", secret: "SK2", securityToken: "ST/+=="},
		"wrong secret key":        {key: "AK", secret: "other", wantStatus: 401},
		"unknown access key":      {key: "KA", secret: "SK", wantStatus: 401},
		"missing security token":  {key: "TEMP", secret: "SK2", wantStatus: 401},
		"another security token":  {key: "TEMP", secret: "SK2", securityToken: "other", wantStatus: 401},
		"token on permanent keys": {key: "AK", secret: "SK", securityToken: "ST", wantStatus: 401},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := codeartstest.NewServer(codeartstest.Options{Keys: []codeartstest.Key{
				{AccessKey: "AK", SecretKey: "SK"},
				{AccessKey: "TEMP", SecretKey: "SK2", SecurityToken: "ST/+=="},
			}})
			defer server.Close()
			client := officialClient(t, server.URL, test.key, test.secret, test.securityToken)

			parameters := []model.ParameterItem{{Name: "codeBranch", Value: "release/ä <&> \u2028 1.0"}}
			commit := "3f786850e387550fdab836ed7e6dc881de23001b"
			response, err := client.RunJob(&model.RunJobRequest{Body: &model.RunJobRequestBody{
				JobId: jobID, Parameter: &parameters, Scm: &model.Scm{BuildCommitId: &commit},
			}})
			if test.wantStatus != 0 {
				refusal, ok := err.(*sdkerr.ServiceResponseError) //nolint:errorlint // The SDK returns it bare.
				if !ok || refusal.StatusCode != test.wantStatus || refusal.ErrorCode != "APIGW.0301" {
					t.Fatalf("RunJob: %v, want %d APIGW.0301", err, test.wantStatus)
				}
				if n := server.RunCount(); n != 0 {
					t.Errorf("%d builds were started", n)
				}
				return
			}
			if err != nil {
				t.Fatal("RunJob:", err)
			}
			if response.ActualBuildNumber == nil || *response.ActualBuildNumber != "1" {
				t.Errorf("RunJob: %v, want build 1", response)
			}

			// Queries and the other shapes.
			page, size := int32(0), int32(100)
			list, err := client.ListBuildInfoRecordByJobId(&model.ListBuildInfoRecordByJobIdRequest{
				JobId: jobID, StartTime: "2026-01-01 00:00:00", EndTime: "2026-01-02 23:59:59", PageIndex: &page, PageSize: &size,
			})
			if err != nil || list.Result == nil || *list.Result.TotalRecord != "0" {
				t.Errorf("list: %v, %v, want no records", list, err)
			}
			info, err := client.ShowJobBuildRecordDetail(&model.ShowJobBuildRecordDetailRequest{JobId: jobID, BuildNo: 1})
			if err != nil || *info.Result.Commit != commit {
				t.Errorf("record info: %v, %v", info, err)
			}
			sent, err := client.ListBuildParameter(&model.ListBuildParameterRequest{JobId: jobID, BuildNo: 1})
			if err != nil || len(*sent.Result) != 1 || *(*sent.Result)[0].Value != parameters[0].Value {
				t.Errorf("parameters: %v, %v", sent, err)
			}
			record, err := client.ShowBuildInfoRecord(&model.ShowBuildInfoRecordRequest{JobId: jobID, BuildNo: 1})
			if err != nil || *record.Result.Number != 1 || *record.Result.CommitId != commit || *record.Result.StartTime == 0 {
				t.Errorf("record: %v, %v", record, err)
			}
			no := int32(1)
			stopped, err := client.StopTheJob(&model.StopTheJobRequest{JobId: jobID, BuildNo: &no})
			if err != nil || stopped.Status == nil || *stopped.Status != "success" {
				t.Errorf("stop: %v, %v", stopped, err)
			}
		})
	}
}

// The official client follows builds to their ends, and stops them by all three calls.
func TestOfficialClientFollows(t *testing.T) {
	t.Setenv("HOME", t.TempDir()) // as above
	now := time.Now()
	server := codeartstest.NewServer(codeartstest.Options{
		Keys: []codeartstest.Key{{AccessKey: "AK", SecretKey: "SK"}}, Now: func() time.Time { return now }, Location: time.UTC,
	})
	defer server.Close()
	for _, o := range []codeartstest.Outcome{
		{Result: codeartstest.ResultFailure, After: time.Second, Step: "Test", Message: "exit 1", Times: 1}, {After: time.Minute},
	} {
		if err := server.AddOutcome(o); err != nil {
			t.Fatal(err)
		}
	}
	client := officialClient(t, server.URL, "AK", "SK", "")
	for range 4 {
		if _, err := client.RunJob(&model.RunJobRequest{Body: &model.RunJobRequestBody{JobId: jobID}}); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(time.Second)

	record, err := client.ShowBuildInfoRecord(&model.ShowBuildInfoRecordRequest{JobId: jobID, BuildNo: 1})
	if err != nil || *record.Result.JobRunningStatus != "Finished" || *record.Result.State != "FAILURE" {
		t.Errorf("record: %v, %v", record, err)
	}
	page, size := int32(0), int32(100)
	list, err := client.ListBuildInfoRecordByJobId(&model.ListBuildInfoRecordByJobIdRequest{
		JobId: jobID, StartTime: now.UTC().Add(-time.Hour).Format(time.DateTime), EndTime: now.UTC().Format(time.DateTime),
		PageIndex: &page, PageSize: &size,
	})
	if err != nil || len(*list.Result.JobBuildStates) != 4 {
		t.Errorf("list: %v, %v", list, err)
	} else if newest := (*list.Result.JobBuildStates)[0]; *newest.JobRunningStatus != "Running" {
		t.Errorf("list: %v", newest)
	}
	info, err := client.ShowJobBuildRecordDetail(&model.ShowJobBuildRecordDetailRequest{JobId: jobID, BuildNo: 1})
	if err != nil || len(*info.Result.BuildRecordId) != 32 || *info.Result.DevcloudProjectId != codeartstest.ProjectID ||
		*info.Result.Region != codeartstest.Region || *info.Result.ErrMsg != "exit 1" || *info.Result.FinishTime == "" || *info.Result.Duration != 1000 {
		t.Errorf("record info: %v, %v", info, err)
	}
	build, err := client.ShowBuildDetails(&model.ShowBuildDetailsRequest{JobId: jobID, BuildNo: 1})
	if err != nil || *build.Result.Building || *build.Result.BuildResult != "FAILURE" {
		t.Errorf("build info: %v, %v", build, err)
	}
	details, err := client.ShowHistoryDetails(&model.ShowHistoryDetailsRequest{JobId: jobID, BuildNumber: 1})
	if err != nil || len(*details.BuildSteps) != 3 || *(*details.BuildSteps)[1].Name != "Test" || *(*details.BuildSteps)[1].Status != "error" {
		t.Errorf("history details: %v, %v", details, err)
	}

	two := int32(2)
	if stopped, err := client.StopTheJob(&model.StopTheJobRequest{JobId: jobID, BuildNo: &two}); err != nil || *stopped.Status != "success" {
		t.Errorf("stop of 2: %v, %v", stopped, err)
	}
	body := &model.StopJobRequestBody{JobId: jobID, BuildNo: "3"}
	if stopped, err := client.StopJob(&model.StopJobRequest{Body: body}); err != nil || !*stopped.Result {
		t.Errorf("stop of 3: %v, %v", stopped, err)
	}
	if stopped, err := client.StopBuildJob(&model.StopBuildJobRequest{JobId: jobID, BuildNo: 4}); err != nil || !*stopped.Success {
		t.Errorf("stop of 4: %v, %v", stopped, err)
	}
	for no := int32(2); no <= 4; no++ {
		status, err := client.ShowJobStepStatus(&model.ShowJobStepStatusRequest{JobId: jobID, BuildNo: &no})
		if err != nil || *status.Result.Status != "aborted" || *status.Result.AbortStatus != "aborted" {
			t.Errorf("status of %d: %v, %v", no, status, err)
		}
	}
}

// The official client of pipelines runs one, finds it, and follows it to its end.
func TestOfficialPipelineClient(t *testing.T) {
	t.Setenv("HOME", t.TempDir()) // as above
	now := time.Now().Truncate(time.Millisecond)
	server := codeartstest.NewServer(codeartstest.Options{
		Keys: []codeartstest.Key{{AccessKey: "AK", SecretKey: "SK"}}, Now: func() time.Time { return now },
	})
	defer server.Close()
	for _, o := range []codeartstest.Outcome{{Result: "FAILED", After: time.Second, Step: "Test", Message: "exit 1", Times: 1}, {After: time.Minute}} {
		if err := server.AddOutcome(o); err != nil {
			t.Fatal(err)
		}
	}
	client := codeartspipeline.NewCodeArtsPipelineClient(official(t, codeartspipeline.CodeArtsPipelineClientBuilder(), server.URL, "AK", "SK", ""))

	description, branch, manual := "bb-1", "main", "Manual"
	variables := []pipelinemodel.RunPipelineDtoVariables{{Name: "GIT_SHA", Value: "ä <&> \u2028"}}
	sources := []pipelinemodel.RunPipelineDtoSources{{Type: "code", Params: &pipelinemodel.RunPipelineDtoParams{
		GitType: "codehub", GitUrl: "https://example.com/repo.git",
		BuildParams: &pipelinemodel.RunPipelineDtoParamsBuildParams{BuildType: "branch", EventType: &manual, TargetBranch: &branch},
	}}}
	run := func() string {
		t.Helper()
		answer, err := client.RunPipeline(&pipelinemodel.RunPipelineRequest{ProjectId: projectID, PipelineId: pipelineID, Body: &pipelinemodel.RunPipelineDto{
			Sources: &sources, Description: &description, Variables: &variables,
		}})
		if err != nil || answer.PipelineRunId == nil || len(*answer.PipelineRunId) != 32 {
			t.Fatalf("run: %v, %v", answer, err)
		}
		return *answer.PipelineRunId
	}
	failed, second := run(), run()
	start := now
	now = now.Add(time.Second)

	from, to := strconv.FormatInt(start.UnixMilli(), 10), strconv.FormatInt(now.UnixMilli(), 10)
	list, err := client.ListPipelineRuns(&pipelinemodel.ListPipelineRunsRequest{ProjectId: projectID, PipelineId: pipelineID, Body: &pipelinemodel.ListPipelineRunsQuery{
		StartTime: &from, EndTime: &to,
	}})
	if err != nil || *list.Total != 2 || len(*list.PipelineRuns) != 2 {
		t.Fatalf("list: %v, %v", list, err)
	}
	newest := (*list.PipelineRuns)[0]
	if *newest.PipelineRunId != second || *newest.Status != "RUNNING" || *newest.RunNumber != 2 || *newest.StartTime != start.UnixMilli() ||
		*newest.BuildParams.TargetBranch != "main" || len(*newest.BuildParams.CommitId) != 40 || len(*newest.StageStatusList) != 2 {
		t.Errorf("list: %v", newest)
	}
	detail, err := client.ShowPipelineRunDetail(&pipelinemodel.ShowPipelineRunDetailRequest{ProjectId: projectID, PipelineId: pipelineID, PipelineRunId: &failed})
	if err != nil || *detail.Id != failed || *detail.Status != "FAILED" || *detail.Description != "bb-1" || *detail.EndTime != now.UnixMilli() ||
		*detail.CurrentSystemTime != now.UnixMilli() || len(*(*detail.Sources)[0].Params.BuildParams.CommitId) != 40 {
		t.Fatalf("detail: %v, %v", detail, err)
	}
	if step := (*(*(*detail.Stages)[0].Jobs)[0].Steps)[0]; *step.Name != "Test" || *step.Status != "FAILED" || *step.Message != "exit 1" {
		t.Errorf("detail: %v", step)
	}
	latest, err := client.BatchShowPipelinesLatestStatus(&pipelinemodel.BatchShowPipelinesLatestStatusRequest{ProjectId: projectID, Body: &[]string{pipelineID}})
	if err != nil || len(*latest.Body) != 1 || *(*latest.Body)[0].PipelineRunId != second {
		t.Errorf("status: %v, %v", latest, err)
	}
	info, err := client.ShowPipelineDetail(&pipelinemodel.ShowPipelineDetailRequest{ProjectId: projectID, PipelineId: pipelineID})
	if err != nil || *info.Id != pipelineID || *info.ProjectId != projectID {
		t.Errorf("pipeline: %v, %v", info, err)
	}
	retried, err := client.RetryPipelineRun(&pipelinemodel.RetryPipelineRunRequest{ProjectId: projectID, PipelineId: pipelineID, PipelineRunId: failed})
	if err != nil || !*retried.Success {
		t.Errorf("retry: %v, %v", retried, err)
	}
	stopped, err := client.StopPipelineRun(&pipelinemodel.StopPipelineRunRequest{ProjectId: projectID, PipelineId: pipelineID, PipelineRunId: second})
	if err != nil || !*stopped.Success {
		t.Errorf("stop: %v, %v", stopped, err)
	}
	for id, want := range map[string]string{failed: "RUNNING", second: "CANCELED"} {
		detail, err := client.ShowPipelineRunDetail(&pipelinemodel.ShowPipelineRunDetailRequest{ProjectId: projectID, PipelineId: pipelineID, PipelineRunId: &id})
		if err != nil || *detail.Id != id || *detail.Status != want {
			t.Errorf("detail: %v, %v, want %s", detail, err, want)
		}
	}
}

func officialClient(t *testing.T, url, key, secret, securityToken string) *codeartsbuild.CodeArtsBuildClient {
	t.Helper()
	return codeartsbuild.NewCodeArtsBuildClient(official(t, codeartsbuild.CodeArtsBuildClientBuilder(), url, key, secret, securityToken))
}

func official(t *testing.T, builder *sdk.HcHttpClientBuilder, url, key, secret, securityToken string) *sdk.HcHttpClient {
	t.Helper()
	credentials, err := basic.NewCredentialsBuilder().
		WithAk(key).WithSk(secret).WithSecurityToken(securityToken).WithProjectId("0a1b2c").SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	client, err := builder.
		WithEndpoints([]string{url}).
		WithCredential(credentials).
		WithHttpConfig(config.DefaultHttpConfig().WithHttpTransport(transport)).
		SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	return client
}
