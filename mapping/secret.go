package mapping

import "log/slog"

// SecretRef says where a secret is, never what it is: exactly one of Env and
// File is set.
type SecretRef struct {
	Env  string `yaml:"env,omitempty" json:"env,omitempty"`   // name of an environment variable
	File string `yaml:"file,omitempty" json:"file,omitempty"` // path of a file; one trailing newline is dropped
}

// Secret is a resolved secret. It prints as "[hidden]" wherever it ends up by
// accident; string(s) is the only way to its value.
type Secret string

const hidden = "[hidden]"

func (Secret) String() string { return hidden }

// GoString is for %#v.
func (Secret) GoString() string { return hidden }

// LogValue keeps the value out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText keeps the value out of JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
