// Package codeartstest is a CodeArts Build that runs nothing: a simulator of the
// calls buildbridge makes, for tests, demonstrations and load.
//
// [NewServer] starts one on a free port, like httptest; [New] gives the handler
// alone. It speaks, with the service's own paths, names and JSON types,
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
// and, for whoever runs it,
//
//	GET    /_runs     every RunJob body taken, as [{"build_no","body"}], oldest first
//	POST   /_builds   start a build by hand: {"job_id","commit"|"tag","branch","parameter","executor"}
//	POST   /_faults   add a [Fault], or several in an array; GET lists, DELETE removes them
//
// Signatures (SDK-HMAC-SHA256) and tokens are verified once [Options] names
// keys, users or tokens; without any, everybody is let in. Faults come before
// that, as those of a gateway do.
//
// Sources: the API reference of CodeArts Build and IAM, and the types of the
// official Go SDK v0.1.207, whose own client works against it. What the service
// does with a body that is wrong in two ways, the texts of its messages and the
// words of trigger_type and build_type are our guesses. Nothing here was
// compared with the live service.
package codeartstest
