// Package observe tests the dashboards and alerts. It contains only tests.
//
// The dashboards in charts/buildbridge/dashboards are edited as they are; some tests check
// their form. [TestObserve] starts the program, two simulators and a Prometheus, sends
// deliveries of which many fail, and then runs every query of the dashboards and alerts on
// that Prometheus. It needs prometheus and promtool: make observe installs them and runs it.
//
// make pictures does the same for longer, and draws the dashboards for the documentation.
package observe
