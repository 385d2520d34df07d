package codeartstest_test

import (
	"net/http"
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	codeartsbuild "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartsbuild/v3"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartsbuild/v3/model"

	"buildbridge/trigger/codearts/codeartstest"
)

const jobID = "f9d6c8466d614a9788e9a0acf6c15f46"

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
			stopped, err := client.StopJob(&model.StopJobRequest{Body: &model.StopJobRequestBody{JobId: jobID, BuildNo: "1"}})
			if err != nil || stopped.Result == nil || !*stopped.Result {
				t.Errorf("stop: %v, %v", stopped, err)
			}
		})
	}
}

func officialClient(t *testing.T, url, key, secret, securityToken string) *codeartsbuild.CodeArtsBuildClient {
	t.Helper()
	credentials, err := basic.NewCredentialsBuilder().
		WithAk(key).WithSk(secret).WithSecurityToken(securityToken).WithProjectId("0a1b2c").SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	client, err := codeartsbuild.CodeArtsBuildClientBuilder().
		WithEndpoints([]string{url}).
		WithCredential(credentials).
		WithHttpConfig(config.DefaultHttpConfig().WithHttpTransport(transport)).
		SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	return codeartsbuild.NewCodeArtsBuildClient(client)
}
