//! The client.

use std::time::Duration;

use super::{Balance, Credentials, Customer, LinkDetail, LinkSpec, Page, Result};
use crate::{app::Ambient, domain::acquisition::Made};

/// Where WeCom is and how it is asked.
#[derive(Clone, Debug)]
pub struct Options {
    pub base_url: String,
    pub timeout: Duration,
    pub calls_per_minute: u64,
}

/// WeCom's API for all corps. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {}

#[allow(clippy::todo, unused_variables, missing_docs)]
impl Client {
    pub fn new(options: &Options, ambient: Ambient) -> Result<Self> {
        Ok(Self {})
    }

    /// Makes a link. Not safe to repeat: after [`super::Error::Unknown`] it may be there.
    pub async fn create_link(&self, corp: &Credentials, link: &LinkSpec) -> Result<Made> {
        todo!()
    }

    /// Ids of the links that this app made, at most 100 a page.
    pub async fn list_links(
        &self,
        corp: &Credentials,
        cursor: Option<&str>,
    ) -> Result<Page<String>> {
        todo!()
    }

    /// A link; `None`: WeCom knows no such link of this app.
    pub async fn link(&self, corp: &Credentials, link_id: &str) -> Result<Option<LinkDetail>> {
        todo!()
    }

    /// Makes a link read so.
    pub async fn update_link(
        &self,
        corp: &Credentials,
        link_id: &str,
        link: &LinkSpec,
    ) -> Result<()> {
        todo!()
    }

    /// Deletes a link; one that is gone is fine.
    pub async fn delete_link(&self, corp: &Credentials, link_id: &str) -> Result<()> {
        todo!()
    }

    /// Who was added by a link, at most 1,000 a page.
    pub async fn customers(
        &self,
        corp: &Credentials,
        link_id: &str,
        cursor: Option<&str>,
    ) -> Result<Page<Customer>> {
        todo!()
    }

    /// How many adds are left.
    pub async fn quota(&self, corp: &Credentials) -> Result<Balance> {
        todo!()
    }
}
