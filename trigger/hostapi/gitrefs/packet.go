package gitrefs

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// kind is what a packet is.
type kind int

const (
	data  kind = iota
	flush      // 0000, the end of a list
	delim      // 0001, between the parts of a request of version 2
)

// maxPacket is the longest packet, its length of four digits included.
const maxPacket = 65520

// packets reads packets: https://git-scm.com/docs/gitprotocol-common#_pkt_line_format.
type packets struct {
	r    *bufio.Reader
	head [4]byte // the length of a packet, here because it would escape
	line []byte  // the buffer of next
}

func newPackets(r io.Reader) *packets { return &packets{r: bufio.NewReaderSize(r, 16<<10)} }

// next gives a packet without the line break at its end. It is valid until the next call. io.EOF
// is the end between two packets.
func (p *packets) next() (kind, []byte, error) {
	digits := p.head[:]
	if _, err := io.ReadFull(p.r, digits); err != nil {
		return 0, nil, err
	}
	var size [2]byte
	if _, err := hex.Decode(size[:], digits); err != nil {
		return 0, nil, malformed("a packet's length is %q", digits)
	}
	long := int(binary.BigEndian.Uint16(size[:]))
	switch {
	case long == 0:
		return flush, nil, nil
	case long == 1:
		return delim, nil, nil
	case long < len(digits), long > maxPacket:
		return 0, nil, malformed("a packet's length is %q", digits)
	}
	long -= len(digits)
	if cap(p.line) < long {
		p.line = make([]byte, long)
	}
	p.line = p.line[:long]
	if _, err := io.ReadFull(p.r, p.line); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	line := bytes.TrimSuffix(p.line, []byte("\n"))
	if said, ok := bytes.CutPrefix(line, []byte("ERR ")); ok {
		return 0, nil, &ServerError{Message: string(said[:min(len(said), maxMessage)])}
	}
	return data, line, nil
}

// maxMessage is how much of a server's message is kept, in bytes.
const maxMessage = 1 << 10

// end reads the rest, of which a well-behaved server has none, so that the connection can be
// used again. What it reads is of no interest.
func (p *packets) end() { _, _ = p.r.Peek(1) }

func packet(to *bytes.Buffer, text string) { fmt.Fprintf(to, "%04x%s", len(text)+4, text) }

// FormatError means that what was read is not what a Git server says.
type FormatError struct{ What string }

func (e *FormatError) Error() string { return "not the smart HTTP protocol of Git: " + e.What }

func malformed(format string, args ...any) error {
	return &FormatError{What: fmt.Sprintf(format, args...)}
}

// ServerError is what the server said is wrong. Its text is the server's own, at most 1 KiB, and
// may have anything in it.
type ServerError struct{ Message string }

func (e *ServerError) Error() string { return "the Git server says: " + e.Message }
