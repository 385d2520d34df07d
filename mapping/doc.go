// Package mapping decides what to build: an immutable [Ruleset] turns the [Event]s of a
// delivery into [Build]s.
//
// [Parse] reads rules documents and reports every fault with its position.
// [Ruleset.Decide] gives the builds of an event. [Ruleset.Explain] says of each rule
// whether it matches, and if not, which clause failed.
//
// The package also defines the types and errors that handlers and trigger share and that
// rules do not use: [Delivery], [Receipt], [BuildReceipt], [Reason], [ErrFull] and [ErrNoHead].
//
// The package does no input or output, and imports nothing of this module but the packages
// below it. Other packages read the files, resolve the secrets and call CodeArts Build. All
// values that it returns are safe for concurrent use, because nothing changes after it is
// built.
package mapping
