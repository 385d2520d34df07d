package gitrefs

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// What a client asks with, and what a server answers with.
const (
	AdvertisementPath = "/info/refs?service=git-upload-pack" // after the URL of a clone
	AdvertisementType = "application/x-git-upload-pack-advertisement"

	RequestPath = "/git-upload-pack"
	RequestType = "application/x-git-upload-pack-request"
	ResultType  = "application/x-git-upload-pack-result"

	// ProtocolHeader with ProtocolV2 asks for version 2; servers that do not know it answer in
	// version 0.
	ProtocolHeader = "Git-Protocol"
	ProtocolV2     = "version=2"
)

// Ref is a branch or a tag.
type Ref struct {
	Name string // full: refs/heads/main, refs/tags/v1. It is valid UTF-8
	// Commit is an id of 40 or 64 hexadecimal digits, in lower case. For an annotated tag it is
	// what the tag is of, at the end of the chain if that is a tag again: almost always a commit.
	Commit string
}

// Advertisement is what a server says first.
type Advertisement struct {
	Version int // 2 if it has said no refs yet; else 0 (or 1, which is the same), and it has said all

	format string // of its ids, if it said so: sha1, sha256
}

// ReadAdvertisement reads the answer to a GET of [AdvertisementPath]. From a server of version 0 it
// gives each branch and tag to each, in the order of their names.
//
// The error is a *[FormatError], a *[ServerError], that of each, that of r, or
// io.ErrUnexpectedEOF if the answer broke off. What each got before an error is not all that
// there is.
func ReadAdvertisement(r io.Reader, each func(Ref) error) (Advertisement, error) {
	p := newPackets(r)
	k, line, err := p.next()
	if errors.Is(err, io.EOF) {
		return Advertisement{}, malformed("the answer is empty")
	}
	// A server of version 2 may leave this out.
	if err == nil && k == data && string(line) == "# service=git-upload-pack" {
		if k, _, err = p.next(); err == nil && k != flush {
			return Advertisement{}, malformed("there is something between the service and its list")
		}
		if err == nil {
			k, line, err = p.next()
		}
	}
	if err != nil {
		return Advertisement{}, broken(err)
	}
	if k == data && string(line) == "version 2" {
		return readCapabilities(p)
	}
	if k == data && string(line) == "version 1" {
		if k, line, err = p.next(); err != nil {
			return Advertisement{}, broken(err)
		}
	}
	return Advertisement{}, readV0(p, k, line, each)
}

// readCapabilities reads what a server of version 2 can do.
func readCapabilities(p *packets) (Advertisement, error) {
	a, listsRefs := Advertisement{Version: 2}, false
	for {
		k, line, err := p.next()
		switch {
		case err != nil:
			return a, broken(err)
		case k == flush && !listsRefs:
			return a, malformed("the server speaks version 2, and does not list refs")
		case k == flush:
			p.end()
			return a, nil
		case k == delim:
			return a, malformed("the list of capabilities has parts")
		}
		name, value, _ := strings.Cut(string(line), "=")
		switch name {
		case "ls-refs":
			listsRefs = true
		case "object-format":
			if value != "sha1" && value != "sha256" {
				return a, malformed("ids of a format that is not known: %.20q", value)
			}
			a.format = value
		}
	}
}

// Request gives the body that asks a server of version 2 for its branches and tags, as
// [RequestType] to [RequestPath], with [ProtocolHeader].
func (a Advertisement) Request() []byte {
	var b bytes.Buffer
	packet(&b, "command=ls-refs\n")
	if a.format != "" {
		packet(&b, "object-format="+a.format+"\n")
	}
	b.WriteString("0001")
	packet(&b, "peel\n")
	packet(&b, "ref-prefix refs/heads/\n")
	packet(&b, "ref-prefix refs/tags/\n")
	b.WriteString("0000")
	return b.Bytes()
}

// ReadRefs reads the answer to [Advertisement.Request]. Errors are those of [ReadAdvertisement].
func ReadRefs(r io.Reader, each func(Ref) error) error {
	p := newPackets(r)
	for {
		k, line, err := p.next()
		switch {
		case err != nil:
			return broken(err)
		case k == flush:
			p.end()
			return nil
		case k == delim:
			return malformed("the list of refs has parts")
		}
		// <id> <name>[ symref-target:<name>][ peeled:<id>]; "unborn" may stand for an id.
		id, rest, ok := bytes.Cut(line, []byte(" "))
		name, attributes, _ := bytes.Cut(rest, []byte(" "))
		if !ok || !isID(id) && string(id) != "unborn" {
			return malformed("%.80q is not a ref", line)
		}
		for attribute := range bytes.SplitSeq(attributes, []byte(" ")) {
			if peeled, ok := bytes.CutPrefix(attribute, []byte("peeled:")); ok {
				if !isID(peeled) {
					return malformed("%.80q is not a ref", line)
				}
				id = peeled
			}
		}
		if !isWanted(name) || !exists(id) {
			continue
		}
		if err := each(newRef(id, name)); err != nil {
			return err
		}
	}
}

// readV0 reads the refs of version 0, from a packet on that was read already. An annotated tag is
// followed by the same name with ^{}, and what the tag is of.
func readV0(p *packets, k kind, line []byte, each func(Ref) error) (err error) {
	var last Ref // not given to each yet
	give := func() error {
		if last.Name == "" {
			return nil
		}
		ref := last
		last = Ref{}
		return each(ref)
	}
	for first := true; ; first = false {
		switch k {
		case flush:
			if err := give(); err != nil {
				return err
			}
			p.end()
			return nil
		case delim:
			return malformed("the list of refs has parts")
		case data:
		}
		if first {
			line, _, _ = bytes.Cut(line, []byte{0}) // capabilities
		}
		id, name, ok := bytes.Cut(line, []byte(" "))
		switch {
		case !ok || !isID(id) && string(id) != "shallow":
			return malformed("%.80q is not a ref", line)
		case last.Name != "" && isPeeled(name, last.Name):
			last.Commit = string(id)
		default:
			if err := give(); err != nil {
				return err
			}
			if isWanted(name) && exists(id) {
				last = newRef(id, name)
			}
		}
		if k, line, err = p.next(); err != nil {
			return broken(err)
		}
	}
}

func isPeeled(name []byte, of string) bool {
	base, ok := bytes.CutSuffix(name, []byte("^{}"))
	return ok && string(base) == of
}

// newRef makes one text for both, which is half the work where there are many.
func newRef(id, name []byte) Ref {
	var b strings.Builder
	b.Grow(len(id) + len(name))
	b.Write(id)
	b.Write(name)
	both := b.String()
	return Ref{Name: both[len(id):], Commit: both[:len(id)]}
}

// isWanted reports whether a name is that of a branch or a tag. Git forbids control characters; no
// delivery can name one that is not UTF-8, because they are JSON.
func isWanted(name []byte) bool {
	short, ok := bytes.CutPrefix(name, []byte("refs/heads/"))
	if !ok {
		short, ok = bytes.CutPrefix(name, []byte("refs/tags/"))
	}
	return ok && len(short) > 0 && !bytes.HasSuffix(short, []byte("^{}")) && utf8.Valid(short) &&
		bytes.IndexFunc(short, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

// isID reports whether a text is the id of an object.
func isID(id []byte) bool {
	if len(id) != 40 && len(id) != 64 {
		return false
	}
	for _, c := range id {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// exists reports whether an id can be that of an object: it is not unborn, and not all zeros.
func exists(id []byte) bool { return isID(id) && len(bytes.Trim(id, "0")) > 0 }

// broken is an error of reading where more had to come.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
