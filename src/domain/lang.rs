//! The two languages that users read.

use super::ContactKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    Zh,
    En,
}

impl Lang {
    /// Of a BCP 47 tag: Chinese for `zh…` and for none, English for any other.
    pub fn of_locale(locale: &str) -> Self {
        let language = locale.split(['-', '_']).next().unwrap_or_default();
        if language.is_empty() || language.eq_ignore_ascii_case("zh") {
            Self::Zh
        } else {
            Self::En
        }
    }

    /// A button's text where the merchant gave none.
    pub const fn label(self, kind: ContactKind) -> &'static str {
        match (self, kind) {
            (Self::Zh, ContactKind::Wecom) => "添加企业微信",
            (Self::Zh, ContactKind::Phone) => "拨打电话",
            (Self::Zh, ContactKind::WechatId) => "复制微信号",
            (Self::En, ContactKind::Wecom) => "Add on WeCom",
            (Self::En, ContactKind::Phone) => "Call",
            (Self::En, ContactKind::WechatId) => "Copy WeChat ID",
        }
    }
}
