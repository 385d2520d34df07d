// Package codearts calls CodeArts Build: it starts builds with RunJob, and reads
// the records by which a call without an answer is cleared up.
//
// The flow of a call: the request is built, authorized ([Credentials]), sent
// once over HTTP/1.1, and its answer is turned into a result or an [*Error].
// After a 401 the credentials are refreshed and the request is sent once more;
// nothing else is ever repeated here.
//
// What callers rely on:
//
//   - RunJob succeeds only if the service named a build number.
//   - Every error is an [*Error], and its [Fate] says what may be done next. A
//     call whose request may have reached the service without a clear answer is
//     [FateUnknown], never [FateRetry].
//   - A POST is never sent again once any of it was written.
//   - Calls end with their context or after [Options].Timeout, whichever is
//     first, a refreshed second attempt included.
//
// A [Client] is safe for concurrent use. No function opens a connection before
// the first call.
package codearts
