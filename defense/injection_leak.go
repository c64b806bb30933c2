package defense

// leakRules find text that asks the agent to hide, to give away, or to act.
func leakRules() []injectionRule {
	people := anyOf("users?", "humans?", "operators?", "readers?", "anyone", "anybody", "owner", "customers?", "them", "reviewers?", "moderators?")
	secret := anyOf("system prompt", "system message", "(?:hidden|raw|initial|secret) (?:system )?(?:prompt|message)", "your (?:\\w+ )?(?:prompt|instructions)",
		"api keys?", "secret keys?", "private keys?", "passwords?", "(?:stored )?credentials", "(?:access|confidential) tokens?", "chat history", "the conversation(?: log)?", "env(?:ironment)? variables?",
		"id.?rsa", "words above", "(?:the )?user.?s (?:e.?mail|address|data|password|token)", "the key")
	return []injectionRule{
		{name: "secrecy", cues: []string{"tell", "inform", "mention", "reveal", "disclos", "notify", "warn", "alert", "secret", "hide"},
			with: []string{"user", "human", "operator", "reader", "anyone", "anybody", "owner", "customer", "them", "reviewer", "moderator", "secret", "hide"},
			expr: `\b` + anyOf("do not", "don.?t", "never", "must not", "should not", "without", "avoid") + `\W+(?:ever\W+)?(?:tell(?:ing)?|inform(?:ing)?|alert(?:ing)?|mention(?:ing)?|reveal(?:ing)?|disclos(?:e|ing)|notify(?:ing)?|warn(?:ing)?)` +
				words("5") + people + `\b|\bkeep\W+(?:this|it|that)` + words("1") + `(?:secret|hidden|private)\W+from|\bhide\W+(?:this|that|it|its|your)\b`},
		{name: "exfiltration", cues: []string{"prompt", "system message", "hidden message", "secret message", "instructions", "api key", "secret key", "private key", "password", "credential", "access token", "confidential token", "chat history", "the conversation(?: log)?", "variable", "rsa", "words above", "user's", "user s ", "user’s", "the key"},
			with: []string{"send", "post", "forward", "paste", "request", "mail", "upload", "leak", "exfil", "transmit", "reveal", "print", "output", "repeat", "dump", "disclose", "append", "show", "display", "reply", "include"},
			expr: `\b(?:send|post|forward|paste|request|e?mail|upload|leak|exfiltrate|transmit|reveal|print|output|repeat|dump|disclose|append|show|display|reply with|include)` + words("4") + secret + `\b`},
		{name: "tool_use", cues: []string{"tool", "function", "command", "shell", "terminal", "curl", "plugin", "rm -rf", "rm rf", ".ssh", "transfer the"},
			with: []string{"call", "invoke", "use ", "run ", "execute", "rm ", "curl", ".ssh", "transfer the"},
			expr: `\b(?:call|invoke|execute)\W+(?:the\W+|your\W+|this\W+)(?:\w+\W+){0,2}?(?:tool|function|plugin|shell|terminal|command)\b|\buse\W+(?:the|your)\W+(?:\w+\W+)?tool\W+to\b|\brm\W+rf\b|\bcurl\W+(?:\w\W+)?https?\W+\S+\s*\|` +
				`|\b(?:read|open|cat|include)\W+\S{0,12}\.ssh\b|\btransfer\W+the\W+(?:balance|funds|money)\W+to\b`},
		{name: "link_injection", cues: []string{"](", "to every link"},
			expr: `!\[[^\]\n]*\]\([^)\n]*[{\[<]|\bappend\b[^\n]*?\bto every link\b`},
	}
}

// answerRules find text that dictates the answer.
func answerRules() []injectionRule {
	start := `(?:[\n.!?;:,"']\s*|\b(?:and|please|just|then|you|must|should|will)\W+)`
	return []injectionRule{
		{name: "dictates_answer", cues: []string{"respond", "answer", "reply", "whoever asks", "anyone who asks", "everyone who asks", "speak only"},
			with: []string{"only", "that", "with", "yes", "as if", "affirm", "to every", "to all", "to any", "begin", "start", "your", "must", "will", "should", "shall", "whoever", "anyone who", "everyone who"},
			expr: start + `(?:always\W+|only\W+)?(?:respond|answer|reply)\W+(?:only|that|with|yes|as if|in the affirmative|to (?:every|all|any))\b` +
				`|\b(?:respond|answer|reply)\W+only\W+with\b|\b(?:begin|start)\W+(?:your|the|every|each)\W+(?:answer|reply|response)\b` +
				`|\b(?:in|of)\W+your\W+(?:next\W+)?(?:answer|reply|response|output)\b|\bonly\W+correct\W+answer\b` +
				`|\byou\W+(?:must|will|should|shall|answer)\W+(?:always\W+|only\W+)?(?:answer|reply|respond|say|only with)\b` +
				`|\breport\b[^\n]*?\bto\W+(?:whoever|anyone who|everyone who)\W+asks\b` + `|\bspeak\W+only\W+well\b`},
		{name: "when_asked", cues: []string{"asks", "asked", "summari", "answering", "quoting", "citing", "responding", "describing", "replying"},
			with: []string{"say", "state", "answer", "respond", "reply", "recommend", "claim", "omit", "read", "open", "send"},
			expr: `\b(?:when|whenever|if)\W+(?:\w+\W+){0,2}?(?:asks?|asked|summari[sz]\w+|answering|quoting|citing|responding|describing)\b[^\n]*?(?:[,:]\s*|\balways\W+|\bplease\W+|\bcompany\W+)(?:always\W+)?(?:say|state|answer|respond|reply|recommend|claim|omit)\b` +
				`|\bbefore\W+(?:answering|responding|replying)\W*,\W*(?:read|open|call|run|send|include)\b`},
		{name: "prefers_itself", cues: []string{"this claim", "this source", "this one", "this record", "this entry", "cite this", "trust this", "use this", "this page", "this as", "this text", "other claims", "other sources"},
			with: []string{"trust", "use", "cite", "prefer", "believe", "summari", "regardless", "no matter"},
			expr: `\b(?:trust|use|cite|prefer|believe)\W+(?:only\W+)?this\W+(?:one\b|claim|source|record|entry)` + `|\bonly\W+(?:cite|trust|use)\W+this\b` +
				`|\bsummari[sz]e\W+this\b[^\n]*?\bas\b|\b(?:regardless|no matter)\W+(?:of|what)\W+(?:the\W+)?other\W+(?:claims|sources)`},
		{name: "moves_votes", cues: []string{"mark all", "mark every", "mark any", "approve all", "approve every", "approve any", "downvote", "retract all", "retract every", "retract any", "delete all", "delete every", "vote approve", "rate this", "rank this", "treat this", "lower your"},
			expr: start + `(?:mark|approve|downvote|retract|delete)\W+(?:all|every|any)\b` + `|\bvote\W+approve\b|` +
				start + `(?:rate|rank)\W+this\b|\btreat\W+this\W+(?:claim|source|record|entry)\W+as\b|\blower\W+your\W+confidence\b`},
	}
}

// markerRules find the marks by which a model's context is divided, which no
// claim has a reason to hold.
func markerRules() []injectionRule {
	return []injectionRule{
		{name: "chat_marker", cues: []string{"<|", "|>", "[inst", "[/inst", "<<sys", "[system", "### ", "###\n", "###s", "###i"},
			expr: `<\|?\s*(?:im_start|im_end|im_sep|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id|begin_of_text)\s*\|>|\[/?(?:inst|system)\]|<</?sys>>` +
				`|#{2,}\s*(?:system|instructions?|assistant|human|response)\b\s*:?`},
		{name: "role_marker", cues: []string{"system:", "assistant:", "developer:", "role"},
			expr: `\n\s*(?:system|assistant|developer)\s*:\s+\S|"role"\s*:\s*"(?:system|assistant|developer|tool)"`},
		{name: "context_tag", cues: []string{"<system", "</system", "<assistant", "</assistant", "<instruction", "</instruction", "<tool", "</tool", "<function_", "</function_", "<invoke", "</document>", "</context>", "<user_", "\"arguments\""},
			expr: `</?(?:system|assistant|instructions?|tool_(?:call|use|result)s?|function_(?:calls?|results?)|invoke|user_query)\b[^>\n]*>|</(?:document|context)>` +
				`|"(?:name|function|tool)"\s*:\s*"[^"\n]*"\s*,\s*"arguments"\s*:`},
	}
}
