//! Money: whole hundredths of one currency. A second currency is refused, never converted.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The ledger's currency.
pub const CURRENCY: &str = "CNY";

/// The most that is taken in, either way: 1,000,000,000.00. The sum of all that a ledger may hold
/// of a merchant stays far within 64 bits.
const MOST: i64 = 100_000_000_000;

/// An amount, in hundredths of the ledger's currency.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Money(pub i64);

impl Money {
    /// Of whole units and billionths, as `google.type.Money` has them.
    pub fn from_parts(currency: &str, units: i64, nanos: i32) -> Result<Self, &'static str> {
        if currency != CURRENCY {
            return Err("must be in CNY, the ledger's currency");
        }
        let same_sign = units == 0 || nanos == 0 || (units < 0) == (nanos < 0);
        if nanos.unsigned_abs() > 999_999_999 || !same_sign {
            return Err("units and nanos must have the same sign, nanos within 999999999");
        }
        if nanos % 10_000_000 != 0 {
            return Err("must have at most two decimals");
        }
        units
            .checked_mul(100)
            .and_then(|cents| cents.checked_add(i64::from(nanos / 10_000_000)))
            .ok_or(RANGE)
            .and_then(Self::within)
    }

    /// Reads `-12.30`: no sign but a minus, no exponent, no thousands mark.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (units, cents) = digits.split_once('.').unwrap_or((digits, "0"));
        let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !number(units) || !number(cents) {
            return Err("must be a decimal number such as -12.30");
        }
        if cents.len() > 2 {
            return Err("must have at most two decimals");
        }
        let cents = format!("{cents:0<2}");
        let amount = format!("{units}{cents}")
            .parse::<i64>()
            .map_err(|_| RANGE)?;
        Self::within(if negative { -amount } else { amount })
    }

    fn within(cents: i64) -> Result<Self, &'static str> {
        if (-MOST..=MOST).contains(&cents) {
            Ok(Self(cents))
        } else {
            Err(RANGE)
        }
    }

    /// Whole units and billionths.
    pub fn parts(self) -> (i64, i32) {
        (self.0 / 100, (self.0 % 100) as i32 * 10_000_000)
    }
}

const RANGE: &str = "must be within 1,000,000,000.00 either way";

/// `1000.00 CNY`
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02} {CURRENCY}", cents / 100, cents % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_cent() {
        for (text, cents) in [
            ("0", 0),
            ("1000", 100_000),
            ("999.99", 99_999),
            ("1000.01", 100_001),
            ("-0.5", -50),
            ("007.10", 710),
            ("1000000000.00", MOST),
        ] {
            assert_eq!(Money::parse(text), Ok(Money(cents)), "{text}");
        }
        for bad in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "1.234",
            "1e3",
            "1,000",
            "+1",
            "--1",
            " 1",
            "NaN",
            "１",
            "1000000000.01",
            "99999999999999999999",
        ] {
            assert!(Money::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn googles_money_is_read_to_the_cent() {
        assert_eq!(Money::from_parts("CNY", -1, -500_000_000), Ok(Money(-150)));
        assert_eq!(Money(-150).parts(), (-1, -500_000_000));
        assert_eq!(Money(-150).to_string(), "-1.50 CNY");
        for (currency, units, nanos) in [
            ("USD", 1, 0),
            ("", 1, 0),
            ("cny", 1, 0),
            ("CNY", 1, 1),
            ("CNY", 1, -500_000_000),
            ("CNY", 0, 1_000_000_000),
            ("CNY", i64::MAX, 0),
            ("CNY", i64::MIN, 0),
            ("CNY", 0, i32::MIN),
        ] {
            assert!(
                Money::from_parts(currency, units, nanos).is_err(),
                "{currency} {units} {nanos}"
            );
        }
    }
}
