package defense

import "strings"

// translatedRules find the commonest instructions in other languages: cancel
// what you were told, keep it from the user, be somebody else.
func translatedRules() []injectionRule {
	var rules []injectionRule
	for _, l := range languages() {
		if l.drop != "" {
			const near = `[^\n.!?。]*`
			expr := `(?:` + l.drop + `)` + near + `(?:` + l.told + `)`
			if l.verbLast {
				expr = `(?:` + l.told + `)` + near + `(?:` + l.drop + `)`
			}
			rules = append(rules, injectionRule{name: "override_" + l.code, cues: strings.Split(l.dropCues, "|"), expr: expr})
		}
		if l.secrecy != "" {
			rules = append(rules, injectionRule{name: "secrecy_" + l.code, cues: strings.Split(l.secrecyCues, "|"), expr: l.secrecy})
		}
		if l.role != "" {
			rules = append(rules, injectionRule{name: "role_" + l.code, cues: strings.Split(l.roleCues, "|"), expr: l.role})
		}
	}
	return rules
}

// language holds the phrases of one language as expressions for folded text.
// The cues are literal parts of them, separated by |.
type language struct {
	code string
	// drop is the imperative that cancels, told what it cancels. verbLast says
	// that told comes first.
	drop, dropCues, told string
	verbLast             bool
	secrecy, secrecyCues string
	role, roleCues       string
}

func languages() []language {
	return append(europeanLanguages(), otherLanguages()...)
}

func europeanLanguages() []language {
	return []language{
		{code: "de", drop: `\b(?:ignorier(?:e|en sie|t)?|vergiss|vergesst|vergessen sie|missachte)\b`, dropCues: "ignorier|vergiss|vergess|missachte",
			told:    `anweisung|instru[ck]tion|vorgabe|befehl|richtlinie|regeln|vorschrift|gesagt|systemprompt|bisherige|vorherige`,
			secrecy: `\b(?:sag|sage|verrate|erzähle?|teile)\b[^\n.]*(?:benutzer|nutzer|anwender|niemand)[^\n.]*|verschweige[^\n.]*nutzer`, secrecyCues: "nutzer|anwender|niemand",
			role: `\bdu bist (?:jetzt|nun|ab sofort|ab jetzt)\b|\bab (?:jetzt|sofort) (?:bist|antwortest) du\b`, roleCues: "du bist|bist du|antwortest du"},
		{code: "fr", drop: `\b(?:ignore[sz]?|oublie[sz]?|ne (?:tiens|tenez) pas compte)\b`, dropCues: "ignore|oublie|pas compte",
			told:    `instructions? (?:préc|ant)|consignes|directives|règles|ci-dessus|(?:tout )?ce qu.{1,12} dit`,
			secrecy: `\bne (?:dis|dites|révèle|révélez|parle|mentionne)z? (?:pas|rien|jamais)[^\n.]*(?:utilisateur|personne)`, secrecyCues: "utilisateur|personne",
			role: `\b(?:tu es|vous êtes) (?:maintenant|désormais)|désormais,? (?:tu|vous)\b`, roleCues: "maintenant|désormais"},
		{code: "es", drop: `\b(?:ignora|ignore|ignorad|olvida|olvide|omite|haz caso omiso|no sigas)\b`, dropCues: "ignor|olvid|omite|caso omiso|no sigas",
			told:    `instrucci|indicaci|reglas|órdenes|anteriores`,
			secrecy: `\bno (?:le |se lo |les )?(?:digas|diga|cuentes|reveles|menciones)[^\n.]*(?:usuario|nadie)`, secrecyCues: "usuario|nadie",
			role: `\b(?:a partir de ahora|ahora) (?:eres|tú eres|serás|responderás)`, roleCues: "ahora"},
		{code: "it", drop: `\b(?:ignora|ignorate|dimentica|dimenticate|trascura|non seguire)\b`, dropCues: "ignora|dimentica|trascura|non seguire",
			told:    `istruzioni|regole|indicazioni|precedenti`,
			secrecy: `\bnon (?:dire|dirlo|rivelare|menzionare)[^\n.]*(?:utente|nessuno)`, secrecyCues: "utente|nessuno",
			role: `\b(?:ora sei|sei ora|d'ora in poi)`, roleCues: "ora sei|sei ora|d'ora in poi"},
		{code: "pt", drop: `\b(?:ignore|ignora|esqueça|esquece|desconsidere)\b`, dropCues: "ignor|esque|desconsidere",
			told:    `instruç|regras|orientaç|anteriores|foi dito|disse`,
			secrecy: `\bnão (?:conte|diga|revele|mencione|informe)[^\n.]*(?:usuário|utilizador|ninguém)`, secrecyCues: "usuário|utilizador|ninguém",
			role: `\b(?:a partir de agora|agora) você (?:é|será)|você agora é`, roleCues: "agora"},
		{code: "nl", drop: `\b(?:negeer|vergeet)\b`, dropCues: "negeer|vergeet", told: `instructies|aanwijzingen|regels|opdrachten`,
			secrecy: `\b(?:vertel|zeg)\b[^\n.]*gebruiker[^\n.]*niet|niet aan de gebruiker`, secrecyCues: "gebruiker",
			role: `\bje bent (?:nu|vanaf nu)\b|\bvanaf nu ben je\b`, roleCues: "je bent|ben je"},
		{code: "sv", drop: `\b(?:ignorera|glöm|strunta i|ignorer|glem)\b`, dropCues: "ignorer|glöm|glem|strunta", told: `instru[ck]tion|anvisning|regler|instrukser`,
			secrecy: `\b(?:berätta|säg|fortæl|fortell) (?:inte|ikke|inget)[^\n.]*(?:användare|bruger|bruker)`, secrecyCues: "användare|bruger|bruker",
			role: `\bdu är nu\b|\bfrån och med nu\b`, roleCues: "är nu|med nu"},
		{code: "pl", drop: `(?:ignoruj(?:cie)?\s|zapomnij|pomiń\s)`, dropCues: "ignoruj|zapomnij|pomiń", told: `instrukcj|polece|zasad|wytyczn`,
			secrecy: `\bnie (?:mów|ujawniaj|informuj|wspominaj)[^\n.]*(?:użytkownik|nikomu)`, secrecyCues: "użytkownik|nikomu",
			role: `\b(?:jesteś teraz|teraz jesteś|od teraz)\b`, roleCues: "teraz"},
		{code: "ru", drop: `(?:игнорируй|проигнорируй|забудь|не обращай внимания|не следуй)`, dropCues: "игнорируй|забудь|не обращай|не следуй", told: `инструкц|указани|правил|команд|выше|сказан`,
			secrecy: `не (?:говори|сообщай|рассказывай|упоминай|раскрывай)[^\n.]*(?:пользовател|никому|человек)`, secrecyCues: "пользовател|никому|человек",
			role: `(?:теперь ты|ты теперь|отныне ты|с этого момента ты)`, roleCues: "теперь|отныне|момента ты"},
		{code: "uk", drop: `(?:ігноруй|проігноруй|забудь)`, dropCues: "ігноруй|забудь", told: `інструкц|вказівк|правил|команд`,
			secrecy: `не (?:кажи|повідомляй|розповідай)[^\n.]*(?:користувач|нікому)`, secrecyCues: "користувач|нікому",
			role: `(?:тепер ти|відтепер ти)`, roleCues: "тепер"},
	}
}

func otherLanguages() []language {
	return []language{
		{code: "zh", drop: `(?:忽略|无视|無視|忘记|忘掉|忘記|不要理会|(?:不要|别|停止)遵[循守])`, dropCues: "遵守|忽略|无视|無視|忘记|忘掉|忘記|理会|遵循", told: `指令|指示|提示词|系统提示|规则|規則|以上|上述|上面|要求|设定`,
			secrecy: `(?:不要|别|請勿|请勿|切勿|不得)(?:告诉|告訴|告知|透露给|提醒|让)(?:用户|用戶|使用者|任何人|别人)`, secrecyCues: "用户|用戶|使用者|任何人|别人",
			role: `(?:你现在是|你現在是|从现在起你|从现在开始你|從現在起|假装你是|请扮演|扮演一个)`, roleCues: "你现在|你現在|从现在|從現在|假装|扮演"},
		{code: "ja", drop: `(?:無視(?:して|しなさい|せよ|しろ|し、)|忘れて|従わない)`, dropCues: "無視|忘れて|従わない", told: `指示|命令|プロンプト|ルール|上記|これまで`, verbLast: true,
			secrecy: `(?:ユーザー|利用者|誰)(?:に|には|にも)[^\n.]*(?:教え|言わ|伝え|知らせ)|システムプロンプトを(?:表示|出力|教え)`, secrecyCues: "ユーザー|利用者|誰|システムプロンプト",
			role: `(?:あなたは今から|今からあなたは|これからあなたは)`, roleCues: "あなたは"},
		{code: "ko", drop: `(?:무시|잊어)`, dropCues: "무시|잊어", told: `지시|명령|지침|프롬프트|규칙`, verbLast: true,
			secrecy: `(?:사용자|유저|누구)(?:에게|한테)[^\n.]*(?:말하지|알리지|언급하지)`, secrecyCues: "사용자|유저|누구",
			role: `(?:이제부터 너는|지금부터 당신은|너는 이제|당신은 이제)`, roleCues: "이제|지금부터"},
		{code: "ar", drop: `(?:تجاهل|انس|انسَ|لا تتبع)`, dropCues: "تجاهل|انس|تتبع", told: `التعليمات|الأوامر|القواعد|تعليمات`,
			secrecy: `لا (?:تخبر|تقل|تذكر|تكشف)[^\n.]*(?:المستخدم|لأحد|أحد)`, secrecyCues: "المستخدم|أحد",
			role: `(?:أنت الآن|من الآن فصاعد)`, roleCues: "الآن"},
		{code: "fa", drop: `(?:نادیده بگیر|فراموش کن)`, dropCues: "نادیده|فراموش", told: `دستور|قوانین`, verbLast: true,
			secrecy: `به کاربر[^\n.]*(?:نگو|نگویید)`, secrecyCues: "کاربر"},
		{code: "he", drop: `(?:התעלם|התעלמי|שכח|התעלמו)`, dropCues: "התעלם|התעלמ|שכח", told: `הוראות|הנחיות|כללים`,
			secrecy: `אל (?:תספר|תגיד|תגלה)[^\n.]*(?:למשתמש|לאיש)`, secrecyCues: "למשתמש|לאיש"},
		{code: "hi", drop: `(?:अनदेखा|अनदेखी|नज़रअंदाज़|भूल जा)`, dropCues: "अनदेख|नज़रअंदाज़|भूल", told: `निर्देश|आदेश|नियम`, verbLast: true,
			secrecy: `(?:उपयोगकर्ता|यूज़र) को[^\n.]*(?:मत|न) बता`, secrecyCues: "उपयोगकर्ता|यूज़र"},
		{code: "tr", drop: `(?:yok say|görmezden gel|unut|dikkate alma)`, dropCues: "yok say|görmezden|unut|dikkate alma", told: `talimat|yönerge|kural|komut`, verbLast: true,
			secrecy: `kullanıcıya[^\n.]*(?:söyleme|bildirme|anlatma)`, secrecyCues: "kullanıcıya",
			role: `\b(?:artık sen|sen artık|bundan sonra sen)\b`, roleCues: "artık|bundan sonra"},
		{code: "vi", drop: `(?:bỏ qua|phớt lờ|quên)`, dropCues: "bỏ qua|phớt lờ|quên", told: `hướng dẫn|chỉ dẫn|chỉ thị|lệnh|quy tắc`,
			secrecy: `(?:đừng|không được) (?:nói|tiết lộ|cho)[^\n.]*người dùng`, secrecyCues: "người dùng",
			role: `(?:bây giờ bạn là|từ giờ bạn)`, roleCues: "bây giờ|từ giờ"},
		{code: "id", drop: `\b(?:abaikan|lupakan)\b`, dropCues: "abaikan|lupakan", told: `instruksi|perintah|aturan|petunjuk|arahan`,
			secrecy: `jangan (?:beri ?tahu|katakan|ungkapkan)[^\n.]*(?:pengguna|siapa)`, secrecyCues: "pengguna|siapa",
			role: `\b(?:kamu sekarang|sekarang kamu|mulai sekarang)\b`, roleCues: "sekarang"},
	}
}
