package codehost

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
)

const formType = "application/x-www-form-urlencoded"

// unwrap gives the JSON of a body: the body itself, or the field payload of a form. A body
// is a form if its Content-Type says so and it is not a JSON object: curl calls every body a
// form by default.
func (h *host) unwrap(contentType string, raw []byte) ([]byte, error) {
	if isObject(raw) {
		return raw, nil
	}
	// It gives the type even if a parameter after it is wrong.
	if kind, _, _ := mime.ParseMediaType(contentType); kind != formType {
		return raw, nil
	}
	if !h.forms {
		return nil, fmt.Errorf("%s: %w: a form body; set the content type of the webhook to application/json",
			h.Name, ErrMalformed)
	}
	payload, err := formPayload(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", h.Name, ErrMalformed, err)
	}
	return payload, nil
}

// isObject reports whether a body begins as a JSON object. A form has %7B for a brace.
func isObject(raw []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{"))
}

// formPayload finds the one field payload. It builds none of the others: the body is not
// authenticated yet, and may have a million of them.
func formPayload(raw []byte) ([]byte, error) {
	var payload []byte
	for field := range bytes.SplitSeq(raw, []byte("&")) {
		value, ok := bytes.CutPrefix(field, []byte("payload="))
		if !ok {
			continue
		}
		if payload != nil {
			return nil, errors.New("the form has several fields payload")
		}
		decoded, err := unescape(value)
		if err != nil {
			return nil, err
		}
		payload = decoded
	}
	if payload == nil {
		return nil, errors.New("the form has no field payload")
	}
	return payload, nil
}

// unescape is url.QueryUnescape with one copy instead of three.
func unescape(value []byte) ([]byte, error) {
	out := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		switch c := value[i]; c {
		case '+':
			out = append(out, ' ')
		case '%':
			var decoded [1]byte
			if _, err := hex.Decode(decoded[:], value[i+1:min(i+3, len(value))]); err != nil || i+2 >= len(value) {
				return nil, errors.New("the form's field payload is not URL-encoded")
			}
			out = append(out, decoded[0])
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out, nil
}
