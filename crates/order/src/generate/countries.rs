//! Where made-up customers live: names and places in several scripts, and money of several kinds.

/// A country as far as an order shows it.
pub(super) struct Country {
    /// Language of the customer.
    pub(super) locale: &'static str,
    /// ISO 4217 code.
    pub(super) currency: &'static str,
    /// What about one dollar is in minor units of the currency (which has 0, 2 or 3 decimals).
    pub(super) dollar: i64,
    /// The calling code.
    pub(super) phone: &'static str,
    /// How many digits a postal code has.
    pub(super) zip_digits: usize,
    /// Hours ahead of UTC.
    pub(super) utc_hours: i8,
    pub(super) names: &'static [&'static str],
    /// City and region.
    pub(super) places: &'static [(&'static str, &'static str)],
    pub(super) streets: &'static [&'static str],
    pub(super) banks: &'static [&'static str],
}

pub(super) const COUNTRIES: &[Country] = &[
    Country {
        locale: "en",
        currency: "USD",
        dollar: 100,
        phone: "+1",
        zip_digits: 5,
        utc_hours: -5,
        names: &["Ada Whitfield", "Marcus O'Neill", "Grace Kim", "José Ramírez", "Zoë Hart"],
        places: &[("Portland", "Oregon"), ("Buffalo", "New York"), ("St. Paul", "Minnesota")],
        streets: &["Elm Street", "N 5th Ave, Apt. \"B\"", "Martin Luther King Jr. Blvd"],
        banks: &["alpha", "First & Main"],
    },
    Country {
        locale: "ru",
        currency: "RUB",
        dollar: 9000,
        phone: "+7",
        zip_digits: 6,
        utc_hours: 3,
        names: &["Анна Королёва", "Пётр Щербаков", "Юлия Ёлкина", "Тимур Ахметов", "Ольга Жукова"],
        places: &[
            ("Москва", "Московская область"),
            ("Казань", "Татарстан"),
            ("Тверь", "Тверская область"),
        ],
        streets: &["ул. Ленина", "проспект Мира", "наб. реки Фонтанки"],
        banks: &["сбер", "alpha", "т-банк"],
    },
    Country {
        locale: "he",
        currency: "ILS",
        dollar: 370,
        phone: "+972",
        zip_digits: 7,
        utc_hours: 2,
        names: &["נועה לוי", "איתי כהן", "תמר פרידמן", "יוסף מזרחי"],
        places: &[("קריית מוצקין", "חיפה"), ("תל אביב-יפו", "גוש דן"), ("באר שבע", "הנגב")],
        streets: &["שדרות רוטשילד", "רחוב הרצל", "דרך העצמאות"],
        banks: &["לאומי", "הפועלים"],
    },
    Country {
        locale: "zh",
        currency: "CNY",
        dollar: 720,
        phone: "+86",
        zip_digits: 6,
        utc_hours: 8,
        names: &["王小明", "李娜", "欧阳志远", "陈静怡"],
        places: &[("杭州市", "浙江省"), ("成都市", "四川省"), ("广州市", "广东省")],
        streets: &["人民路", "中山东路", "建设大道"],
        banks: &["招商银行", "工商银行"],
    },
    Country {
        locale: "ja",
        currency: "JPY",
        dollar: 150,
        phone: "+81",
        zip_digits: 7,
        utc_hours: 9,
        names: &["佐藤 花子", "鈴木 一郎", "髙橋 さくら", "タナカ ケン"],
        places: &[("札幌市", "北海道"), ("京都市", "京都府"), ("那覇市", "沖縄県")],
        streets: &["中央区南一条西", "左京区下鴨", "泉崎一丁目"],
        banks: &["ゆうちょ", "みずほ"],
    },
    Country {
        locale: "ar",
        currency: "KWD",
        dollar: 307,
        phone: "+965",
        zip_digits: 5,
        utc_hours: 3,
        names: &["فاطمة العلي", "أحمد الصباح", "نورة المطيري"],
        places: &[("مدينة الكويت", "العاصمة"), ("حولي", "حولي"), ("الجهراء", "الجهراء")],
        streets: &["شارع الخليج العربي", "شارع سالم المبارك"],
        banks: &["بنك الخليج", "alpha"],
    },
    Country {
        locale: "de",
        currency: "EUR",
        dollar: 92,
        phone: "+49",
        zip_digits: 5,
        utc_hours: 1,
        names: &["Jürgen Groß", "Ayşe Yılmaz", "Łucja Nowak", "Björn Ångström"],
        places: &[("Köln", "Nordrhein-Westfalen"), ("Görlitz", "Sachsen"), ("München", "Bayern")],
        streets: &["Große Straße", "Am Mühlbach", "Königsallee"],
        banks: &["Sparkasse", "alpha"],
    },
    Country {
        locale: "kk",
        currency: "KZT",
        dollar: 48_000,
        phone: "+7",
        zip_digits: 6,
        utc_hours: 5,
        names: &["Айгүл Нұрланқызы", "Ерлан Әбдірахманов", "Шыңғыс Қасымов"],
        places: &[("Алматы", "Алматы"), ("Шымкент", "Түркістан облысы")],
        streets: &["Абай даңғылы", "Қабанбай батыр көшесі"],
        banks: &["kaspi", "halyk"],
    },
];

/// Articles and their brands.
pub(super) const ARTICLES: &[(&str, &str)] = &[
    ("Mascaras", "Vivienne Sabo"),
    ("Running shoes", "Nordstern"),
    ("Кроссовки детские", "Капика"),
    ("Термокружка 450 мл", "Арктика"),
    ("חולצת פשתן", "גולף"),
    ("保温杯", "富光"),
    ("折りたたみ傘", "ミズノ"),
    ("Kaffeemühle", "Müller & Söhne"),
    ("USB-C cable 2 m", "Ænker"),
    ("T-shirt \"Déjà vu\" 🎉", "L'Été"),
    ("Socks, 3 pairs", ""),
    ("Paper plane <kit>", "Fold & Fly"),
];

/// Carriers.
pub(super) const CARRIERS: &[&str] =
    &["meest", "dhl", "cdek", "sf-express", "israel-post", "yamato"];

/// Payment providers.
pub(super) const PROVIDERS: &[&str] = &["wbpay", "stripe", "sbp", "alipay", "bit"];

/// Sizes as printed on labels.
pub(super) const SIZES: &[&str] = &["0", "S", "M", "XL", "42", "36-38", "1/2\"", "ONE SIZE"];
