package defense

// letterPairs says how unusual it is that a letter follows another inside a
// word: row a, column b, '0' (common in some language) to '3' (hardly ever). The
// level of a pair comes from the share p of the distinct words of a language
// that hold it, in the language where that is largest: 0 from 3 %, 1 from 1 %, 2
// from 0.3 %. Counted over 33 languages in Latin script without accents (the
// translated messages of a Debian system: German, French, Polish, Czech, Croat,
// Finnish, Hungarian, Turkish, Welsh, Irish, Basque, Indonesian, Kinyarwanda,
// Vietnamese and others), the outcomes of 4,666 trials, and 1,197 words of drug
// names: what one of them spells is spelling.
const letterPairs = "" +
	"00000100000000001000000200" + // a
	"02330320023032133122032313" + // b
	"03130330010021033100032300" + // c
	"02200220022111023001021310" + // d
	"01000100000000002000001000" + // e
	"02320021022031033121122313" + // f
	"02120210000131033001020303" + // g
	"02210133011011023020021303" + // h
	"00000100000000001000001000" + // i
	"03310233031122033211023322" + // j
	"02230320020021033000012312" + // k
	"02100111001000013200011302" + // l
	"00220220012000003212022312" + // m
	"01000100001000013200011301" + // n
	"00000000000000002000000020" + // o
	"02220120022122003011122323" + // p
	"33331333233233333333033333" + // q
	"01100110000000012000011310" + // r
	"02020110020011002100011310" + // s
	"02220120011111023000011100" + // t
	"00000110000000013000011211" + // u
	"02330333022130023112123302" + // v
	"02120323033221133113133302" + // w
	"03231332033333123332133313" + // x
	"02000011011000013100121312" + // y
	"02220322031120023210011301" // z

// pairLevel returns the level of the pair of lower-case ASCII letters a, b.
func pairLevel(a, b byte) int {
	return int(letterPairs[26*int(a-'a')+int(b-'a')] - '0')
}

// oddLevel is the mean level of a word's pairs from which the word is odd. At
// 0.8 about 70 % of words of random letters are, and fewer than 2 % of the words
// of each language counted (Welsh and Vietnamese come closest).
const oddLevel = 0.8

// oddShortLevel is the same for words of two or three letters, which are too
// often abbreviations to be judged more strictly.
const oddShortLevel = 2.5

// oddSpelling reports whether the word, lower-case, is not spelt like a word.
// Pairs with a letter outside a-z are taken for common.
func oddSpelling(word []byte) bool {
	if len(word) < 2 {
		return false
	}
	sum := 0
	for i := 1; i < len(word); i++ {
		a, b := word[i-1], word[i]
		if isLower(a) && isLower(b) {
			sum += pairLevel(a, b)
		}
	}
	mean := float64(sum) / float64(len(word)-1)
	if len(word) <= 3 {
		return mean >= oddShortLevel
	}
	return mean >= oddLevel
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
