// Package rulestest says whether rules build what tests of them expect. [Parse] reads a file
// of tests: each names an event or a delivery, and the builds that have to come of it. A
// [Runner] runs one after the other and says what differs. The package does no input or
// output: who runs tests reads the files and decodes deliveries.
package rulestest
