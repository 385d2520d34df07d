// Package gitrefs reads what a Git server says of its branches and tags, over the smart HTTP
// protocol, without a git program: https://git-scm.com/docs/http-protocol,
// https://git-scm.com/docs/protocol-v2 (ls-refs) and https://git-scm.com/docs/gitprotocol-pack.
//
// It has no network: a client asks for [AdvertisementPath] with [ProtocolHeader], and gives the
// answer to [ReadAdvertisement]. A server of version 2 wants to be asked once more, with the body of
// [Request], and [ReadRefs] reads what it answers. One of version 0 has said all by then.
//
// Answers are read as a stream: of however many refs, one is kept, and those that are neither a
// branch nor a tag cost no memory. Whoever calls bounds the bytes and the time.
package gitrefs
