// Package observe proves what is there to watch the bridge by. It has nothing
// but tests.
//
// The dashboards in charts/buildbridge/dashboards are their own source: tests that
// run everywhere hold their form. [TestObserve] starts the program, two simulators
// and a Prometheus, plays the code hosts on a bad day, and then asks
// that Prometheus everything that the dashboards and the alerts would ask. It needs
// prometheus and promtool: make observe installs them and runs it.
//
// make pictures does the same for longer, and draws the dashboards with the data
// for the documentation.
package observe
