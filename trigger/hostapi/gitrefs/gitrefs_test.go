package gitrefs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"buildbridge/trigger/hostapi/gitrefs"
)

var (
	a  = strings.Repeat("a", 40)
	b  = strings.Repeat("b", 40)
	z  = strings.Repeat("0", 40)
	a6 = strings.Repeat("a", 64)
	b6 = strings.Repeat("b", 64)
)

// pkt makes packets of lines: of "" a flush, of "|" a delimiter.
func pkt(lines ...string) string {
	var all strings.Builder
	for _, line := range lines {
		switch line {
		case "":
			all.WriteString("0000")
		case "|":
			all.WriteString("0001")
		default:
			fmt.Fprintf(&all, "%04x%s\n", len(line)+5, line)
		}
	}
	return all.String()
}

const service = "# service=git-upload-pack"

func TestReadAdvertisement(t *testing.T) {
	type test struct {
		sent    string
		version int
		want    []string
		fails   string
	}
	many := strings.Repeat("x", 65516)
	for name, test := range map[string]test{
		"refs": {
			sent: pkt(service, "", a+" HEAD\x00multi_ack symref=HEAD:refs/heads/main object-format=sha1", a+" refs/heads/main", b+" refs/pull/1/head", b+" refs/tags/v1", ""),
			want: []string{"refs/heads/main " + a, "refs/tags/v1 " + b},
		},
		"the first line is a branch": {sent: pkt(service, "", a+" refs/heads/x\x00caps", ""), want: []string{"refs/heads/x " + a}},
		"annotated tags": {
			sent: pkt(service, "", a+" refs/tags/v1\x00caps", b+" refs/tags/v1^{}", a+" refs/tags/v2", ""),
			want: []string{"refs/tags/v1 " + b, "refs/tags/v2 " + a},
		},
		"an annotated tag at the end": {sent: pkt(service, "", a+" HEAD\x00caps", a+" refs/tags/v1", b+" refs/tags/v1^{}", ""), want: []string{"refs/tags/v1 " + b}},
		"a peeled line of something skipped": {
			sent: pkt(service, "", a+" refs/heads/main\x00caps", a+" refs/x/v1", b+" refs/x/v1^{}", ""), want: []string{"refs/heads/main " + a},
		},
		"no service line":       {sent: pkt(a+" refs/heads/main\x00caps", ""), want: []string{"refs/heads/main " + a}},
		"no line breaks":        {sent: fmt.Sprintf("%04x%s", 4+40+1+15+1, a+" refs/heads/main\x00") + "0000", want: []string{"refs/heads/main " + a}},
		"upper case length":     {sent: strings.ToUpper(pkt(service)[:4]) + pkt(service)[4:] + pkt("", a+" refs/heads/main\x00", ""), want: []string{"refs/heads/main " + a}},
		"version 1":             {sent: pkt(service, "", "version 1", a+" refs/heads/main\x00caps", ""), want: []string{"refs/heads/main " + a}},
		"SHA-256":               {sent: pkt(service, "", a6+" refs/tags/v1\x00object-format=sha256", b6+" refs/tags/v1^{}", ""), want: []string{"refs/tags/v1 " + b6}},
		"empty":                 {sent: pkt(service, "", z+" capabilities^{}\x00caps", "")},
		"empty, an old server":  {sent: pkt(service, "", "")},
		"shallow":               {sent: pkt(service, "", a+" refs/heads/main\x00caps", "shallow "+b, ""), want: []string{"refs/heads/main " + a}},
		"names nobody can send": {sent: pkt(service, "", a+" refs/heads/\xff\x00caps", a+" refs/heads/a\tb", a+" refs/heads/", z+" refs/heads/zero", a+" refs/heads/ü🚀", ""), want: []string{"refs/heads/ü🚀 " + a}},
		"version 2":             {sent: pkt(service, "", "version 2", "agent=git/2", "ls-refs=unborn", "object-format=sha256", ""), version: 2},
		"version 2 alone":       {sent: pkt("version 2", "ls-refs", ""), version: 2},
		"more than the list":    {sent: pkt("version 2", "ls-refs", "") + "<html>", version: 2},

		"nothing":            {sent: "", fails: "the answer is empty"},
		"a page":             {sent: "<!DOCTYPE html>", fails: `a packet's length is "<!DO"`},
		"a dumb server":      {sent: a + "\trefs/heads/main\n", fails: io.ErrUnexpectedEOF.Error()}, // its ids may be lengths
		"a length of 3":      {sent: "0003", fails: `a packet's length is "0003"`},
		"a length of 2":      {sent: "0002", fails: `a packet's length is "0002"`},
		"a long packet":      {sent: "fff1" + many, fails: `a packet's length is "fff1"`},
		"no ref":             {sent: pkt(service, "", "hello"), fails: `"hello" is not a ref`},
		"a short id":         {sent: pkt(service, "", a[1:]+" refs/heads/main\x00"), fails: `is not a ref`},
		"no digits":          {sent: pkt(service, "", strings.Repeat("g", 40)+" refs/heads/main\x00"), fails: `is not a ref`},
		"service, no flush":  {sent: pkt(service, a+" refs/heads/main"), fails: "something between the service and its list"},
		"no ls-refs":         {sent: pkt("version 2", "fetch", ""), fails: "does not list refs"},
		"another format":     {sent: pkt("version 2", "ls-refs", "object-format=sha3", ""), fails: `a format that is not known: "sha3"`},
		"parts":              {sent: pkt(service, "", a+" refs/heads/main\x00", "|"), fails: "parts"},
		"parts, version 2":   {sent: pkt("version 2", "|"), fails: "parts"},
		"error":              {sent: pkt("ERR no such repository"), fails: "the Git server says: no such repository"},
		"error, service":     {sent: pkt(service, "", "ERR overloaded"), fails: "the Git server says: overloaded"},
		"error, in the list": {sent: pkt(service, "", a+" refs/heads/main\x00", "ERR overloaded"), fails: "the Git server says: overloaded"},
		"breaks off": {
			sent: pkt(service, "", a+" refs/heads/main\x00caps", a+" refs/heads/next"), want: []string{"refs/heads/main " + a}, fails: io.ErrUnexpectedEOF.Error(),
		},
		"breaks off in a length":    {sent: pkt(service, "") + "00", fails: io.ErrUnexpectedEOF.Error()},
		"breaks off in a packet":    {sent: pkt(service, "") + "0100" + a, fails: io.ErrUnexpectedEOF.Error()},
		"breaks off, version 2":     {sent: pkt("version 2", "ls-refs"), fails: io.ErrUnexpectedEOF.Error()},
		"breaks off, service":       {sent: pkt(service), fails: io.ErrUnexpectedEOF.Error()},
		"breaks off, service flush": {sent: pkt(service, ""), fails: io.ErrUnexpectedEOF.Error()},
		"breaks off, version 1":     {sent: pkt(service, "", "version 1"), fails: io.ErrUnexpectedEOF.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(test.sent), iotest.OneByteReader(strings.NewReader(test.sent))} {
				var got []string
				advertised, err := gitrefs.ReadAdvertisement(r, func(r gitrefs.Ref) error { got = append(got, r.Name+" "+r.Commit); return nil })
				check(t, got, test.want, err, test.fails)
				if err == nil && advertised.Version != test.version {
					t.Errorf("version %d, want %d", advertised.Version, test.version)
				}
			}
		})
	}
}

func check(t *testing.T, got, want []string, err error, fails string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("refs %q, want %q", got, want)
	}
	if (err == nil) != (fails == "") || err != nil && !strings.Contains(err.Error(), fails) {
		t.Errorf("error %v, want %q", err, fails)
	}
}

func TestReadRefs(t *testing.T) {
	type test struct {
		sent  string
		want  []string
		fails string
	}
	for name, test := range map[string]test{
		"refs": {
			sent: pkt(a+" HEAD symref-target:refs/heads/main", a+" refs/heads/main", b+" refs/tags/v1 peeled:"+a, ""),
			want: []string{"refs/heads/main " + a, "refs/tags/v1 " + a},
		},
		"a symbolic branch": {sent: pkt(a+" refs/heads/x symref-target:refs/heads/main", ""), want: []string{"refs/heads/x " + a}},
		"both attributes":   {sent: pkt(a+" refs/tags/x symref-target:refs/tags/v1 peeled:"+b, ""), want: []string{"refs/tags/x " + b}},
		"SHA-256":           {sent: pkt(a6+" refs/heads/main", ""), want: []string{"refs/heads/main " + a6}},
		"unborn":            {sent: pkt("unborn HEAD symref-target:refs/heads/main", "")},
		"empty":             {sent: pkt("")},
		"others":            {sent: pkt(a+" refs/pull/1/head", a+" refs/heads/main", ""), want: []string{"refs/heads/main " + a}},

		"no ref":     {sent: pkt("hello"), fails: `"hello" is not a ref`},
		"a bad peel": {sent: pkt(a + " refs/tags/v1 peeled:x"), fails: "is not a ref"},
		"parts":      {sent: pkt("|"), fails: "parts"},
		"error":      {sent: pkt(a+" refs/heads/main", "ERR stopped"), want: []string{"refs/heads/main " + a}, fails: "says: stopped"},
		"nothing":    {fails: io.ErrUnexpectedEOF.Error()},
		"breaks off": {sent: pkt(a + " refs/heads/main"), want: []string{"refs/heads/main " + a}, fails: io.ErrUnexpectedEOF.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(test.sent), iotest.OneByteReader(strings.NewReader(test.sent))} {
				var got []string
				err := gitrefs.ReadRefs(r, func(r gitrefs.Ref) error { got = append(got, r.Name+" "+r.Commit); return nil })
				check(t, got, test.want, err, test.fails)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	for sent, want := range map[string]string{
		pkt("version 2", "ls-refs", ""): "0014command=ls-refs\n0001" + "0009peel\n001bref-prefix refs/heads/\n001aref-prefix refs/tags/\n0000",
		pkt("version 2", "ls-refs", "object-format=sha256", ""): "0014command=ls-refs\n0019object-format=sha256\n0001" +
			"0009peel\n001bref-prefix refs/heads/\n001aref-prefix refs/tags/\n0000",
	} {
		advertised, err := gitrefs.ReadAdvertisement(strings.NewReader(sent), nil)
		if got := string(advertised.Request()); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}

// The error of each ends the reading, and is given as it is.
func TestEachEnds(t *testing.T) {
	stop := errors.New("stop")
	count := 0
	each := func(gitrefs.Ref) error { count++; return stop }
	_, err := gitrefs.ReadAdvertisement(strings.NewReader(pkt(service, "", a+" refs/heads/a\x00", a+" refs/heads/b", "")), each)
	if !errors.Is(err, stop) || count != 1 {
		t.Errorf("%v after %d", err, count)
	}
	err = gitrefs.ReadRefs(strings.NewReader(pkt(a+" refs/heads/a", a+" refs/heads/b", "")), each)
	if !errors.Is(err, stop) || count != 2 {
		t.Errorf("%v after %d", err, count)
	}
}

// What is skipped costs no memory: of a repository with many pull requests, only its branch does.
func TestSkippedRefsCostNothing(t *testing.T) {
	var list bytes.Buffer
	list.WriteString(pkt(service, "", a+" refs/heads/main\x00caps"))
	for i := range 10_000 {
		list.WriteString(pkt(fmt.Sprintf("%s refs/pull/%d/head", b, i)))
	}
	list.WriteString(pkt(""))
	allocations := testing.AllocsPerRun(5, func() {
		if _, err := gitrefs.ReadAdvertisement(bytes.NewReader(list.Bytes()), func(gitrefs.Ref) error { return nil }); err != nil {
			t.Error(err)
		}
	})
	if allocations > 20 {
		t.Errorf("%.0f allocations", allocations)
	}
}

func FuzzReadAdvertisement(f *testing.F) {
	f.Add([]byte(pkt(service, "", a+" HEAD\x00multi_ack", a+" refs/heads/main", b+" refs/tags/v1", a+" refs/tags/v1^{}", "")))
	f.Add([]byte(pkt(service, "", z+" capabilities^{}\x00caps", "")))
	f.Add([]byte(pkt("version 2", "ls-refs=unborn", "object-format=sha256", "")))
	f.Add([]byte(pkt(service, "", "version 1", a6+" refs/heads/main\x00caps", "shallow "+b6, "")))
	f.Add([]byte(pkt("ERR no")))
	f.Fuzz(func(t *testing.T, sent []byte) {
		advertised, err := gitrefs.ReadAdvertisement(bytes.NewReader(sent), ok(t, sent))
		if err == nil && advertised.Version == 2 {
			if again, err := gitrefs.ReadAdvertisement(bytes.NewReader(sent), nil); err != nil || again != advertised {
				t.Errorf("%v, %v", again, err)
			}
		}
		checkError(t, err)
	})
}

func FuzzReadRefs(f *testing.F) {
	f.Add([]byte(pkt(a+" HEAD symref-target:refs/heads/main", b+" refs/tags/v1 peeled:"+a, "")))
	f.Add([]byte(pkt("unborn HEAD symref-target:refs/heads/main", "")))
	f.Add([]byte(pkt(a6+" refs/heads/main", "ERR no")))
	f.Fuzz(func(t *testing.T, sent []byte) { checkError(t, gitrefs.ReadRefs(bytes.NewReader(sent), ok(t, sent))) })
}

// ok checks a ref that was read of what was sent.
func ok(t *testing.T, sent []byte) func(gitrefs.Ref) error {
	return func(r gitrefs.Ref) error {
		if len(r.Commit) != 40 && len(r.Commit) != 64 || strings.Trim(r.Commit, "0123456789abcdef") != "" || strings.Trim(r.Commit, "0") == "" {
			t.Errorf("commit %q", r.Commit)
		}
		if !strings.HasPrefix(r.Name, "refs/heads/") && !strings.HasPrefix(r.Name, "refs/tags/") || strings.ContainsAny(r.Name, "\x00\n") {
			t.Errorf("name %q", r.Name)
		}
		if !bytes.Contains(sent, []byte(r.Name)) || !bytes.Contains(sent, []byte(r.Commit)) {
			t.Errorf("%v was not sent", r)
		}
		return nil
	}
}

func checkError(t *testing.T, err error) {
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return
	}
	_, format := errors.AsType[*gitrefs.FormatError](err)
	_, server := errors.AsType[*gitrefs.ServerError](err)
	if !format && !server {
		t.Errorf("%T: %v", err, err)
	}
}
