//! Amounts of money in the words of a person: minor units into a grouped decimal.

/// Between groups of three digits. A space, because a comma or a point is the
/// decimal mark of half the world; narrow and unbreakable, so that a number
/// stays one word.
const GROUP: char = '\u{202f}';

/// A real minus sign: a screen reader may pass over a hyphen in silence.
const MINUS: char = '\u{2212}';

const NO_DIGITS: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
    "VUV", "XAF", "XOF", "XPF",
];

/// Codes that ISO 4217 has withdrawn of late stay here: orders are kept.
const TWO_DIGITS: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT",
    "BGN", "BMD", "BND", "BOB", "BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF",
    "CHE", "CHF", "CHW", "CNY", "COP", "COU", "CRC", "CUC", "CUP", "CVE", "CZK", "DKK", "DOP",
    "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD", "GTQ",
    "GYD", "HKD", "HNL", "HRK", "HTG", "HUF", "IDR", "ILS", "INR", "IRR", "JMD", "KES", "KGS",
    "KHR", "KPW", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "MAD", "MDL", "MGA", "MKD",
    "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN",
    "NIO", "NOK", "NPR", "NZD", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "QAR", "RON", "RSD",
    "RUB", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SLL", "SOS", "SRD", "SSP",
    "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH",
    "USD", "USN", "UYU", "UZS", "VED", "VES", "WST", "XCD", "XCG", "YER", "ZAR", "ZMW", "ZWG",
    "ZWL",
];

const THREE_DIGITS: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

const FOUR_DIGITS: &[&str] = &["CLF", "UYW"];

/// The currency of an order, and how many digits of its amounts are decimals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Currency<'a> {
    code: &'a str,
    /// `None` when ISO 4217 has no such code: a guess could be wrong a hundredfold.
    digits: Option<u32>,
}

impl<'a> Currency<'a> {
    /// Looks the code up. Case and blanks around it do not matter, as they do not to people; it
    /// is shown as it was sent.
    pub(super) fn new(code: &'a str) -> Self {
        let known = code.trim().to_ascii_uppercase();
        let digits = [(NO_DIGITS, 0), (TWO_DIGITS, 2), (THREE_DIGITS, 3), (FOUR_DIGITS, 4)]
            .into_iter()
            .find_map(|(codes, digits)| codes.contains(&known.as_str()).then_some(digits));
        Self { code, digits }
    }

    /// An amount of minor units as a decimal number, without the unit.
    pub(super) fn number(&self, minor_units: i64) -> String {
        let scale = 10_u64.pow(self.digits.unwrap_or(0));
        let magnitude = minor_units.unsigned_abs();

        let mut number = String::new();
        if minor_units < 0 {
            number.push(MINUS);
        }
        let whole = (magnitude / scale).to_string();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                number.push(GROUP);
            }
            number.push(digit);
        }
        if let Some(digits @ 1..) = self.digits {
            let width = digits as usize;
            let fraction = format!("{:0width$}", magnitude % scale);
            number.push('.');
            number.push_str(&fraction);
        }
        number
    }

    /// What the numbers count.
    pub(super) fn unit(&self) -> String {
        match (self.digits, self.code) {
            (Some(_), code) => code.to_owned(),
            (None, "") => "minor units, no currency given".to_owned(),
            (None, code) => format!("minor units of {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_amount_has_the_decimals_of_its_currency() {
        let table = [
            ("USD", 0, "0.00"),
            ("USD", 5, "0.05"),
            ("USD", -5, "−0.05"),
            ("USD", 1817, "18.17"),
            ("USD", 99_999, "999.99"),
            ("USD", 100_000, "1 000.00"),
            ("RUB", -123_456_789, "−1 234 567.89"),
            ("JPY", 1817, "1 817"),
            ("JPY", -100, "−100"),
            ("KWD", 1817, "1.817"),
            ("KWD", 7, "0.007"),
            ("CLF", 18_170, "1.8170"),
            ("EUR", i64::MAX, "92 233 720 368 547 758.07"),
            ("EUR", i64::MIN, "−92 233 720 368 547 758.08"),
            ("KRW", i64::MIN, "−9 223 372 036 854 775 808"),
            ("XYZ", 1_817, "1 817"),
            ("rub", 1_817, "18.17"),
            ("Jpy", 1_817, "1 817"),
            (" USD ", 1_817, "18.17"),
        ];
        for (code, minor_units, expected) in table {
            let expected = expected.replace(' ', "\u{202f}");
            assert_eq!(Currency::new(code).number(minor_units), expected, "{minor_units} {code}");
        }
    }

    #[test]
    fn an_unknown_currency_is_never_guessed() {
        let table = [
            ("USD", "USD"),
            ("usd", "usd"),
            ("XYZ", "minor units of XYZ"),
            ("USD ", "USD "),
            ("US D", "minor units of US D"),
            ("", "minor units, no currency given"),
        ];
        for (code, expected) in table {
            assert_eq!(Currency::new(code).unit(), expected);
        }
    }

    #[test]
    fn every_code_is_listed_once_in_three_capitals() {
        let mut seen = HashSet::new();
        for code in [NO_DIGITS, TWO_DIGITS, THREE_DIGITS, FOUR_DIGITS].concat() {
            assert!(
                code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()),
                "{code}"
            );
            assert!(seen.insert(code), "{code} is listed twice");
        }
    }

    proptest! {
        #[test]
        fn the_amount_can_be_read_back(minor_units: i64, code in "USD|JPY|kwd|UYW|[a-z]{0,4}") {
            let currency = Currency::new(&code);
            let number = currency.number(minor_units);

            let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            prop_assert_eq!(decimals, currency.digits.unwrap_or(0) as usize);

            let digits = number.replace([GROUP, '.'], "").replace(MINUS, "-");
            prop_assert_eq!(digits.parse::<i64>().unwrap(), minor_units);
        }
    }
}
