// Package codeartstest is a simulator of CodeArts Build and CodeArts Pipeline, for tests,
// demonstrations and load. It has the calls that buildbridge makes. It runs nothing: a build, or a
// run of a pipeline, is queued, runs and ends by the clock, as an [Outcome] says.
//
// [NewServer] starts one on a free port, as httptest does; [New] gives its handler. It has the
// service's own paths, names and JSON types for
//
//	POST /v3/jobs/build                                  RunJob
//	POST /v1/job/execute                                 its older twin
//	POST /v1/job/{job_id}/stop
//	POST /v3/jobs/stop                                   its predecessors
//	POST /v3/jobs/{job_id}/{build_no}/stop
//	GET  /v1/record/{job_id}/list
//	GET  /v1/record/{job_id}/{build_no}/record-info
//	GET  /v1/record/{job_id}/{build_no}/build-info-record
//	GET  /v1/job/{job_id}/{build_no}/build-info
//	GET  /v1/job/{job_id}/{build_no}/history-parameters
//	GET  /v1/job/{job_id}/status
//	GET  /v3/jobs/{job_id}/{build_no}/history-details
//	GET  /v1/job/{job_id}/info
//	GET  /v1/job/{job_id}/config
//	GET  /v1/job/{job_id}/check/disable
//	POST /v3/auth/tokens                                 IAM: a user token
//
// and, all under /v5/{project_id}/api/pipelines/,
//
//	POST {pipeline_id}/run                               RunPipeline
//	POST {pipeline_id}/pipeline-runs/list
//	GET  {pipeline_id}/pipeline-runs/detail?pipeline_run_id=
//	GET  {pipeline_id}/pipeline-runs/{run_id}/run-variables?mode=
//	POST {pipeline_id}/pipeline-runs/{run_id}/stop
//	PUT  {pipeline_id}/pipeline-runs/{run_id}/retry
//	GET  {pipeline_id}/queued-pipeline
//	POST {pipeline_id}/{run_id}/cancel-queuing/{queue_id}
//	GET  {pipeline_id}/trigger-failed-record
//	GET  {pipeline_id}
//	GET  {pipeline_id}/list-runtime-vars
//	POST status
//
// and calls of its own:
//
//	GET    /_runs      every body of RunJob and RunPipeline taken, as [Run], oldest first
//	GET    /_builds    how every build does, as [BuildState]
//	POST   /_builds    start a build by hand, a [Build]
//	POST   /_outcomes  say how builds to come do, an [Outcome], or several in an array; GET lists, DELETE removes them
//	POST   /_faults    add a [Fault], or several in an array; GET lists, DELETE removes them
//	GET    /_requests  how many requests came for each call: {"run":1,"list":20,…}
//	POST   /_jobs      say how a job is set up, as [Job], or several in an array
//	DELETE /_jobs/{job_id}  delete a job with its builds
//	POST   /_pipelines      say how a pipeline is set up, as [Pipeline], or several in an array
//	POST   /_pipelines/{pipeline_id}/heads   say which commits branches are on: {"main":"6dcb09…"}
//	POST   /_pipelines/{pipeline_id}/resume  let runs that wait for a person go on, or one: ?run_id=
//	DELETE /_pipelines/{pipeline_id}         delete a pipeline with its runs
//
// If [Options] has keys, users or tokens, signatures (SDK-HMAC-SHA256) and tokens are verified;
// otherwise every caller is let in. Faults come before that, as those of a gateway do.
//
// Sources: the API references of CodeArts Build and IAM, and the types of the official Go SDK
// v0.1.207, whose client works with the simulator. Guessed are: what the service does with a
// body that is wrong in two ways, the texts of its messages, and the values of trigger_type and
// build_type, of status in record-info and in the status of a job, the states of a build that
// is queued, and what a stop without a number does; of pipelines the codes of a body that is wrong,
// of a run that does not exist or has ended, and of a banned pipeline, the detail of a pipeline that
// never ran (as that of a run that does not exist), the values that are masked, and that the detail has the description
// of the run. Nothing was compared with the live service.
package codeartstest
