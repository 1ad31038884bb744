//! Money: 64-bit integers of a millionth of the organisation's currency. No floating point anywhere near it.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount in millionths of a currency unit: `40000` is 0.04.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

/// The sum does not fit in 64 bits.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount is too large to be counted")]
pub struct Overflow;

impl Micros {
    pub const ZERO: Self = Self(0);

    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_add(other.0).map(Self).ok_or(Overflow)
    }

    pub fn minus(self, other: Self) -> Result<Self, Overflow> {
        self.0.checked_sub(other.0).map(Self).ok_or(Overflow)
    }

    pub fn times(self, factor: i64) -> Result<Self, Overflow> {
        self.0.checked_mul(factor).map(Self).ok_or(Overflow)
    }
}

/// What a person typed is not an amount.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAmount {
    #[error("Write an amount such as 20 or 20.50.")]
    Shape,
    #[error("Write an amount of zero or more.")]
    Negative,
    #[error("This amount is too large. The most is 9,223,372,036,854.")]
    TooLarge,
}

/// Reads `20`, `20.5`, `20,5` and `0.0025`: up to six decimals and nothing between thousands.
impl std::str::FromStr for Micros {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix(['-', '\u{2212}']) {
            let no_amount = matches!(rest.parse::<Self>(), Err(NotAnAmount::Shape | NotAnAmount::Negative));
            return Err(if no_amount { NotAnAmount::Shape } else { NotAnAmount::Negative });
        }
        let (units, decimals) = text.split_once(['.', ',']).unwrap_or((text, "0"));
        // `1,000` is a thousand to some people and one to others.
        let thousands = units != "0" && decimals.len() == 3 && text.contains(',');
        let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !plain(units) || !plain(decimals) || decimals.len() > 6 || thousands {
            return Err(NotAnAmount::Shape);
        }
        let micros = format!("{units}{decimals:0<6}");
        micros.parse().map(Self).map_err(|_| NotAnAmount::TooLarge)
    }
}

impl Micros {
    /// As `from_str` reads it, with at least two decimals: `20.00`, for a field that is to be edited.
    pub fn decimal(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let all = self.0.unsigned_abs();
        let decimals = format!("{:06}", all % 1_000_000);
        let kept = decimals.trim_end_matches('0').len().max(2);
        format!("{sign}{}.{}", all / 1_000_000, decimals.chars().take(kept).collect::<String>())
    }
}

/// An ISO 4217 code, such as `EUR`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a currency code of three capital letters")]
pub struct NotACurrency;

impl Currency {
    /// ISO 4217's code where no currency is involved.
    pub const NONE: Self = Self(*b"XXX");

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl std::str::FromStr for Currency {
    type Err = NotACurrency;

    fn from_str(text: &str) -> Result<Self, NotACurrency> {
        let bytes: [u8; 3] = text.as_bytes().try_into().map_err(|_| NotACurrency)?;
        if bytes.iter().all(u8::is_ascii_uppercase) { Ok(Self(bytes)) } else { Err(NotACurrency) }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount with its currency, as the API writes it: `{"micros": 40000, "currency": "EUR"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    #[schema(value_type = i64)]
    pub micros: Micros,
    #[schema(value_type = String, pattern = "^[A-Z]{3}$")]
    pub currency: Currency,
}

impl Money {
    pub fn new(micros: Micros, currency: Currency) -> Self {
        Self { micros, currency }
    }
}

/// For sentences and pages: `€0.16`, `$12.50`, `CHF 3.00`, `€0.0025`, `−€2.00`; two decimals, more only where they count.
impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.micros.decimal();
        let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |text| ("\u{2212}", text));
        let (units, decimals) = text.split_once('.').unwrap_or((text, "00"));
        let symbol = match self.currency.as_str() {
            "EUR" => "€".to_owned(),
            "USD" => "$".to_owned(),
            "GBP" => "£".to_owned(),
            code => format!("{code}\u{a0}"),
        };
        write!(out, "{sign}{symbol}{}.{decimals}", grouped(units))
    }
}

/// `4218` as `4,218`.
pub fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_people_write_it() {
        let show = |micros, code: &str| Money::new(Micros(micros), code.parse().unwrap()).to_string();
        assert_eq!(show(160_000, "EUR"), "€0.16");
        assert_eq!(show(2_500, "EUR"), "€0.0025");
        assert_eq!(show(-1_234_567_000_000, "USD"), "\u{2212}$1,234,567.00");
        assert_eq!(show(3_000_000, "CHF"), "CHF\u{a0}3.00");
        assert_eq!(show(i64::MIN, "GBP"), "\u{2212}£9,223,372,036,854.775808");
    }

    #[test]
    fn what_people_type_is_read_exactly_or_not_at_all() {
        let read = |text: &str| text.parse::<Micros>().map(|micros| micros.0);
        assert_eq!(read("20"), Ok(20_000_000));
        assert_eq!(read(" 20.5 "), Ok(20_500_000));
        assert_eq!(read("0.0025"), Ok(2_500));
        assert_eq!((read("0,15"), read("20,5"), read("0,015")), (Ok(150_000), Ok(20_500_000), Ok(15_000)));
        assert_eq!(read("9223372036854.775807"), Ok(i64::MAX));
        assert_eq!(read("9223372036854.775808"), Err(NotAnAmount::TooLarge));
        assert_eq!(read("-5"), Err(NotAnAmount::Negative));
        for wrong in [
            "",
            ".",
            "5.",
            ".5",
            "5,",
            "1,000",
            "1,000.5",
            "1.000,5",
            "1e3",
            "+5",
            "--5",
            "0.0000001",
            "twenty",
            "\u{663}",
        ] {
            assert_eq!(read(wrong), Err(NotAnAmount::Shape), "{wrong}");
        }
        for micros in [0, 1, 2_500, 20_000_000, i64::MAX] {
            assert_eq!(read(&Micros(micros).decimal()), Ok(micros));
        }
        assert_eq!(Micros(20_000_000).decimal(), "20.00");
    }

    #[test]
    fn refuses_to_wrap() {
        assert_eq!(Micros(i64::MAX).plus(Micros(1)), Err(Overflow));
        assert_eq!(Micros(i64::MAX).times(2), Err(Overflow));
    }
}
