//! Amounts of money in the words of a person: whole numbers into a grouped decimal.

use super::texts::Texts;
use crate::config::Amounts;

/// Between groups of three digits. A space, because a comma or a point is the
/// decimal mark of half the world; narrow and unbreakable, so that a number
/// stays one word.
const GROUP: char = '\u{202f}';

/// A real minus sign: a screen reader may pass over a hyphen in silence.
const MINUS: char = '\u{2212}';

/// The Netherlands Antillean guilder, which ISO 4217 withdrew in 2025: orders are kept longer.
const WITHDRAWN: (&str, u16) = ("ANG", 2);

/// The currency of an order, and how its amounts are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Currency<'a> {
    code: &'a str,
    amounts: Amounts,
    /// How many decimals the minor unit is. `None` when ISO 4217 has no such code: a guess could
    /// be wrong a hundredfold.
    digits: Option<u16>,
}

impl<'a> Currency<'a> {
    /// Looks the code up. Case and blanks around it do not matter, as they do not to people; it
    /// is shown as it was sent.
    pub(super) fn new(code: &'a str, amounts: Amounts) -> Self {
        let known = code.trim().to_ascii_uppercase();
        let digits = match iso_currency::Currency::from_code(&known) {
            Some(currency) => currency.exponent(),
            None => (known == WITHDRAWN.0).then_some(WITHDRAWN.1),
        };
        Self { code, amounts, digits }
    }

    /// An amount as a decimal number, without the unit.
    pub(super) fn number(&self, amount: i64) -> String {
        let decimals = self.decimals();
        let scale = 10_u64.pow(decimals.into());
        let magnitude = amount.unsigned_abs();

        let mut number = String::new();
        if amount < 0 {
            number.push(MINUS);
        }
        let whole = (magnitude / scale).to_string();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                number.push(GROUP);
            }
            number.push(digit);
        }
        if decimals > 0 {
            let width = usize::from(decimals);
            let fraction = format!("{:0width$}", magnitude % scale);
            number.push('.');
            number.push_str(&fraction);
        }
        number
    }

    fn decimals(&self) -> u16 {
        match self.amounts {
            Amounts::Minor => self.digits.unwrap_or(0),
            Amounts::Major => 0,
        }
    }

    /// Whether ISO 4217 has it, and so a name for it.
    pub(super) fn is_known(&self) -> bool {
        self.digits.is_some()
    }

    /// The unit of the numbers: the code, or minor units of one that is not known.
    pub(super) fn unit(&self, texts: &Texts) -> String {
        match (self.amounts, self.digits) {
            (Amounts::Minor, None) => (texts.minor_units_of)(self.code),
            (Amounts::Major, None) if self.code.is_empty() => texts.no_currency.to_owned(),
            (_, _) => self.code.to_owned(),
        }
    }

    /// How the numbers are read, where the unit does not say it.
    pub(super) fn note(&self, texts: &Texts) -> Option<&'static str> {
        match self.amounts {
            Amounts::Minor => self.digits.map(|_| texts.payment.read_as_minor_units),
            Amounts::Major => Some(texts.payment.read_as_major_units),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::site::page::texts::ENGLISH;

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
            ("ANG", 1_817, "18.17"),
            ("HRK", 1_817, "18.17"),
            ("XAU", 1_817, "1 817"),
            ("rub", 1_817, "18.17"),
            ("Jpy", 1_817, "1 817"),
            (" USD ", 1_817, "18.17"),
        ];
        for (code, minor_units, expected) in table {
            let expected = expected.replace(' ', "\u{202f}");
            let currency = Currency::new(code, Amounts::Minor);
            assert_eq!(currency.number(minor_units), expected, "{minor_units} {code}");
        }
    }

    #[test]
    fn major_units_are_shown_as_they_were_sent() {
        for (code, unit) in
            [("USD", "USD"), ("KWD", "KWD"), ("XYZ", "XYZ"), ("", "no currency given")]
        {
            let currency = Currency::new(code, Amounts::Major);
            assert_eq!(currency.number(-1_817), "−1\u{202f}817", "{code}");
            assert_eq!(currency.number(i64::MAX).replace(GROUP, ""), i64::MAX.to_string());
            assert_eq!(currency.unit(&ENGLISH), unit);
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
            assert_eq!(Currency::new(code, Amounts::Minor).unit(&ENGLISH), expected);
        }
    }

    proptest! {
        #[test]
        fn the_amount_can_be_read_back(minor_units: i64, code in "USD|JPY|kwd|UYW|[a-z]{0,4}") {
            let currency = Currency::new(&code, Amounts::Minor);
            let number = currency.number(minor_units);

            let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            prop_assert_eq!(decimals, usize::from(currency.digits.unwrap_or(0)));

            let digits = number.replace([GROUP, '.'], "").replace(MINUS, "-");
            prop_assert_eq!(digits.parse::<i64>().unwrap(), minor_units);
        }
    }
}
