//! What people write: text of many languages, and hashtags in every company.
//!
//! In: a generator. Out: text. Nothing here knows a community; a tag is given as its word, `atrarium_` and 8 digits.

use fastrand::Rng;

/// A language and some of its sentences. Nothing in them touches the stream's needles.
const SENTENCES: [(&str, &[&str]); 12] = [
    (
        "en",
        &[
            "Just finished a long walk by the river & the light was unreal.",
            "Does anybody have a good recipe for rhubarb that isn't a crumble?",
            "I keep saying \"one more chapter\" and then it is 3am.",
            "<b>Reminder</b>: hydrate, stretch, log off.",
            "New sketch, two hours, mostly ink. The hands took half of it.",
            "Why does the train announce itself like it's a surprise party",
        ],
    ),
    (
        "ja",
        &[
            "今日はとても暑かったので、夕方まで家で本を読んでいました。",
            "新しいイラストを描きました。よかったら見てください！",
            "待って、もうこんな時間…明日も早いのに…",
            "駅前のパン屋さん、カレーパンが揚げたてで最高だった。",
        ],
    ),
    (
        "pt",
        &[
            "Bom dia, gente! Hoje o café está mais forte do que o normal.",
            "A chuva não para e eu esqueci o guarda-chuva de novo.",
            "Alguém indica uma série curta pra maratonar no fim de semana?",
        ],
    ),
    (
        "de",
        &[
            "Die Bahn hat heute ausnahmsweise keine Verspätung, ich bin misstrauisch.",
            "Im Garten blüht endlich der Mohn, und niemand schaut hin.",
            "Frisches Brot, Salz, Butter – mehr braucht es manchmal nicht.",
        ],
    ),
    ("ko", &["오늘 날씨가 너무 좋아서 산책을 오래 했어요.", "새로 산 키보드 소리가 정말 마음에 든다."]),
    ("ar", &["صباح الخير يا أصدقاء، القهوة جاهزة والكتاب مفتوح.", "المطر جميل هذا المساء."]),
    ("ru", &["Сегодня весь день собирали грибы, а нашли только ёжика.", "Опять не выспался, зато дочитал роман."]),
    ("th", &["วันนี้ฝนตกหนักมาก แต่แมวก็ยังอยากออกไปข้างนอก", "กาแฟแก้วที่สามของวัน"]),
    ("hi", &["आज सुबह की चाय कुछ ज़्यादा ही मीठी थी।", "बारिश के बाद मिट्टी की ख़ुशबू सबसे अच्छी है।"]),
    ("tr", &["Vapurda çay içmek bu şehrin en güzel yanı.", "İyi geceler, yarın görüşürüz."]),
    ("es", &["¿Alguien más piensa que agosto dura tres meses?", "Se me quemó el arroz otra vez, pero con cariño."]),
    ("fr", &["L'été, les cigales, et ce bouquin que je n'arrive pas à lâcher.", "Où est passé mon parapluie ?"]),
];

/// How often each language of [`SENTENCES`] is spoken.
const SPEAKERS: [u32; 12] = [42, 22, 9, 6, 5, 2, 3, 2, 2, 2, 3, 2];

const SMALL: [&str; 8] = ["💦", "👨\u{200d}👩\u{200d}👧", "❤\u{fe0f}", "…", "!!", "🏳\u{fe0f}\u{200d}🌈", "\n", "✨"];

/// Hashtags that have nothing to do with Atrarium.
const OTHER_TAGS: [&str; 8] = ["art", "イラスト", "photography", "NowPlaying", "caturday", "atrarium", "Δx", "writing"];

/// One of `weights` by its weight.
pub fn weighted(rng: &mut Rng, weights: &[u32]) -> usize {
    let mut point = rng.u32(0..weights.iter().sum::<u32>().max(1));
    for (at, &weight) in weights.iter().enumerate() {
        if point < weight {
            return at;
        }
        point -= weight;
    }
    weights.len() - 1
}

/// Some sentences of one language, and which it is.
pub fn sentences(rng: &mut Rng) -> (&'static str, String) {
    let (language, known) = SENTENCES[weighted(rng, &SPEAKERS)];
    let mut text = String::new();
    for _ in 0..1 + weighted(rng, &[55, 30, 15]) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(known[rng.usize(0..known.len())]);
    }
    if rng.u8(0..4) == 0 {
        text.push_str(SMALL[rng.usize(0..SMALL.len())]);
    }
    (language, text)
}

/// A hashtag that is nobody's community, without `#`.
pub fn other_tag(rng: &mut Rng) -> &'static str {
    OTHER_TAGS[rng.usize(0..OTHER_TAGS.len())]
}

/// What may stand right before and right after a tag that counts.
const COMPANY: [(&str, &str); 14] = [
    ("", ""),
    (" ", ""),
    (" ", " "),
    ("(", ")."),
    ("\n", "\n"),
    ("、", "、はい"),
    ("「", "」"),
    (" ", "! "),
    ("。", "。"),
    ("🌱", "🌱"),
    (" ", ", "),
    ("\"", "\""),
    (" <", ">"),
    (" ", "\u{200d}"),
];

/// `text` with a tag somewhere, so that it counts.
pub fn with_tag(rng: &mut Rng, text: &str, word: &str) -> String {
    let (before, after) = COMPANY[rng.usize(0..COMPANY.len())];
    match rng.u8(0..5) {
        0 => format!("#{word} {text}"),
        1 => format!("{text} — #{word}{after} {text}"),
        _ if before.is_empty() => format!("#{word}"),
        _ => format!("{text}{before}#{word}{after}"),
    }
}

/// `text` with something that looks like the tag and does not count, and what is wrong with it.
pub fn with_near_miss(rng: &mut Rng, text: &str, word: &str) -> (&'static str, String) {
    let upper = format!("atrarium_{}", word["atrarium_".len()..].to_uppercase().replace(char::is_numeric, "A"));
    let miss: (&'static str, String) = match rng.u8(0..14) {
        0 => ("near miss: a ninth digit", format!("#{word}e")),
        1 => ("near miss: letters follow", format!("#{word}さん")),
        2 => ("near miss: two hashes", format!("##{word}")),
        3 => ("near miss: fullwidth hash", format!("＃{word}")),
        4 => ("near miss: a letter before", format!("x#{word}")),
        5 => ("near miss: kana before", format!("の#{word}")),
        6 => ("near miss: in a path", format!("https://example.com/#{word}")),
        7 => ("near miss: no hash", word.to_string()),
        8 => ("near miss: capital", format!("#A{}", &word[1..])),
        9 => ("near miss: capital digits", format!("#{upper}")),
        10 => ("near miss: seven digits", format!("#{}", &word[..word.len() - 1])),
        11 => ("near miss: underscore follows", format!("#{word}_")),
        12 => ("near miss: a mark follows", format!("#{word}\u{301}")),
        _ => ("near miss: a foreign digit follows", format!("#{word}\u{661}")),
    };
    (miss.0, format!("{text} {}", miss.1))
}

/// A content id: its form only.
pub fn cid(rng: &mut Rng) -> String {
    let mut cid = String::with_capacity(59);
    cid.push_str("bafyrei");
    base32(rng, 52, &mut cid);
    cid
}

/// A `did:plc`.
pub fn did_plc(rng: &mut Rng) -> String {
    let mut did = String::with_capacity(32);
    did.push_str("did:plc:");
    base32(rng, 24, &mut did);
    did
}

fn base32(rng: &mut Rng, characters: usize, out: &mut String) {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bits = 0;
    for at in 0..characters {
        if at % 12 == 0 {
            bits = rng.u64(..);
        }
        out.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_count_and_near_misses_do_not() {
        let mut rng = Rng::with_seed(1);
        for _ in 0..5_000 {
            let id = format!("{:08x}", rng.u32(..));
            let word = format!("atrarium_{id}");
            let (_, text) = sentences(&mut rng);
            assert!(model::tags_in_text(&text).is_empty(), "{text}");
            let tagged = with_tag(&mut rng, &text, &word);
            assert!(model::tags_in_text(&tagged).contains(&id), "{tagged}");
            let (why, missed) = with_near_miss(&mut rng, &text, &word);
            assert!(model::tags_in_text(&missed).is_empty(), "{why}: {missed}");
        }
    }
}
