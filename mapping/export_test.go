package mapping

// testProviders are the providers of all tests of this package. Those of the program
// come from a package that imports this one.
var testProviders []Provider

// SetTestProviders is for TestMain.
func SetTestProviders(providers []Provider) { testProviders = providers }
