// Package trigger makes sure that builds happen: it stores an accepted delivery and its
// builds in one transaction, calls the service for each build, and records what became of it.
//
// The flow: [Trigger.Accept] stores the builds, which are due at once. The queue of the
// target takes a build that is due, marks it as calling, makes its call (RunJob, RunPipeline), and saves the
// answer. If no answer came, the build is unknown: the service is searched for a build of that call
// before it is called again. One function decides the state of a build after a call:
// applyAnswer in work.go. A started build is followed to its end: the queue of follow.go asks the
// service once a step about all builds of a job or pipeline that run, and stops those that are to be stopped.
//
// Promises: builds for which Accept returned no error survive any crash; the service is called
// again only if it is known that the call before started no build; no build is a success unless
// the service says so; a target that is slow, throttled or down delays no other.
package trigger
