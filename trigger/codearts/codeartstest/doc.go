// Package codeartstest is a simulator of CodeArts Build, for tests, demonstrations and load. It
// has the calls that buildbridge makes, and runs nothing.
//
// [NewServer] starts one on a free port, as httptest does; [New] gives its handler. It has the
// service's own paths, names and JSON types for
//
//	POST /v3/jobs/build                                  RunJob
//	POST /v1/job/execute                                 its older twin
//	POST /v3/jobs/stop
//	GET  /v1/record/{job_id}/list
//	GET  /v1/record/{job_id}/{build_no}/record-info
//	GET  /v1/record/{job_id}/{build_no}/build-info-record
//	GET  /v1/job/{job_id}/{build_no}/history-parameters
//	POST /v3/auth/tokens                                 IAM: a user token
//
// and calls of its own:
//
//	GET    /_runs     every RunJob body taken, as [{"build_no","body"}], oldest first
//	POST   /_builds   start a build by hand: {"job_id","commit"|"tag","branch","parameter","executor"}
//	POST   /_faults   add a [Fault], or several in an array; GET lists, DELETE removes them
//
// If [Options] has keys, users or tokens, signatures (SDK-HMAC-SHA256) and tokens are verified;
// otherwise every caller is let in. Faults come before that, as those of a gateway do.
//
// Sources: the API references of CodeArts Build and IAM, and the types of the official Go SDK
// v0.1.207, whose client works with the simulator. Guessed are: what the service does with a
// body that is wrong in two ways, the texts of its messages, and the values of trigger_type and
// build_type. Nothing was compared with the live service.
package codeartstest
