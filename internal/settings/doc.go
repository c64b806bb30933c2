// Package settings declares every setting of the server once. A declaration
// feeds the command line flag, the environment variable, the key of the YAML
// file, `stemedb config` and docs/settings.md.
//
// # Invariants
//
//   - Precedence is flag, environment, file, default; every effective value
//     knows which of them it comes from.
//   - A name that is not understood is an error that says which name was
//     probably meant: a setting with a typing mistake must not be silently off.
//   - The value of a secret is never printed.
//
// # What it must never do
//
// Start anything or keep a value in a global: it returns the typed form and the
// main does the rest.
package settings
