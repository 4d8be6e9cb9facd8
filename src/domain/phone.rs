//! Telephone numbers: E.164 through libphonenumber's rules, and mainland service numbers,
//! which have no form that is dialed from abroad.

use std::fmt;

use phonenumber::{Mode, country};
use secrecy::{ExposeSecret, SecretString};

/// What a number must be, for the caller.
const RULE: &str = "must be a valid telephone number: E.164, a mainland number as dialed at \
                    home, or a mainland service number (400, 800, 95)";
/// E.164 allows 15 digits; this leaves room for spaces, hyphens and brackets.
const MAX_INPUT: usize = 32;

/// A number that can be dialed; `Debug` does not show it.
#[derive(Clone)]
pub struct Phone(SecretString);

impl Phone {
    /// Reads a number as people write it: spaces, hyphens and brackets are allowed.
    pub fn parse(input: &str) -> Result<Self, &'static str> {
        if input.len() > MAX_INPUT
            || !input
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')'))
        {
            return Err(RULE);
        }
        if let Some(service) = service_number(input)? {
            return Ok(Self(service.into()));
        }
        let number = phonenumber::parse(Some(country::CN), input).map_err(|_| RULE)?;
        if !number.is_valid() || number.extension().is_some() {
            return Err(RULE);
        }
        Ok(Self(number.format().mode(Mode::E164).to_string().into()))
    }

    /// A number that was parsed before.
    pub fn trusted(number: SecretString) -> Self {
        Self(number)
    }

    /// `+8613800000000`, or a service number as dialed: `4001234567`.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// `138****0000`; a foreign number keeps its country code.
    pub fn mask(&self) -> String {
        let number = self.expose();
        if let Some(national) = number.strip_prefix("+86") {
            return mask_digits(national);
        }
        // Cut from the number itself: parsed again, a leading digit may pass for a prefix.
        let code = phonenumber::parse(None, number).map(|p| format!("+{}", p.code().value()));
        match code
            .as_deref()
            .map(|code| (code, number.strip_prefix(code)))
        {
            Ok((code, Some(national))) => format!("{code} {}", mask_digits(national)),
            _ => mask_digits(number),
        }
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(***)")
    }
}

/// `400` and `800` with seven digits, `95` with three to six; a leading +86 is dropped. What
/// begins so and has another length is no other number: `Err`.
fn service_number(input: &str) -> Result<Option<String>, &'static str> {
    let digits: String = input
        .strip_prefix("+86")
        .unwrap_or(input)
        .chars()
        .filter(|c| !matches!(c, ' ' | '-'))
        .collect();
    let known = if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    } else if digits.starts_with("400") || digits.starts_with("800") {
        digits.len() == 10
    } else if digits.starts_with("95") {
        (5..=8).contains(&digits.len())
    } else {
        return Ok(None);
    };
    if known { Ok(Some(digits)) } else { Err(RULE) }
}

/// Keeps as much as tells two numbers of one shop apart, and no more.
fn mask_digits(digits: &str) -> String {
    let (head, tail) = match digits.len() {
        11.. => (3, 4),
        8..=10 => (3, 2),
        _ => (2, 1),
    };
    let cut = digits.len().saturating_sub(tail);
    format!("{}****{}", &digits[..head.min(cut)], &digits[cut..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stored_as_dialed() {
        for (input, stored, mask) in [
            ("13800000000", "+8613800000000", "138****0000"),
            ("+86 138-0000-0000", "+8613800000000", "138****0000"),
            ("010-62345678", "+861062345678", "106****78"),
            ("400-123-4567", "4001234567", "400****67"),
            ("8008101234", "8008101234", "800****34"),
            ("95588", "95588", "95****8"),
            ("+8695588", "95588", "95****8"),
            ("+1 650 253 0000", "+16502530000", "+1 650****00"),
            ("+85221234567", "+85221234567", "+852 212****67"),
            ("+7 800 555 35 35", "+78005553535", "+7 800****35"),
            ("+377 80001234", "+37780001234", "+377 800****34"),
        ] {
            let phone = Phone::parse(input).unwrap_or_else(|e| panic!("{input}: {e}"));
            assert_eq!(phone.expose(), stored, "{input}");
            assert_eq!(phone.mask(), mask, "{input}");
            assert!(!format!("{phone:?}").contains(&stored[2..]));
        }
    }

    #[test]
    fn what_cannot_be_dialed_is_refused() {
        for bad in [
            "",
            "+",
            "1",
            "12345678901",
            "138000000000",
            "4001",
            "40012345678",
            "95",
            "9",
            "１３８００００００００",
            "13800000000;ext=1",
            "tel:13800000000",
            "+999123456789",
            "1380000000O",
            "13800000000\0",
            &"1".repeat(40),
        ] {
            assert!(Phone::parse(bad).is_err(), "{bad:?}");
        }
    }
}
