// Package containertest breaks a cluster of containers while clients write and
// read through HAProxy, and checks what they saw: no acknowledged claim is lost,
// linearizable reads have a linear order with the writes (porcupine), bounded and
// local reads are as fresh as they promise, and the nodes end with one digest. It
// restarts and upgrades the nodes one after the other, with no request that fails.
//
// `make test-docker` starts the stack and names it in the environment; without
// that the tests that need it say so and are skipped. The check of histories has
// tests of its own.
//
// # What it must never do
//
// Touch a container that is not of its stack, or leave a rule or a pause behind.
package containertest
