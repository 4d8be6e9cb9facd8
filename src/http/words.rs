//! What the pages say, in each of their languages.

use http::StatusCode;

use crate::domain::Lang;
use crate::domain::{ContactKind, Reason};

/// The words of one language.
pub struct Words {
    /// The page's language tag.
    pub tag: &'static str,
    pub badge: &'static str,
    pub launch: &'static str,
    pub open_wechat: &'static str,
    pub open_link: &'static str,
    pub dial: &'static str,
    pub copied: &'static str,
    pub scan: &'static str,
    pub retry: &'static str,
    copy_id: &'static str,
    copy_number: &'static str,
    wecom: &'static str,
    phone: &'static str,
    wechat_id: &'static str,
    hint_wecom: &'static str,
    hint_scan: &'static str,
    hint_wechat_id: &'static str,
    unknown: Sorry,
    expired: Sorry,
    revoked: Sorry,
    not_now: Sorry,
    withdrawn: Sorry,
    crowded: Sorry,
    away: Sorry,
    broken: Sorry,
}

/// A refusal as a person reads it.
#[derive(Clone, Copy)]
pub struct Sorry {
    pub title: &'static str,
    pub text: &'static str,
}

impl Words {
    pub fn of(lang: Lang) -> &'static Self {
        match lang {
            Lang::Zh => &ZH,
            Lang::En => &EN,
        }
    }

    /// What kind of contact it is.
    pub fn kind(&self, kind: ContactKind) -> &'static str {
        match kind {
            ContactKind::Wecom => self.wecom,
            ContactKind::Phone => self.phone,
            ContactKind::WechatId => self.wechat_id,
        }
    }

    pub fn copy(&self, kind: ContactKind) -> &'static str {
        match kind {
            ContactKind::WechatId => self.copy_id,
            ContactKind::Wecom | ContactKind::Phone => self.copy_number,
        }
    }

    /// What to expect after the tap; empty where nothing needs saying.
    pub fn hint(&self, kind: ContactKind, scan: bool) -> &'static str {
        match kind {
            ContactKind::Wecom if scan => self.hint_scan,
            ContactKind::Wecom => self.hint_wecom,
            ContactKind::Phone => "",
            ContactKind::WechatId => self.hint_wechat_id,
        }
    }

    /// Which gate refused is between the platform and the merchant: a viewer learns only
    /// whether coming back helps.
    pub fn sorry(&self, status: StatusCode, reason: Reason) -> Sorry {
        match (status, reason) {
            (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => self.unknown,
            (StatusCode::GONE, _) => self.expired,
            (StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, Reason::TokenRevoked) => self.revoked,
            (StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, Reason::OutsideSchedule) => self.not_now,
            (StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, _) => self.withdrawn,
            (StatusCode::TOO_MANY_REQUESTS, _) => self.crowded,
            (StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT, _) => self.away,
            _ => self.broken,
        }
    }
}

const ZH: Words = Words {
    tag: "zh-CN",
    badge: "官方名片",
    launch: "打开微信添加",
    open_wechat: "打开微信",
    open_link: "通过网页打开",
    dial: "拨打电话",
    copied: "已复制",
    scan: "用微信扫描此二维码",
    retry: "重试",
    copy_id: "复制微信号",
    copy_number: "复制号码",
    wecom: "企业微信",
    phone: "电话",
    wechat_id: "微信号",
    hint_wecom: "将前往微信，确认后即可联系商家。",
    hint_scan: "打开手机微信，使用“扫一扫”联系商家。",
    hint_wechat_id: "复制后在微信中搜索并添加。",
    unknown: Sorry {
        title: "找不到这张名片",
        text: "链接不完整或不存在，请回到原页面重新打开。",
    },
    expired: Sorry {
        title: "链接已过期",
        text: "为保护双方隐私，链接只在短时间内有效。请回到原页面，重新点按名片。",
    },
    revoked: Sorry {
        title: "链接已停用",
        text: "商家已停用此链接。",
    },
    not_now: Sorry {
        title: "现在不在开放时间",
        text: "商家设置了名片的开放时间，请稍后再来。",
    },
    withdrawn: Sorry {
        title: "名片暂不可用",
        text: "此名片目前不提供联系方式。",
    },
    crowded: Sorry {
        title: "操作太频繁",
        text: "请稍等片刻再试。",
    },
    away: Sorry {
        title: "服务暂时不可用",
        text: "请稍后重试。",
    },
    broken: Sorry {
        title: "出了点问题",
        text: "问题在我们这边，请稍后重试。",
    },
};

const EN: Words = Words {
    tag: "en",
    badge: "Official card",
    launch: "Add in WeChat",
    open_wechat: "Open WeChat",
    open_link: "Open the web link",
    dial: "Call",
    copied: "Copied",
    scan: "QR code to scan with WeChat",
    retry: "Try again",
    copy_id: "Copy WeChat ID",
    copy_number: "Copy number",
    wecom: "WeCom",
    phone: "Phone",
    wechat_id: "WeChat ID",
    hint_wecom: "WeChat opens; confirm there to reach the merchant.",
    hint_scan: "Scan with WeChat on your phone to reach the merchant.",
    hint_wechat_id: "Copy it, then search for it in WeChat.",
    unknown: Sorry {
        title: "No such card",
        text: "The link is incomplete or does not exist. Go back and open it again.",
    },
    expired: Sorry {
        title: "This link has expired",
        text: "Links work for a short time only, for everyone’s privacy. Go back and tap the card again.",
    },
    revoked: Sorry {
        title: "This link was withdrawn",
        text: "The merchant has withdrawn this link.",
    },
    not_now: Sorry {
        title: "Not open now",
        text: "The merchant has set hours for this card. Please come back later.",
    },
    withdrawn: Sorry {
        title: "This card is unavailable",
        text: "It offers no contact at present.",
    },
    crowded: Sorry {
        title: "Too many attempts",
        text: "Please wait a moment, then try again.",
    },
    away: Sorry {
        title: "Service unavailable",
        text: "Please try again shortly.",
    },
    broken: Sorry {
        title: "Something went wrong",
        text: "The fault is on our side. Please try again shortly.",
    },
};
