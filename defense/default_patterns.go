package defense

// DefaultPatterns returns the patterns known by default. What also occurs in
// honest claims (markup in a security advisory, an encoded picture, a name in
// two alphabets) is flagged; what has no honest use is quarantined.
func DefaultPatterns() []Pattern { return append(spamPatterns(), disguisePatterns()...) }

// spamWindow is how many bytes around a link or another cue an offer is looked
// for.
const spamWindow = 160

const (
	link  = `(?:https?://|www\.|<a\s+href)`
	offer = `\b(?:buy|get|order|shop|click|sign up|join|visit|subscribe|register|apply|enrol|act|claim|hire|invest|deposit|connect|trade|mint|verify|compre|compra|achetez|kaufen|купите|заказать)\b`
	// lure is what an honest notice may say too, hardSell what it does not.
	lure     = `\b(?:discount|free|bonus|cheap|instant|now|winner|won|offer|deal|luxury|followers|password|hacker|backlinks|singles|\d+x|rabatt|gratis|gratuite|descuento)\b|скидк|бесплатн|红包`
	hardSell = `\b(?:\d+ ?% ?(?:off|discount|rabatt|de descuento)|(?:save|descuento|rabatt) \d+ ?%|today only|nur heute|limited offer|act now|buy (?:now|today)|order today|click here|expires in \d+|before midnight|guaranteed|no risk|casino|replica|one weird trick|free (?:iphone|money|shipping|vbucks)|envío gratis|livraison gratuite|kaufen sie jetzt|compre ahora|achetez maintenant|bank account)\b|купите сейчас|立即购买`
)

func spamPatterns() []Pattern {
	near := func(a, b string) string {
		return `(?:` + a + `).*(?:` + b + `)|(?:` + b + `).*(?:` + a + `)`
	}
	return []Pattern{
		{Name: "hard_sell_with_link", Action: Quarantine, Within: spamWindow,
			Cues: []string{"http", "www", "href"},
			Expr: `(?i)` + near(hardSell, link)},
		{Name: "offer_with_link", Action: Flag, Within: spamWindow,
			Cues: []string{"http", "www", "href"},
			Expr: `(?i)(?:` + near(offer, lure) + `).*` + link + `|` + link + `.*(?:` + near(offer, lure) + `)` +
				`|(?:` + offer + `).*` + link + `.*(?:` + lure + `)|(?:` + lure + `).*` + link + `.*` + offer},
		{Name: "crypto_giveaway", Action: Quarantine, Within: spamWindow,
			Cues: []string{"wallet", "btc", "bitcoin", " eth ", "crypto", "usdt", "airdrop", "nft "},
			Expr: `(?i)\b(?:giveaway|airdrop|doubl(?:e|es|ing)\s+(?:your|every|all)|(?:receive|get)\s+(?:\S+\s+){0,4}back|send\s+\S+\s+(?:btc|eth|bitcoin|usdt)\b.*\breceive|\d+x guaranteed)`},
		{Name: "pills_without_prescription", Action: Quarantine, Within: spamWindow,
			Cues: []string{"no prescription", "without prescription", "without a prescription", "cheap ", "viagra", "cialis", "levitra", "tramadol", "xanax", " meds"},
			Expr: `(?i)\b(?:no|without(?: a)?)\s+prescription\b.*(?:` + link + `|ship|price|order|buy)|\b(?:cheap|order|buy)\b.*\b(?:viagra|cialis|levitra|tramadol|xanax|meds)\b`},
		{Name: "easy_money", Action: Quarantine, Within: spamWindow,
			Cues: []string{"make money", "earn $", "guaranteed", "bank account", "no credit check", "gift card", "toll-free", "toll free", "support number", "prize", "lottery", "prince", "passive income", "miracle cure", "doctors hate", "telegram", "whatsapp", "girls", "singles", "no script"},
			Expr: `(?i)\bmake money (?:fast|online|now)|\bearn\s+\$\s?[\d,]+\s+(?:per|a|every)\s+(?:day|week|hour)|\bguaranteed (?:returns?|profit|income)|\bsend (?:me |us )?your bank (?:account|details)|\bprince\b.*\bmillion|\bcall\b.*\b(?:toll.?free|support number)\b.*\bvirus|\b(?:won|winner)\b.*\b(?:gift card|prize|lottery)|\bno credit check\b|\bpassive income\b.*\b(?:https?|details|join)|\bmiracle cure\b|\bdoctors hate\b|\b(?:message|contact|text|write) (?:us|me)\b.*\b(?:telegram|whatsapp)\b|\b(?:price|invest)\b.*\b(?:telegram|whatsapp)\b|\b(?:lonely|hot) (?:girls|singles|women)\b`},
		{Name: "buy_now_disguised", Action: Quarantine, Within: spamWindow,
			Cues: []string{"buynow", "buy now", "clickhere", "click here"},
			Expr: `(?i)\b(?:buy ?now|click ?here)\b.*\b(?:www|https?)\b`},
	}
}

func disguisePatterns() []Pattern {
	return []Pattern{
		{Name: "active_markup", Action: Flag,
			Cues: []string{"<script", "< script", "</script", "javascript:", "onerror", "onload", "onclick", "<iframe"},
			Expr: `(?i)<\s*/?\s*(?:script|iframe)\b|\bjavascript:\s*\S|<[^>\n]*\bon(?:error|load|click)\s*=`},
		{Name: "encoded_blob", Action: Flag, AsWritten: true, MinBytes: 120, MinRun: 48,
			// Upper case, then a few others, over and over: neither words, digests,
			// DNA nor protein sequences look like that.
			Expr: `(?:[A-Z]{1,4}[a-z0-9+/]{1,10}){24,}`},
		{Name: "data_url", Action: Flag,
			Cues: []string{"base64,"},
			Expr: `(?i)data:[a-z]+/[a-z0-9.+-]+;base64,[a-z0-9+/]{40}`},
		{Name: "direction_override", Action: Quarantine, AsWritten: true,
			// LRO and RLO show text in an order that it is not in (CVE-2021-42574).
			Cues: []string{"\u202d", "\u202e"},
			Expr: `[\x{202D}\x{202E}]`},
		{Name: "tag_characters", Action: Quarantine, AsWritten: true,
			// Tags are invisible ASCII. Their one use is in flags: after U+1F3F4.
			Cues: []string{"\xf3\xa0\x80", "\xf3\xa0\x81"},
			Expr: `(?:^|[^\x{1F3F4}\x{E0020}-\x{E007F}])[\x{E0001}\x{E0020}-\x{E007F}]`},
		{Name: "invisible_run", Action: Quarantine, AsWritten: true,
			// Invisible characters side by side encode what no reader sees.
			Cues: []string{"\u200b", "\u200c", "\u200d", "\u2060", "\u2061", "\u2062", "\u2063", "\u2064", "\ufeff"},
			Expr: `[\x{200B}-\x{200D}\x{2060}-\x{2064}\x{FEFF}]{6,}`},
		{Name: "invisible_in_word", Action: Flag, AsWritten: true,
			// Joiners are part of the spelling of other scripts, not of this one.
			Cues: []string{"\u200b", "\u200c", "\u200d", "\u2060", "\u2061", "\u2062", "\u2063", "\u2064", "\ufeff"},
			Expr: `[A-Za-z][\x{200B}-\x{200D}\x{2060}-\x{2064}\x{FEFF}]+[A-Za-z]`},
		{Name: "two_alphabets_in_word", Action: Flag, AsWritten: true,
			Cues: []string{"\xd0", "\xd1", "\xd2", "\xd3"},
			Expr: `[A-Za-z]\p{Cyrillic}|\p{Cyrillic}[A-Za-z]`},
		{Name: "stacked_marks", Action: Flag, AsWritten: true,
			Cues: []string{"\xcc", "\xcd"},
			Expr: `[\x{0300}-\x{036F}]{5,}`},
	}
}
