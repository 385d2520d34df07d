// Package codehost decides whether to believe a delivery of a code host, and
// what it says.
//
// The flow: [Authenticate] takes the raw bytes of a request and the keys of its
// source and gives a [Message]; [Message.Decode] gives the [Delivery] with one
// [mapping.Event] for each ref that was pushed. A Message comes from
// Authenticate or, for what was authenticated before, from [Trust], and from
// nowhere else: a body that nobody vouches for cannot reach a decoder.
//
// The provider comes from the configuration of the source, never from the
// request: Gitea, Forgejo and Gogs also send GitHub's headers.
//
// Each host has a file of its own with what it signs and what it sends;
// docs/code-hosts.md tells users how to set it up. Everything here is safe for
// concurrent use.
package codehost
