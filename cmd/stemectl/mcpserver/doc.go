// Package mcpserver offers a StemeDB cluster to AI agents as tools of the Model
// Context Protocol: assert, query, skeptic, layered, trace and conflicts.
//
// Every answer says how contested it is, by which lens it came about, and which
// claims, signers and sources it rests on, so that an agent can tell a settled
// fact from a quarrel. What the database refuses becomes the error of a tool,
// with its code and what to do, and never one of the protocol. The key that signs
// is chosen by whoever starts the server, never by the agent.
package mcpserver
