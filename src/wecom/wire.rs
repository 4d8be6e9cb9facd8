//! WeCom's JSON, read tolerantly: fields may be new, missing or elsewhere.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Balance, Customer, LinkDetail, LinkSpec, Page,
    error::{Attempt, Failure},
};
use crate::domain::{
    AcquisitionUri, Micros,
    acquisition::{Batch, Made, Range},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Endpoint {
    GetToken,
    CreateLink,
    ListLinks,
    GetLink,
    UpdateLink,
    DeleteLink,
    Customers,
    Quota,
}

impl Endpoint {
    /// The last part of the path.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::GetToken => "gettoken",
            Self::CreateLink => "create_link",
            Self::ListLinks => "list_link",
            Self::GetLink => "get",
            Self::UpdateLink => "update_link",
            Self::DeleteLink => "delete_link",
            Self::Customers => "customer",
            Self::Quota => "customer_acquisition_quota",
        }
    }

    /// Below `/cgi-bin/`.
    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::GetToken => "",
            Self::Quota => "externalcontact/",
            _ => "externalcontact/customer_acquisition/",
        }
    }

    /// Whether twice is as good as once.
    pub(super) const fn is_idempotent(self) -> bool {
        !matches!(self, Self::CreateLink)
    }

    pub(super) const fn has_effect(self) -> bool {
        matches!(self, Self::CreateLink | Self::UpdateLink | Self::DeleteLink)
    }
}

const UNREADABLE: Failure = Failure::Lost("an answer that cannot be read");

/// What an answer says.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Attempt<T> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
    match answer.get("errcode").and_then(Value::as_i64) {
        Some(0) => T::deserialize(answer).map_err(|_| UNREADABLE),
        Some(code) => Err(Failure::Code(code)),
        None => Err(UNREADABLE),
    }
}

#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    /// In seconds.
    pub(super) expires_in: u64,
}

/// An answer that says no more than that it went well.
#[derive(Deserialize)]
pub(super) struct Done {}

#[derive(Deserialize)]
pub(super) struct CreateAnswer {
    link: LinkFace,
}

#[derive(Deserialize)]
struct LinkFace {
    link_id: Option<String>,
    link_name: Option<String>,
    url: String,
    #[serde(default)]
    create_time: i64,
    skip_verify: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct LinkAnswer {
    link: LinkFace,
    range: Option<RangeFace>,
    /// Its place in older documents.
    skip_verify: Option<bool>,
}

#[derive(Deserialize)]
struct RangeFace {
    user_list: Option<Vec<String>>,
    department_list: Option<Vec<i64>>,
}

impl RangeFace {
    /// One list may be left out where it is empty; without both nothing is said.
    fn into_range(self) -> Option<Range> {
        if self.user_list.is_none() && self.department_list.is_none() {
            return None;
        }
        Some(Range {
            users: self.user_list.unwrap_or_default(),
            departments: self.department_list.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct LinksAnswer {
    /// Always: without it nobody could tell that there is none from an answer cut short.
    link_id_list: Vec<String>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct CustomersAnswer {
    customer_list: Option<Vec<CustomerFace>>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct CustomerFace {
    external_userid: String,
    userid: String,
    chat_status: Option<i64>,
    state: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct QuotaAnswer {
    total: i64,
    balance: i64,
    quota_list: Option<Vec<BatchFace>>,
}

#[derive(Deserialize)]
struct BatchFace {
    /// In seconds since 1970.
    expire_date: i64,
    balance: i64,
}

/// The fields of a link; with `link_id` where it is there already.
pub(super) fn link_body(link: &LinkSpec, link_id: Option<&str>) -> Value {
    let mut body = json!({
        "link_name": link.name,
        "range": {"user_list": link.range.users, "department_list": link.range.departments},
        "skip_verify": link.skip_verify,
    });
    if let Some(link_id) = link_id {
        body["link_id"] = link_id.into();
    }
    body
}

/// A request for a page of a link's customers, or, without one, of links.
pub(super) fn page_body(link_id: Option<&str>, limit: u32, cursor: Option<&str>) -> Value {
    let mut body = json!({"limit": limit});
    if let Some(link_id) = link_id {
        body["link_id"] = link_id.into();
    }
    if let Some(cursor) = cursor {
        body["cursor"] = cursor.into();
    }
    body
}

impl CreateAnswer {
    pub(super) fn into_made(self) -> Attempt<Made> {
        let uri = AcquisitionUri::parse(&self.link.url).map_err(|_| UNREADABLE)?;
        let link_id = self.link.link_id.ok_or(UNREADABLE)?;
        Ok(Made { link_id, uri })
    }
}

impl LinkAnswer {
    pub(super) fn into_detail(self, link_id: &str) -> Attempt<LinkDetail> {
        let uri = AcquisitionUri::parse(&self.link.url).map_err(|_| UNREADABLE)?;
        Ok(LinkDetail {
            made: Made {
                link_id: self.link.link_id.unwrap_or_else(|| link_id.to_owned()),
                uri,
            },
            name: self.link.link_name,
            range: self.range.and_then(RangeFace::into_range),
            skip_verify: self.link.skip_verify.or(self.skip_verify),
            create_time: Micros::from_seconds(self.link.create_time),
        })
    }
}

impl From<LinksAnswer> for Page<String> {
    fn from(answer: LinksAnswer) -> Self {
        Self {
            items: answer.link_id_list,
            next: answer.next_cursor.filter(|cursor| !cursor.is_empty()),
        }
    }
}

impl From<CustomersAnswer> for Page<Customer> {
    fn from(answer: CustomersAnswer) -> Self {
        let items = answer.customer_list.unwrap_or_default();
        Self {
            items: items.into_iter().map(Into::into).collect(),
            next: answer.next_cursor.filter(|cursor| !cursor.is_empty()),
        }
    }
}

impl From<CustomerFace> for Customer {
    fn from(face: CustomerFace) -> Self {
        Self {
            user_id: face.userid,
            external_user_id: face.external_userid,
            state: face.state.unwrap_or_default(),
            chatted: match face.chat_status {
                Some(0) => Some(false),
                Some(1) => Some(true),
                _ => None,
            },
        }
    }
}

impl From<QuotaAnswer> for Balance {
    fn from(answer: QuotaAnswer) -> Self {
        let batches = answer.quota_list.unwrap_or_default();
        Self {
            total: answer.total,
            balance: answer.balance,
            batches: batches
                .into_iter()
                .map(|b| Batch {
                    expires: Micros::from_seconds(b.expire_date),
                    balance: b.balance,
                })
                .collect(),
        }
    }
}
