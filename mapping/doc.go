// Package mapping decides what to build: an immutable [Ruleset] turns the [Event]s of a
// delivery into [Build]s. It also has the words that handlers and trigger share:
// [Delivery], [Receipt] and [Secret].
//
// [Parse] reads rules documents and reports every fault with line and column.
// [Ruleset.Decide] gives an event's builds. [Ruleset.Explain] says of each rule which
// clause did not match. The package does no input or output: others read the files,
// resolve the secrets and call the service. It imports nothing of this module but the
// packages below it. All that it returns is safe for concurrent use, because nothing
// changes after it is built.
package mapping
