// Package mapping decides what to build: an immutable [Ruleset] turns the
// [Event]s of a delivery into [Build]s.
//
// The flow: [Parse] reads rules documents and reports every fault with its
// place; [Ruleset.Decide] gives an event's builds; [Ruleset.Explain] says of
// each rule which clause did not match. The package does no input or output:
// who reads the files, resolves the secrets and calls the service is
// elsewhere. It imports nothing else of this module, and everything it returns
// is safe for concurrent use because nothing changes after it is built.
package mapping
