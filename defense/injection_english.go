package defense

import "slices"

// englishRules know the imperative: "ignore all previous instructions", not
// "patients who ignored instructions".
func englishRules() []injectionRule {
	return slices.Concat(overrideRules(), roleRules(), leakRules(), answerRules(), secondPersonRules())
}

// overrideRules find text that cancels what the agent was told.
func overrideRules() []injectionRule {
	drop := anyOf("ignore", "disregard", "forget", "override", "overrides", "bypass", "neglect", "discard", "skip", "set aside",
		"stop following", "stop obeying", "pay no attention to", "do not follow", "don.?t follow", "do not obey", "don.?t obey")
	dropCues := []string{"ignore", "disregard", "forget", "overrid", "bypass", "neglect", "discard", "skip", "set aside", "stop follow",
		"stop obey", "no attention", "not follow", "t follow", "not obey", "t obey"}
	which := anyOf("previous", "prior", "above", "earlier", "preceding", "foregoing", "former", "any other", "conflicting", "your",
		"system", "developer", "safety", "moderation", "original", "initial", "all", "every")
	told := anyOf("instructions?", "prompts?", "rules?", "guidelines?", "directions?", "directives?", "commands?", "orders?", "messages?",
		"context", "constraints?", "restrictions?", "training", "polic(?:y|ies)", "safeguards?", "filters?", "evidence", "claims?",
		"sources?", "programming")
	return []injectionRule{
		{name: "override", cues: dropCues,
			with: []string{"instruction", "prompt", "rule", "guideline", "direction", "directive", "command", "order", "message", "context", "constraint", "restriction", "training", "polic", "safeguard", "filter", "evidence", "claim", "source", "programming"},
			expr: `\b` + drop + words("3") + which + words("3") + told + `\b` +
				`|\b` + drop + `\W+` + which + `\W+` + told + `\b`},
		{name: "override_all", cues: []string{"ignore", "disregard", "forget"},
			with: []string{"above", "previous", "everything", "what", "all ", "anything"},
			expr: `\b` + anyOf("ignore", "disregard", "forget") + `\W+` + anyOf("(?:all )?(?:of )?the above", "the previous", "everything (?:above|before|you|that|said)",
				"(?:what|whatever|all|anything) (?:\\w+ ){0,3}(?:told|said|wrote|instructed|you know|learned)") + `\b`},
		{name: "skip_checks", cues: []string{"skip"},
			with: []string{"verif", "valid", "safety", "fact"},
			expr: `\bskip\W+(?:the\W+|any\W+|all\W+)?(?:verification|validation|safety|fact)\b`},
		{name: "rules_void", cues: []string{"no longer", "do not apply", "overrid", "overrul", "suspended", "lifted"},
			with: []string{"guideline", "rule", "instruction", "restriction", "bound", "limited", "prompt"},
			expr: `\b` + anyOf("guidelines", "rules", "instructions", "restrictions") + `\W+` + anyOf("no longer apply", "do not apply to you", "are (?:void|suspended|overridden|lifted)") +
				`\b|\bno\W+longer\W+(?:bound|restricted|limited)\W+by|\boverr(?:ides|ules)` + words("2") + `(?:rules?|instructions?|prompts?)\b`},
		{name: "new_instructions", cues: []string{"your new", "your real", "your true", "your only", "your actual", "your secret", "your hidden", "the real", "the true", "the actual", "the hidden", "the secret", "a true prompt", "new instruct", "new system", "new prompt", "new directive", "new policy", "new task", "end of context", "end of document", "end of prompt", "end of input", "end of data"},
			expr: `\b(?:your|the)\W+(?:new|real|true|only|actual|secret|hidden)\W+(?:\w+\W+)?(?:task|goal|objective|job|mission|instructions?|prompt)\W+(?:is|are)\b` +
				`|\bnew\W+(?:system\W+)?(?:instructions?|prompt|directives?|policy|task)s?\s*:|\bnew\W+instructions\W+follow` +
				`|\b(?:your|a) true prompt\b|[\n.!?]\s*end of (?:context|document|prompt|input|data)\s*[.:!\n]`},
		{name: "obey_text", cues: []string{"obey", "comply with", "follow the"},
			with: []string{"text", "instruction", "following", "order"},
			expr: `\b(?:obey|comply with|follow)\W+(?:only\W+)?the\W+(?:text|instructions?|following|orders?)\W+(?:in this|below|here|text|instructions?|orders?)`},
		{name: "written_without_gaps", cues: []string{"ignoreall", "ignorethe", "ignoreprev", "ignoreyour", "disregard", "forgetall", "forgetprev", "forgeteverything", "systemprompt", "donottell", "youarenow"},
			expr: `(?:ignore|disregard|forget)(?:all|the|any|your|every)*(?:previous|prior|above|earlier|rules|instructions|guidelines)|revealthesystem|(?:reveal|print)\w*systemprompt|donottellthe|youarenowa`},
	}
}

// roleRules find text that gives the agent another role or other freedoms.
func roleRules() []injectionRule {
	reader := anyOf("ai", "llm", "language model", "chatbot", "assistant", "model", "bot")
	return []injectionRule{
		{name: "new_role", cues: []string{"you are", "you re ", "you’re", "you're"},
			expr: `\byou(?:\W+are|\W?re)\W+` + anyOf("now (?:a|an|the|in|free|my|root|dan|acting|operating|entering|connected|no|un\\w+)", "no longer (?:a|an|bound|restricted|limited|subject|required|allowed)",
				"dan", "chatgpt", "an? (?:\\w+ ){0,2}(?:ai|llm|language model|chatbot|assistant|model)") + `\b`},
		{name: "from_now_on", cues: []string{"from now on", "henceforth"},
			expr: `\b(?:from now on|henceforth)\W+(?:you|always|only|never|answer|respond|ignore|act|reply)\b`},
		{name: "act_as", cues: []string{"act as", "pretend", "roleplay", "role play", "simulate a", "let's play", "lets play", "let s play", "let’s play"},
			expr: `\bact as\W+(?:if you|though you|dan\b|an?` + words("3") + `(?:with no|without|unrestricted|uncensored|assistant|ai|llm)\b)` +
				`|\bpretend\W+(?:that\W+)?(?:you\W+(?:are|re|have|were)\b|to be an?\W+(?:ai|assistant|human|user|admin))|\brole\W?play as|\bsimulate an?\W+(?:terminal|shell|unrestricted)|\blet\W?s play a game`},
		{name: "unlock", cues: []string{"per mode", "dan mode", "god mode", "debug mode", "admin mode", "jailbreak mode", "root mode", "restricted mode", "anything now", "filters", "restrictions", "guardrail", "safeguards", "moderation", "limits", "been granted", "you now have"},
			with: []string{"enter", "enable", "activate", "engage", "switch", "anything now", "disable", "turn off", "remove", "deactivate", "without", " no ", "granted", "now have"},
			expr: `\b(?:enter|enable|activate|engage|switch (?:in)?to)` + words("2") + `(?:developer|dan|god|debug|admin|jailbreak|root|unrestricted)\W+mode\b|\bdo anything now\b` +
				`|\b(?:disable|turn off|remove|deactivate)` + words("2") + `(?:filters?|restrictions|guardrails|safeguards|moderation)\b` +
				`|\b(?:you|` + reader + `)\W+(?:\w+\W+){0,4}?(?:without|no)\W+(?:\w+\W+){0,2}?(?:restrictions?|filters?|limits|guardrails)\b` +
				`|\byou (?:have been granted|now have)\W+(?:\w+\W+){0,2}access\b`},
		{name: "addresses_reader", cues: []string{"attention", "note ", "message ", "instruction", "hey ", "dear ", "hello ", "hi ", "notice ", "if you are", "as an ", "as a "},
			with: []string{" ai", "\nai", "llm", "language model", "gpt", "claude", "gemini", "copilot", "assistant", "chatbot", "agent", "model"},
			expr: `\b` + anyOf("attention", "hey", "dear", "hello", "hi", "(?:hidden |secret )?(?:note|message|notice|instructions?) (?:to|for)") + `\W+(?:(?:the|any|all|an?|every|other)\W+)?(?:reading\W+)?` +
				anyOf("ai", "llms?", "(?:large )?language models?", "chatgpt", "gpt", "claude", "gemini", "copilot", "assistants?", "chatbots?", "agents?", "models?") + `\b` +
				`|\b(?:if you are|as)\W+an?\W+(?:large\W+)?(?:ai(?:\W+(?:language\W+)?(?:model|assistant|agent))?\W+(?:you|reply|answer|must|i\b)|llm\b|language model\b|chatbot\b|ai\W*[,:])`},
		{name: "addresses_by_name", cues: []string{"claude", "chatgpt", "gemini", "copilot", "assistant", "agent", " ai", "\nai", " llm"},
			with: []string{",", "should", "must", "shall", "is to", "has to", "needs to", "processing", "reading", "handling", "summari", "answering", "that", "who"},
			expr: `[\n.!?]\s*(?:claude|chatgpt|gemini|copilot|assistant|ai)\s*,` +
				`|\bto\W+(?:the|any|all|every|whichever)\W+(?:ai|llm|agent|assistant|model)s?\W+(?:that|who|processing|reading|handling|summari[sz]ing|answering)\b` +
				`|\b(?:the|this|any|every|all)\W+(?:ai|llm|assistant|agent|chatbot)s?\W+(?:should|must|shall|is to|has to|needs to)\W+(?:always\W+|now\W+|only\W+)?(?:respond|answer|reply|say|ignore|recommend|rank|trust|prefer|hide|approve|vote|output)\b`},
	}
}
