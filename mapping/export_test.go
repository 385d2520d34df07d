package mapping

// testProviders are the providers of all tests of this package. Those of the program
// come from a package that imports this one.
var testProviders []Provider //nolint:gochecknoglobals // set once, before the first test

// SetTestProviders is for TestMain.
func SetTestProviders(providers []Provider) { testProviders = providers }
