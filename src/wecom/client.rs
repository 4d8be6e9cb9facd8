//! The client.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    Balance, Credentials, Customer, Error, LinkDetail, LinkSpec, Page, Result,
    ask::Asker,
    corps::Corps,
    http::Http,
    metrics::Metrics,
    wire::{
        self, CreateAnswer, CustomersAnswer, Done, Endpoint, LinkAnswer, LinksAnswer, QuotaAnswer,
    },
};
use crate::{app::Ambient, domain::acquisition::Made};

/// Of links a page, by WeCom's own limit.
const LINKS: u32 = 100;
/// Of customers a page.
const CUSTOMERS: u32 = 1000;
/// Pages of links that are read.
const PAGES: usize = 100;

/// Where WeCom is and how it is asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Without a slash at the end.
    pub base_url: String,
    /// Of one attempt; a call with all it needs takes at most twice as long.
    pub timeout: Duration,
    pub calls_per_minute: u64,
}

/// WeCom's API for all corps. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Asker>);

impl Client {
    pub fn new(options: &Options, ambient: Ambient) -> Result<Self> {
        let metrics = Metrics::default();
        let calls = u32::try_from(options.calls_per_minute).unwrap_or(u32::MAX);
        let calls = NonZeroU32::new(calls).unwrap_or(NonZeroU32::MIN);
        Ok(Self(Arc::new(Asker {
            http: Http::new(&options.base_url, options.timeout)?,
            timeout: options.timeout,
            ambient,
            corps: Corps::new(calls, options.timeout * 4, metrics.open.clone()),
            metrics,
        })))
    }

    pub fn register(&self, registry: &mut Registry) {
        self.0.metrics.register(registry);
    }

    /// Makes a link. Not safe to repeat: after [`Error::Unknown`] it may be there.
    pub async fn create_link(&self, corp: &Credentials, link: &LinkSpec) -> Result<Made> {
        let body = wire::link_body(link, None);
        let answer = self.call(corp, Endpoint::CreateLink, Some(body)).await;
        answer.and_then(|answer: CreateAnswer| {
            answer
                .into_made()
                .map_err(|f| f.into_error(Endpoint::CreateLink))
        })
    }

    /// Ids of the links that this app made, at most 100 a page.
    pub async fn list_links(
        &self,
        corp: &Credentials,
        cursor: Option<&str>,
    ) -> Result<Page<String>> {
        let body = wire::page_body(None, LINKS, cursor);
        let answer: LinksAnswer = self.call(corp, Endpoint::ListLinks, Some(body)).await?;
        Ok(answer.into())
    }

    /// Ids of all links that this app made.
    pub async fn every_link(&self, corp: &Credentials) -> Result<Vec<String>> {
        let (mut ids, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES {
            let page = self.list_links(corp, cursor.as_deref()).await?;
            ids.extend(page.items);
            match page.next {
                None => return Ok(ids),
                standing if standing == cursor => break,
                next => cursor = next,
            }
        }
        let why = "a listing without an end";
        Err(Error::Away { why })
    }

    /// A link; `None`: WeCom knows no such link of this app.
    pub async fn link(&self, corp: &Credentials, link_id: &str) -> Result<Option<LinkDetail>> {
        let body = json!({"link_id": link_id});
        let answer = self.call(corp, Endpoint::GetLink, Some(body)).await;
        match answer {
            Ok(answer) => LinkAnswer::into_detail(answer, link_id)
                .map(Some)
                .map_err(|f| f.into_error(Endpoint::GetLink)),
            Err(refused) => self.unless_gone(corp, link_id, refused).await,
        }
    }

    /// Makes a link read so.
    pub async fn update_link(
        &self,
        corp: &Credentials,
        link_id: &str,
        link: &LinkSpec,
    ) -> Result<()> {
        let body = wire::link_body(link, Some(link_id));
        let _: Done = self.call(corp, Endpoint::UpdateLink, Some(body)).await?;
        Ok(())
    }

    /// Deletes a link; one that is gone is fine.
    pub async fn delete_link(&self, corp: &Credentials, link_id: &str) -> Result<()> {
        let body = json!({"link_id": link_id});
        match self.call(corp, Endpoint::DeleteLink, Some(body)).await {
            Ok(Done {}) => Ok(()),
            Err(refused) => self
                .unless_gone::<()>(corp, link_id, refused)
                .await
                .map(drop),
        }
    }

    /// Who was added by a link, at most 1,000 a page.
    pub async fn customers(
        &self,
        corp: &Credentials,
        link_id: &str,
        cursor: Option<&str>,
    ) -> Result<Page<Customer>> {
        let body = wire::page_body(Some(link_id), CUSTOMERS, cursor);
        let answer: CustomersAnswer = self.call(corp, Endpoint::Customers, Some(body)).await?;
        Ok(answer.into())
    }

    /// How many adds are left.
    pub async fn quota(&self, corp: &Credentials) -> Result<Balance> {
        let answer: QuotaAnswer = self.call(corp, Endpoint::Quota, None).await?;
        Ok(answer.into())
    }

    /// `None` where WeCom refused because it does not know the link. No document says with which
    /// code it does, so the list of links decides.
    async fn unless_gone<T>(
        &self,
        corp: &Credentials,
        link_id: &str,
        error: Error,
    ) -> Result<Option<T>> {
        if !matches!(error, Error::Refused { .. }) {
            return Err(error);
        }
        if self.every_link(corp).await?.iter().any(|id| id == link_id) {
            return Err(error);
        }
        Ok(None)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        corp: &Credentials,
        endpoint: Endpoint,
        body: Option<Value>,
    ) -> Result<T> {
        self.0.call(corp, endpoint, body).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}
