// Package kill holds the promises of the bridge against faults, with real
// processes: the program is built and started, killed, stopped and cut off from
// its database, while a code host sends deliveries and a simulator counts what
// was started. It has nothing but tests.
//
// A fleet is one process on SQLite or several on Postgres. The host repeats a
// delivery until it is acknowledged. At the end the world checks that every
// acknowledged delivery came to its builds, that the simulator started each of
// them once and nothing else, and in which order.
//
// The tests run a few rounds; make kill runs as many as ROUNDS says, and
// DELIVERIES where it counts deliveries.
package kill
