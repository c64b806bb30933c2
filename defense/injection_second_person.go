package defense

// secondPersonRules find text that speaks to the agent about its own work:
// "your prompt", "what you were told". Claims are about the world and seldom say
// "you" at all; leaflets do, and mean the patient's doctor and tablets.
func secondPersonRules() []injectionRule {
	people := anyOf("(?:the |any |your )?(?:end )?(?:users?|humans?|readers?|operators?)", "whoever", "anyone", "everyone", "people who ask", "them")
	return []injectionRule{
		{name: "your_work", cues: []string{"your ", "you're ", "you are "},
			with: []string{"response", "output", "answer", "reply", "replies", "prompt", "instruction", "guideline", "rules", "directive", "operator", "developer", "brief", "programming", "training", "memory", "persona", "alignment"},
			expr: `\byour\W+(?:\w+\W+){0,2}?(?:response|output|answers?|reply|replies|prompt|instructions|guidelines|rules|directives|operator|developers?|brief|programming|safety training|memory|persona|alignment)\b`},
		{name: "what_you_were_told", cues: []string{"you were", "you have been", "you ve been", "you've been", "you’ve been", "you received", "you are called", "you got"},
			expr: `\byou\W+(?:were|have been|.?ve been)\W+(?:\w+\W+)?(?:told|given|instructed|authori[sz]ed|trained|programmed|configured|asked to)\b|\byou received\b|\byou are called\b|\bhave been granted\b`},
		{name: "voids_orders", cues: []string{"null and void", "obsolete", "to one side", "no longer valid", "cancelled", "superseded", "aside", "void"},
			with: []string{"order", "instruction", "directive", "guideline", "rules", "prompt", "told", "commands"},
			expr: `\b(?:orders|instructions|directives|guidelines|rules|prompts?|told|commands)\b[^\n.]*\b(?:null and void|obsolete|to one side|no longer valid|cancelled|aside)\b|\b(?:consider|regard|treat|deem)\b[^\n.]*\b(?:orders|instructions|directives|rules)\b[^\n.]*\bvoid\b`},
		{name: "keeps_from_reader", cues: []string{"conceal", "withhold", "hide ", "know", "learn", "notice"},
			with: []string{"user", "human", "reader", "operator", "person"},
			expr: `\b(?:conceal|withhold|hide)\W+(?:\w+\W+){0,3}?from\W+` + people + `\b|\b(?:do not|don.?t|never)\W+let\W+` + people + `\W+(?:know|notice|see|find)\b` +
				`|\b(?:reader|user|human|operator|person)\b[^\n.]*\bmust\W+(?:not|never)\W+(?:learn|know|notice|find)\b`},
		{name: "tells_reader", cues: []string{"tell ", "inform ", "convince ", "persuade ", "assure "},
			with: []string{"user", "human", "reader", "operator", "whoever", "anyone", "everyone", "them"},
			expr: `(?:[\n.!?;:,"']\s*|\b(?:and|please|then|must|should|just)\W+)(?:tell|inform|convince|persuade|assure)\W+` + people + `\b`},
		{name: "bids_whoever_reads", cues: []string{"whoever", "whichever", "anyone who", "any agent", "any system", "you, the", "you the"},
			expr: `\b(?:whoever|whichever|anyone who|any (?:agent|system))\W+(?:\w+\W+){0,2}?(?:summari[sz]es?|reads?|process(?:es)?|quotes?|retrieves?)\W+(?:this|it)\W+(?:\w+\W+){0,2}?(?:must|should|shall|has to|is to)\b|\byou\W+the\W+(?:language model|llm|ai|assistant|agent|model)\b`},
		{name: "verbatim_context", cues: []string{"above", "verbatim", "word for word"},
			with: []string{"print", "paste", "repeat", "output", "show", "copy", "echo"},
			expr: `\b(?:print|paste|repeat|output|show|copy|echo)\W+(?:back\W+)?(?:everything|all|the text|the words|the lines?|whatever)\W+(?:\w+\W+){0,2}?(?:above|before|preceding)\b|\b(?:print|paste|repeat|output|echo)\b[^\n.]*\b(?:verbatim|word for word)\b`},
		{name: "any_question", cues: []string{"whatever the question", "whatever you are asked", "irrespective of", "regardless of the", "no matter the", "to any question", "every question", "never cite", "only ever cite"},
			expr: `\bwhatever\W+(?:the question|you are asked)|\b(?:irrespective|regardless)\W+of\W+the\W+(?:evidence|question|facts)\b[^\n]{0,3}$|\b(?:answer|respond|reply|say|state)\b[^\n.]*\b(?:irrespective|regardless|no matter)\b|\bnever\W+cite\W+any\b`},
		{name: "claims_authority", cues: []string{"administrator", "developer", "your operator", "system message", "the system"},
			with: []string{"command", "order", "instruct", "authori", "directive"},
			expr: `\b(?:command|order|directive|instructions?|message)s?\W+from\W+(?:the|your)\W+(?:administrator|developers?|operator|system)\b[^\n.]*[:,]`},
		{name: "stop_being", cues: []string{"stop being", "cease to be", "be the voice", "speak like", "sole duty", "have no rules"},
			expr: `\b(?:stop being|cease to be)\W+(?:an?|the)\W+(?:ai|assistant|model|bot|helpful)|\bbe the voice of\b|\bspeak like\W+an?\b|\b(?:whose|your)\W+sole\W+duty\b|\byou\b[^\n.]*\bhave no rules\b`},
	}
}
