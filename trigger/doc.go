// Package trigger makes sure that builds happen: it stores an accepted delivery and its
// builds in one transaction, calls RunJob for each build, and records what became of it.
//
// The flow: [Trigger.Accept] stores the builds, which are due at once. The queue of the
// target takes a build that is due, marks it as calling, calls RunJob, and saves the answer.
// If no answer came, the build is unknown: the service is searched for a build of that call
// before RunJob is called again. One function decides the state of a build after a call:
// applyAnswer in work.go.
//
// Promises: builds for which Accept returned no error survive any crash; RunJob is called
// again only if it is known that the call before started no build; a target that is slow,
// throttled or down delays no other.
package trigger
