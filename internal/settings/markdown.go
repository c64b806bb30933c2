package settings

import (
	"fmt"
	"strings"
)

// Markdown is docs/settings.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Settings

Every setting of ` + "`stemedb serve`" + ` is a flag, an environment variable, and a line of one YAML file, in that order of precedence.
The file is named by ` + "`--config FILE`" + ` or ` + "`STEMEDB_CONFIG`" + `. ` + "`stemedb config`" + ` takes the same flags and prints the effective values and
where each comes from, secrets masked.

- Durations are written as ` + "`250ms`, `5s`, `2m`" + `. A list is separated by commas; in the file it may be a YAML list.
- An empty environment variable counts as absent.
- A key of the file, or a variable that begins with ` + "`STEMEDB_`" + `, that is no setting is an error which names the nearest one. Two groups
  of variables are left alone: those of the command line tools (` + variableList() + `), and those that Kubernetes makes
  up for a service (` + "`STEMEDB_SERVICE_HOST`" + ` and the like).

`)
	b.WriteString("| flag | environment | YAML key | default | value | meaning |\n|---|---|---|---|---|---|\n")
	for _, s := range All() {
		value := "–"
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | `%s` | %s | %s | %s |\n", s.Name, s.Env(), s.Key(), value, s.Kind, s.Help)
	}
	b.WriteString(`
## One command line for every start

The same settings serve the first start, a restart and scaling up. A node with state resumes. One without state looks for a cluster at
` + "`join`" + `; it forms a new one only if ` + "`bootstrap-expect`" + ` nodes see each other there and none of them has state. Three nodes on one machine:

` + "```sh" + `
all=127.0.0.1:18182,127.0.0.1:18192,127.0.0.1:18202
stemedb serve --node-id n1 --data-dir data/n1 --http-addr 127.0.0.1:18180 --cluster-addr 127.0.0.1:18182 --gossip-addr 127.0.0.1:18183 --join $all --bootstrap-expect 3
stemedb serve --node-id n2 --data-dir data/n2 --http-addr 127.0.0.1:18190 --cluster-addr 127.0.0.1:18192 --gossip-addr 127.0.0.1:18193 --join $all --bootstrap-expect 3
stemedb serve --node-id n3 --data-dir data/n3 --http-addr 127.0.0.1:18200 --cluster-addr 127.0.0.1:18202 --gossip-addr 127.0.0.1:18203 --join $all --bootstrap-expect 3
` + "```" + `

` + "`stemedb dev`" + ` does the same in one command. A fourth node takes the same ` + "`--join`" + ` with ports of its own.

## Exit codes

| code | meaning |
|---|---|
| 0 | stopped by a signal, in good order |
| 1 | the start or the stop failed, or a second signal cut the stop short |
| 2 | the process crashed; a restart may help, as after a full or failing disk |
| 78 | the command line or a setting is wrong |
| 79 | the node failed while it ran: its data needs attention, the last log line says why |
`)
	return b.String()
}

func variableList() string {
	names := clientVariables()
	for i, name := range names {
		names[i] = "`" + name + "`"
	}
	return strings.Join(names, ", ")
}
