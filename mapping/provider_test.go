package mapping_test

import (
	"testing"

	"buildbridge/handlers/codehost" //nolint:depguard // its tests get the real providers
	"buildbridge/mapping"
)

func TestMain(m *testing.M) {
	mapping.SetTestProviders(codehost.Providers())
	m.Run()
}
