//! Resource names (AIP-122) and the ids in them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest id, in bytes.
const MAX_ID: usize = 63;
/// The longest id of a resource owned elsewhere, in bytes.
const MAX_FOREIGN_ID: usize = 64;

/// `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
pub fn is_id(id: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = id.as_bytes();
    bytes.len() <= MAX_ID
        && bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|b| alphanumeric(b) || *b == b'-')
}

/// What an id must be, for the caller.
pub const ID_RULE: &str =
    "must be 1 to 63 of [a-z0-9-], beginning and ending with a letter or digit";

/// `merchants/{merchant}`: an account of the platform; any well-formed id is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Merchant(String);

impl Merchant {
    /// Reads `merchants/{merchant}`.
    pub fn parse(name: &str) -> Result<Self, String> {
        name.strip_prefix("merchants/")
            .and_then(Self::from_id)
            .ok_or_else(|| format!("must be merchants/{{merchant}}; the id {ID_RULE}"))
    }

    /// The merchant with this id, if it is well-formed.
    pub fn from_id(id: &str) -> Option<Self> {
        is_id(id).then(|| Self(id.to_owned()))
    }

    pub fn id(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Merchant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "merchants/{}", self.0)
    }
}

/// A name under a merchant, whatever the collection.
pub trait ResourceName: Sized {
    /// The name of `id` under `merchant`, if the id is well-formed.
    fn new(merchant: Merchant, id: &str) -> Result<Self, &'static str>;
    /// Reads the full name.
    fn parse(name: &str) -> Result<Self, String>;
    fn merchant(&self) -> &Merchant;
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident in $collection:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub struct $name {
            merchant: Merchant,
            id: String,
        }

        impl $name {
            /// The name of `id` under `merchant`, if the id is well-formed.
            pub fn new(merchant: Merchant, id: &str) -> Result<Self, &'static str> {
                if is_id(id) { Ok(Self { merchant, id: id.to_owned() }) } else { Err(ID_RULE) }
            }

            /// Reads the full name.
            pub fn parse(name: &str) -> Result<Self, String> {
                let parts: Vec<_> = name.split('/').collect();
                if let ["merchants", merchant, $collection, id] = parts[..]
                    && let Some(merchant) = Merchant::from_id(merchant)
                    && is_id(id)
                {
                    return Ok(Self { merchant, id: id.to_owned() });
                }
                Err(format!(
                    concat!("must be merchants/{{merchant}}/", $collection, "/{{id}}; each id {}"),
                    ID_RULE
                ))
            }

            pub fn merchant(&self) -> &Merchant {
                &self.merchant
            }

            /// The last part of the name.
            pub fn id(&self) -> &str {
                &self.id
            }
        }

        impl ResourceName for $name {
            fn new(merchant: Merchant, id: &str) -> Result<Self, &'static str> {
                Self::new(merchant, id)
            }

            fn parse(name: &str) -> Result<Self, String> {
                Self::parse(name)
            }

            fn merchant(&self) -> &Merchant {
                self.merchant()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{}/", $collection, "/{}"), self.merchant, self.id)
            }
        }
    )*};
}

names! {
    /// `merchants/{merchant}/cards/{card}`
    CardName in "cards";
    /// `merchants/{merchant}/placements/{placement}`
    PlacementName in "placements";
    /// `merchants/{merchant}/links/{link}`
    LinkName in "links";
    /// `merchants/{merchant}/violations/{violation}`
    ViolationName in "violations";
    /// `merchants/{merchant}/sanctions/{sanction}`
    SanctionName in "sanctions";
    /// `merchants/{merchant}/appeals/{appeal}`
    AppealName in "appeals";
    /// `merchants/{merchant}/experiments/{experiment}`
    ExperimentName in "experiments";
}

macro_rules! roots {
    ($($(#[$doc:meta])* $name:ident in $collection:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name of this id, if the id is well-formed.
            pub fn new(id: &str) -> Result<Self, &'static str> {
                if is_id(id) { Ok(Self(id.to_owned())) } else { Err(ID_RULE) }
            }

            /// Reads the full name.
            pub fn parse(name: &str) -> Result<Self, String> {
                name.strip_prefix(concat!($collection, "/"))
                    .and_then(|id| Self::new(id).ok())
                    .ok_or_else(|| {
                        format!(concat!("must be ", $collection, "/{{id}}; the id {}"), ID_RULE)
                    })
            }

            /// The last part of the name.
            pub fn id(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($collection, "/{}"), self.0)
            }
        }
    )*};
}

roots! {
    /// `programs/{program}`
    ProgramName in "programs";
    /// `corps/{corp}`: a company at WeCom.
    CorpName in "corps";
}

/// `corps/{corp}/acquisitionLinks/{link}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AcquisitionLinkName {
    pub corp: CorpName,
    id: String,
}

impl AcquisitionLinkName {
    /// The name of `id` under `corp`, if the id is well-formed.
    pub fn new(corp: CorpName, id: &str) -> Result<Self, &'static str> {
        if is_id(id) {
            Ok(Self {
                corp,
                id: id.to_owned(),
            })
        } else {
            Err(ID_RULE)
        }
    }

    /// Reads the full name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let parts: Vec<_> = name.split('/').collect();
        if let ["corps", corp, "acquisitionLinks", id] = parts[..]
            && let Ok(corp) = CorpName::new(corp)
            && let Ok(name) = Self::new(corp, id)
        {
            return Ok(name);
        }
        Err(format!(
            "must be corps/{{corp}}/acquisitionLinks/{{link}}; each id {ID_RULE}"
        ))
    }

    /// The last part of the name.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for AcquisitionLinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/acquisitionLinks/{}", self.corp, self.id)
    }
}

/// `programs/{program}/enrollments/{merchant}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnrollmentName {
    pub program: ProgramName,
    pub merchant: Merchant,
}

impl EnrollmentName {
    /// Reads the full name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let parts: Vec<_> = name.split('/').collect();
        if let ["programs", program, "enrollments", merchant] = parts[..]
            && let Ok(program) = ProgramName::new(program)
            && let Some(merchant) = Merchant::from_id(merchant)
        {
            return Ok(Self { program, merchant });
        }
        Err(format!(
            "must be programs/{{program}}/enrollments/{{merchant}}; each id {ID_RULE}"
        ))
    }
}

impl fmt::Display for EnrollmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/enrollments/{}", self.program, self.merchant.id())
    }
}

/// An id of a thing owned elsewhere: 1 to 64 of `[0-9A-Za-z_-]`.
pub fn is_foreign_id(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=MAX_FOREIGN_ID).contains(&id.len()) && id.bytes().all(plain)
}

/// Whether this is the platform's pseudonym of a viewer: 1 to 64 of `[0-9A-Za-z_.:-]`.
pub fn is_viewer_id(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}

/// The id in `{collection}/{id}` of a resource owned elsewhere: 1 to 64 of `[0-9A-Za-z_-]`.
pub fn foreign_id<'a>(name: &'a str, collection: &str) -> Result<&'a str, String> {
    name.strip_prefix(collection)
        .and_then(|rest| rest.strip_prefix('/'))
        .filter(|id| is_foreign_id(id))
        .ok_or_else(|| format!("must be {collection}/{{id}}; the id 1 to 64 of [0-9A-Za-z_-]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_begin_and_end_with_a_letter_or_digit() {
        for good in ["a", "0", "klook", "a-b", "a--b", &"a".repeat(63)] {
            assert!(is_id(good), "{good}");
        }
        for bad in [
            "",
            "-",
            "-a",
            "a-",
            "A",
            "a_b",
            "a b",
            "名",
            "a/b",
            &"a".repeat(64),
        ] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn a_name_reads_back_as_written() {
        let name = CardName::parse("merchants/klook/cards/main").unwrap();
        assert_eq!(name.to_string(), "merchants/klook/cards/main");
        for bad in [
            "merchants/klook/cards/",
            "merchants/klook/links/main",
            "merchants/klook/cards/main/",
            "merchants//cards/main",
            "/merchants/klook/cards/main",
        ] {
            assert!(CardName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn foreign_ids_are_url_safe() {
        assert_eq!(foreign_id("notes/64ab_-X", "notes").unwrap(), "64ab_-X");
        for bad in [
            "notes/",
            "notes",
            "notes/a b",
            "note/a",
            "notes/a/b",
            "notes/名",
        ] {
            assert!(foreign_id(bad, "notes").is_err(), "{bad}");
        }
    }
}
