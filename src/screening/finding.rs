//! What screening says.

use std::ops::Range;

use serde::Deserialize;

/// What a text leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Category {
    WechatId,
    Wecom,
    GroupInvite,
    Phone,
    Qq,
    OtherIm,
    ExternalLink,
    QrCode,
    Solicit,
}

impl Category {
    /// Its rule of the conduct table, which says what it costs.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::WechatId => "wechat-id",
            Self::Wecom => "wecom",
            Self::GroupInvite => "group-invite",
            Self::Phone => "phone",
            Self::Qq => "qq",
            Self::OtherIm => "other-im",
            Self::ExternalLink => "external-link",
            Self::QrCode => "qr-code",
            Self::Solicit => "solicit",
        }
    }
}

/// What to do about it, from mild to severe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    #[default]
    Allow,
    Review,
    Block,
}

/// One place in a text and the rule it breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub category: Category,
    /// The rule's id in the rulebook.
    pub rule: String,
    /// In code points of the original.
    pub span: Range<usize>,
    /// The span, normalized; at most 64 characters.
    pub excerpt: String,
    pub verdict: Verdict,
    /// Whether there is an ID, a number or a link in it, and not words alone.
    pub carries: bool,
}
