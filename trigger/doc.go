// Package trigger makes sure that builds happen: it keeps an accepted delivery
// and its builds in one transaction, calls RunJob for each build, and remembers
// what became of it.
//
// The flow: [Trigger.Accept] stores; the queue of the target takes the build, which is
// due, marks it as calling, calls, and saves the answer. A call that got none
// is unknown: the service is asked for its records before anything is called
// again. Where every error ends is decided in one place, [Trigger.applyAnswer].
//
// Promises: what Accept returned without an error for is kept through any crash;
// a build is called again only if the call before it is known to have started
// none; one target that is slow, throttled or down delays no other.
package trigger
