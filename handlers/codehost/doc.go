// Package codehost authenticates and decodes the deliveries of code hosts.
//
// The flow: [Authenticate] takes the raw bytes of a request and the keys of its source,
// and gives a [Message]; [Message.Decode] gives the [Delivery], with a [mapping.Event] for
// each ref that was pushed. Only Authenticate gives a Message, and [Trust] for bodies
// that were authenticated before: no other body can reach a decoder.
//
// The provider comes from the configuration of the source, never from the request:
// Gitea, Forgejo and Gogs also send GitHub's headers.
//
// A host is one file, with all that is special about it, and one row of the table in
// hosts.go. docs/code-hosts.md tells users how to set it up. Everything here is safe for
// concurrent use.
package codehost
