package doctor

import (
	"context"
	"fmt"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/mapping"
)

// secretsOf reads the secrets of a source, and the token of its host if it has an api.
func secretsOf(s *mapping.Source) Finding {
	f := Finding{Source: s.Name, OK: true, Message: "its secrets can be read"}
	if s.Insecure {
		f.Message = "insecure: it accepts deliveries from anybody"
	}
	resolved, err := bridge.ResolveSource(s)
	if err != nil {
		f.OK, f.Message = false, oneLine(err, fmt.Sprintf("source %q: ", s.Name))
		return f
	}
	f.Warnings = resolved.Doubts
	if s.API == nil {
		return f
	}
	host, doubts, err := bridge.NewHost(s, nil, nil)
	if err != nil {
		f.OK, f.Message = false, oneLine(err, fmt.Sprintf("source %q: ", s.Name))
		return f
	}
	host.Close()
	f.Warnings = append(f.Warnings, doubts...)
	return f
}

// source reads the secrets of a source, and asks its host.
func (d *Doctor) source(_ context.Context, s *mapping.Source) {
	d.Tell(secretsOf(s))
}
