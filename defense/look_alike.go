package defense

import (
	"strings"
	"unicode/utf8"
)

// The lower-case letters that are taken for Latin ones and, at the same place,
// what for: the look-alikes of Cyrillic, Greek, Armenian and the phonetic
// letters that Unicode TR 39 (confusables) lists and that occur in practice.
const (
	lookAlikes = "авеёіїјкмнорсѕтухһԁԛԝӏ" + "αβεηικνορτυχωγϲ" + "օոհս" + "ıɡɑɩᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ"
	looksLike  = "abeeiijkmhopcstyxhdqwl" + "abenikvoptuxwyc" + "onhu" + "igaiabcdefghijklmnoprstuvwyz"
)

// latinLookAlike returns the Latin letter that r looks like, or r.
func latinLookAlike(r rune) rune {
	if r < utf8.RuneSelf {
		return r
	}
	at := strings.IndexRune(lookAlikes, r)
	if at < 0 {
		return r
	}
	return rune(looksLike[utf8.RuneCountInString(lookAlikes[:at])])
}
