package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"buildbridge/mapping"
	"buildbridge/mapping/printable"
)

type deliveriesExport struct {
	adminFlags     `embed:""`
	deliveryFilter `embed:""`

	Output string `short:"o" default:"-" placeholder:"FILE|-" help:"The file to write, - for standard output."`
}

func (deliveriesExport) Help() string {
	return adminHelp + `

Writes a line of JSON for each delivery that the bridge has, or that matches, the oldest first: its events, with all that rules can
read. There are no headers, no bodies and no secrets in it; there are commit messages and names of people. The last line says that
the export is complete. A file appears once it is, for you alone (mode 0600), in place of the one before.

"buildbridge diff" says by such a file what a change of the rules would do.

Examples:

    buildbridge deliveries export --since 7d --output week.jsonl
    buildbridge deliveries export --repository acme/shop | gzip >shop.jsonl.gz`
}

// Run writes an export.
func (c *deliveriesExport) Run(ctx context.Context, env *Environment) error {
	switch {
	case c.JSON:
		return usageError("--json: an export is JSON, a line for each delivery")
	case c.Outcome != nil && *c.Outcome == "rejected":
		return usageError("--outcome rejected: rejected deliveries are not kept with their bodies")
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	if c.Output == "-" {
		return c.write(ctx, env, api, env.Stdout)
	}
	return outputFile{path: c.Output, mode: 0o600}.write(func(w io.Writer) error { return c.write(ctx, env, api, w) })
}

// write copies the export of the bridge, and says on standard error what is in it.
func (c *deliveriesExport) write(ctx context.Context, env *Environment, api *client, to io.Writer) error {
	var done atomic.Int64
	stop := env.tellProgress(func() string { return printable.Count(int(done.Load()), "delivery") + " exported" })
	defer stop()
	out := bufio.NewWriter(to)
	unknown := reasons{}
	read := recordedReader{do: func(line []byte, d *mapping.Recorded) error {
		if d != nil {
			done.Add(1)
			unknown.add(d.Error)
		}
		_, err := out.Write(append(line, '\n'))
		return err
	}}
	err := errors.Join(api.export(ctx, c.values(), &read), out.Flush())
	stop()
	if err != nil {
		return err
	}
	env.complain(printable.Count(int(done.Load()), "delivery") + " exported")
	unknown.tell(env)
	return nil
}

// export reads the deliveries that match.
func (c *client) export(ctx context.Context, filter url.Values, to *recordedReader) error {
	const path = "/deliveries/export"
	to.name = c.base + path
	err := c.stream(ctx, path+"?"+filter.Encode(), func(_ *http.Response, body io.Reader) error {
		err := to.read(body)
		switch {
		case err == nil && !to.ended:
			err = fmt.Errorf("the answer ends in the middle after %s: the log of the bridge says why",
				printable.Count(to.deliveries, "delivery"))
		case err == nil && to.cut() != "":
			err = errors.New("of the answer, " + to.cut())
		}
		if err != nil {
			return fmt.Errorf("the export is not complete: %w", err)
		}
		return nil
	})
	if _, missing := errors.AsType[notFoundError](err); missing {
		return errors.New("this bridge cannot export deliveries: its program is older than this one")
	}
	return err
}

// maxBadLines is how many lines that are none of an export are shown.
const maxBadLines = 20

// recordedReader reads an export line by line, with the memory of one.
type recordedReader struct {
	name string // of the input, for errors
	do   func(line []byte, d *mapping.Recorded) error

	deliveries int
	counted    int64 // deliveries, by the last line
	ended      bool  // the last line said that it is complete
}

// cut says that the input is not complete, "" if it is.
func (r *recordedReader) cut() string {
	has := printable.Count(r.deliveries, "delivery")
	switch {
	case !r.ended:
		return "it does not end as an export does, and may be cut short after " + has
	case int64(r.deliveries) != r.counted:
		return fmt.Sprintf("its last line counts %s, and it has %s", printable.Count(int(r.counted), "delivery"), has)
	}
	return ""
}

// read calls do for each line, with its delivery, or nil for the end. It reads on after lines
// that are none of an export, and gives an error with all of them.
func (r *recordedReader) read(from io.Reader) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 1<<16), mapping.MaxRecorded+1)
	var bad []error
	more, number := 0, 0
	for lines.Scan() {
		number++
		line := lines.Bytes()
		if len(line) == 0 {
			continue // the bridge is still at it
		}
		d, end, err := mapping.ParseRecorded(line)
		switch {
		case err == nil:
		case len(bad) == maxBadLines:
			more++
			continue
		default:
			bad = append(bad, fmt.Errorf("%s:%d: %w; buildbridge deliveries export writes what is right", r.name, number, err))
			continue
		}
		if r.ended = end != nil; r.ended {
			r.counted += end.Deliveries // of several exports, one behind the other
		}
		if d != nil {
			r.deliveries++
		}
		if len(bad) > 0 {
			continue
		}
		if err := r.do(line, d); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		bad = append(bad, fmt.Errorf("%s:%d: this line has more than %d MiB, and none of an export has: the rest is not read",
			r.name, number+1, mapping.MaxRecorded>>20))
	case err != nil:
		bad = append(bad, fmt.Errorf("%s: after line %d: %w", r.name, number, err))
	}
	if more > 0 {
		bad = append(bad, fmt.Errorf("and %d more such lines", more))
	}
	return errors.Join(bad...)
}

// reasons counts deliveries by why their events are not known.
type reasons map[string]int

// add counts a reason that is not "". Of many different ones, the further ones are counted together.
func (r reasons) add(reason string) {
	const most = 10
	if reason == "" {
		return
	}
	if reason = printable.Clip(reason, 200); r[reason] == 0 && len(r) >= most {
		reason = "other reasons"
	}
	r[reason]++
}

// tell prints the reasons on standard error.
func (r reasons) tell(env *Environment) {
	for _, reason := range slices.Sorted(maps.Keys(r)) {
		env.complain(fmt.Sprintf("of %s the events are not known: %s", printable.Count(r[reason], "delivery"), printable.Text(reason)))
	}
}

// tellProgress shows on standard error how far something is, once a second, until stop is called:
// in place on a terminal, else as lines. stop may be called twice.
func (e *Environment) tellProgress(text func() string) (stop func()) {
	counter, ticker := newCounter(e), time.NewTicker(time.Second)
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ticker.C:
				counter.show(text())
			case <-ending:
				counter.clear()
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		select {
		case <-ending:
		default:
			close(ending)
		}
		<-ended
	}
}
