// Package codearts calls CodeArts Build and CodeArts Pipeline: it starts builds of jobs with RunJob
// and runs of pipelines with RunPipeline, stops them, and reads the records that show what became of
// a call without an answer, and of a build ([Outcome]).
//
// The flow of a call: the request is built, authorized ([Credentials]) and sent once over
// HTTP/1.1, and its answer becomes a result or an [*Error]. After a 401 the credentials are
// refreshed and the request is sent once more; nothing else is repeated.
//
// What callers rely on:
//
//   - RunJob succeeds only if the service answered with a build number, RunPipeline only if it
//     answered with the id of a run.
//   - Every error is an [*Error], and its [Fate] says what may be done next. A call that may
//     have reached the service, and got no clear answer, is [FateUnknown], never [FateRetry].
//   - A POST is never sent again once any of it was written.
//   - Calls end with their context or after [Options].Timeout, whichever is first, the second
//     request after a refresh included.
//
// A [Client] is safe for concurrent use. No function opens a connection before the first call.
package codearts
