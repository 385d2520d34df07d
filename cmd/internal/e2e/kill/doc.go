// Package kill tests the guarantees of the bridge with real processes: they are killed,
// stopped and cut off from their database, while a code host sends deliveries and a
// simulator counts the builds and runs of pipelines that start. It contains only tests.
//
// A fleet is one process on SQLite or several on Postgres. The host repeats a delivery until
// it is acknowledged. At the end the test checks that every acknowledged delivery has its
// builds, that the simulator started each of them once and nothing else, and the order.
//
// make test runs a few rounds. make kill runs ROUNDS rounds, with DELIVERIES deliveries in
// the tests that count them.
package kill
