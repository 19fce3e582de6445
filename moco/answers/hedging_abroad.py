"""Words of not knowing in other languages than English: a negation beside a word of knowing or
telling, "no" before "answer" or "idea", and the words for unknown, impossible and it depends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

LATIN: Mapping[str, str] = {
    "es": r"\bno\s+(?:(?:lo|la|me|se|te)\s+)*(?:sé|se|sab\w+|cono[zc]\w+|pued\w+|pod\w+|teng\w+"
    r"|est\w+\s+(?:\w+\s+)?(?:segur|clar)\w*|hay\s+(?:\w+\s+){0,3}?"
    r"(?:respuesta|informaci|manera|forma|dato|consenso))"
    r"|\bninguna?\b|\b(?:desconocid|inciert|dudos)\w*|\b(?:imposible|depende)\b",
    "pt": r"\bn[ãa]o\s+(?:(?:o|a|se|me|eu)\s+)*(?:sei|sab\w+|conhe\w+|poss\w+|pod\w+|consig\w+"
    r"|tenh\w+|h[áa]\b|est\w+\s+\w+|[ée]\s+(?:poss|clar|cert))"
    r"|\bnenhuma?\b|\bdesconhecid\w+|\bimpossível\b|\bincert\w+",
    "fr": r"\bn(?:e|')\s?(?:\w+\s+)?(?:sai\w|sav\w+|saur\w+|peu\w|pouv\w+|conna\w+|sui\w|est"
    r"|dispos\w+)\b.{0,30}?\b(?:pas|rien|aucun|plus|point)\b|\b(?:je|j)\s+sais\s+pas\b"
    r"|\baucune?\b|\binconnue?\b|\bimpossible\b|\bd[ée]pend\b|\bincertaine?\b",
    "it": r"\bnon\s+(?:(?:lo|la|si|ne|mi)\s+)*(?:so|sa|sapp\w+|sapr\w+|poss\w+|pu[òo]|conosc\w+|ho"
    r"|son\w+\s+\w+|[èe]\s+(?:chiar|possib|not|cert)|c'[èe])\b"
    r"|\bnessun[oa]?\b|\bsconosciut\w+|\bimpossibile\b|\bdipende\b",
    "ro": r"\bnu\s+(?:(?:se|s[ăa])\s+)*(?:[șsş]ti\w*|pot|poate|am|sunt\s+sigur"
    r"|este\s+(?:clar|sigur))|\bnecunoscut\w*",
    "de": r"\bwei(?:ß|ss)\w*\b.{0,25}?\b(?:nicht|nichts|niemand)\b"
    r"|\b(?:nicht|kaum|schwer|unmöglich)\s+(?:\w+\s+)?(?:zu\s+)?(?:sicher|bekannt|klar|möglich"
    r"|eindeutig|beantwort\w+|bestimm\w+|entscheid\w+|sag\w+|wiss\w+|beurteil\w+)"
    r"|\bkein\w*\s+(?:\w+\s+)?(?:ahnung|antwort|angabe\w*|option|information\w*|idee|meinung)"
    r"|\b(?:unbekannt|unklar|ungewiss|unsicher|strittig|umstritten)\w*"
    r"|\bkommt\s+(?:\w+\s+)?darauf\s+an|\bhängt\b.{0,30}\bab\b",
    "nl": r"\bwe(?:et|ten)\b.{0,20}?\bniet\b|\bniet\s+(?:zeker|bekend|duidelijk|mogelijk|te\s+\w+)"
    r"|\bgeen\s+(?:\w+\s+)?(?:idee|antwoord|optie|informatie)|\bon(?:bekend|duidelijk|zeker)\b",
    "sv, da, nb, is": r"\bv[ei][td]\s+(?:(?:jag|jeg|det|vi)\s+)*(?:inte|ikke|ej)\b"
    r"|\bingen\s+(?:aning|anelse)\b|\b(?:ok[äe]nd?t|ukj?endt|[ou]klart)\b|\bveit\s+(?:\w+\s+)?ekki\b",
    "pl, cs, hr": r"\bni(?:e|mam)\s+(?:\w+\s+)?(?:wi\w+|mog\w*|mo[żz]\w+|jestem\s+\w+|poj\w+|znam)"
    r"|\bnev[ií]m\w*|\bnelze\b|\bne\s+znam\b",
    "hu, fi": r"\bnem\s+(?:\w+\s+)?(?:tud\w+|lehet\w*|biztos|ismer\w+)"
    r"|\ben\s+(?:tied\w+|osaa\w*|voi)\b|\bei\s+(?:tiet\w+|voi\w*|ole\s+\w+)",
    "tr": r"\bbil(?:m|in)\w*(?:yor|em|mez|ed)\w*|\b(?:emin|belli|mümkün)\s+değil\w*"
    r"|\bfikr\w+\s+yok\b|\bbelirsiz\b",
    "vi": r"\b(?:không|chưa)\s+(?:\w+\s+)?(?:biết|chắc|thể|rõ|có\s+(?:câu|đủ|thông|cách))",
    "id, ms": r"\b(?:tidak|tak|belum|nggak)\s+(?:\w+\s+)?(?:tahu|yakin|bisa|dapat|diketahui|jelas"
    r"|ada)|\btergantung\b",
    "sw, yo, zu, wo": r"\b(?:si|hatu|hai)(?:jui|na|wezi|julikani|fahamu)\w*|\bk[oò]\s+m[oọ]\w*"
    r"|\b(?:a|an)g(?:azi|ikwazi|iqiniseki)\w*|\b(?:xam|mën)u(?:ma|l|ñu)\w*",
}
OTHER: Mapping[str, str] = {
    "ru, uk, sr": r"\bне(?:ма|льзя)?\s*(?:\w+\s+){0,2}?(?:зна\w+|мог\w+|мож\w+|увер\w+|впевн\w+"
    r"|извест\w+|відом\w+|ясн\w+|поня\w+|опред\w+|сказ\w+|ответ\w+|сигур\w+|зрозум\w+)"
    r"|\bне(?:извест|возможн|відом|ясн|познат|можлив|определ)\w*|\bзатрудн\w+|\bзави?сит\b",
    "el": r"\bδεν\s+(?:(?:το|μπορώ\s+να)\s+)*(?:ξέρ\w+|γνωρίζ\w+|μπορ\w+|είμαι|είναι\s+\w+)"
    r"|\bάγνωστ\w+",
    "zh": r"[不没沒未難难](?:太)?(?:知道?|清楚|[确確]定|明[确確]|能|会|會|好[说說]|一定|有|以|上来"
    r"|上來|得而知)|[无無]法|[说說]不[准準好清]|取[决決]于|看情[况況]|未[定知詳详]|不[明詳详]",
    "ja": r"(?:わか|分か|判|解|知|答え|言え|決め|選べ|断定|判断|回答)\S{0,4}?"
    r"(?:ません|ない|ねる|かねます)|場合による|なんとも",
    "ko": r"모르|모릅|모른|[알말답할정]\S{0,3}\s*수\s*(?:가\s*)?없|확실(?:하지|치)"
    r"|불(?:분명|확실|명확)|미정|경우에\s*따라",
    "hi, mr, ne": r"(?:पता|मालूम|जान|ज्ञात|स्पष्ट|निश्चित|कह|बता|थाहा|माही?त|सक)\S*(?:\s+\S+){0,3}?\s*"
    r"(?:नहीं|नहि|नाही|छैन|नहिं)|(?:नहीं|नाही)\s+(?:\S+\s+)?(?:पता|मालूम|जान|कह|बता|सक)"
    r"|अज्ञात|असंभव|अनिश्चित",
    "bn": r"(?:জানি|জানা|জানে|নিশ্চিত|বলা|বলতে|স্পষ্ট)\S*(?:\s+\S+){0,2}?\s*(?:না|নেই|নই|নয়)|অজানা",
    "te, ta, ml, kn, gu, pa": r"తెలియ|తెలీ|చెప్పలే|తెలవ|தெரியா|தெரியவில்லை"
    r"|(?:சொல்ல|கூற)\S*\s+முடியா|ഉറപ്പില്ല|അറിയില്ല|ಗೊತ್ತಿಲ್ಲ|ખબર\s+નથી|ਪਤਾ\s+ਨਹੀਂ",
    "ar": r"\bلا\s*(?:أعرف|أعلم|أدري|نعرف|نعلم|يمكن|أستطيع|يوجد|توجد|أحد|تتوفر)"
    r"|لست\s+(?:متأكد|واثق)|غير\s+(?:معروف|مؤكد|واضح|معلوم|محدد|كاف)|ليس\s+(?:لدي|هناك)|يعتمد",
    "fa, ur, he": r"نمی\s?(?:دان|توان|شود|شه)|نامشخص|معلوم\s+نیست"
    r"|(?:معلوم|پتہ|جانت|یقین)\S*(?:\s+\S+){0,2}?\s*نہیں"
    r"|לא\s+(?:יודע|ידוע|ניתן|בטוח|יכול|ברור)|אין\s+(?:לי|תשובה|דרך)",
    "th": r"ไม่(?:ทราบ|รู้|แน่|สามารถ|มี(?:คำตอบ|ข้อมูล|ใคร)|ได้ระบุ|ชัด)",
}
"""Patterns by language (ISO 639); those of the second table need other than ASCII letters."""

_LATIN = re.compile("|".join(LATIN.values()))
_OTHER = re.compile("|".join(OTHER.values()))


def doubts(lowered: str) -> bool:
    """Whether a text in lower case says in one of these languages that it does not know."""
    return bool(_LATIN.search(lowered)) or (not lowered.isascii() and bool(_OTHER.search(lowered)))
