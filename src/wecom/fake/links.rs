//! Acquisition links through the API: an app sees those that it made.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Console,
    answer::{INVALID_PARAMETER, INVALID_SPAN, Outcome},
    world::{App, Link, World},
};
use crate::domain::{AcquisitionLink, Micros};

const NAME_CHARS: usize = 30;
const PAGE: usize = 100;
const CUSTOMER_PAGE: usize = 1000;
const DAY: i64 = 24 * 60 * 60;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    link_id: String,
    link_name: Option<String>,
    range: Option<Range>,
    skip_verify: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Range {
    user_list: Vec<String>,
    department_list: Vec<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    link_id: String,
    limit: Option<usize>,
    cursor: String,
    start_time: i64,
    end_time: i64,
}

impl Console {
    /// Puts back a link that was deleted here, as it was.
    pub fn restore(&self, link: Link) {
        self.world().links.push(link);
    }

    /// Puts back a link that was made here before, by an app that is here.
    pub fn put_back(&self, corp_id: &str, secret: &str, link: &AcquisitionLink) {
        let mut world = self.world();
        let known = |a: &App| a.corp_id == corp_id && a.secret == secret;
        let app = world.apps.iter().position(known);
        let (Some(app), Some(made)) = (app, &link.made) else {
            return;
        };
        world.links.push(Link {
            link_id: made.link_id.clone(),
            name: link.wecom_name(),
            url: made.uri.as_str().to_owned(),
            corp_id: corp_id.to_owned(),
            app,
            users: link.range.users.clone(),
            departments: link.range.departments.clone(),
            skip_verify: link.skip_verify,
            create_time: link.create_time.seconds(),
            available: true,
            clicks: 0,
            customers: Vec::new(),
        });
    }
}

impl World {
    pub(super) fn create_link(
        &mut self,
        app: usize,
        fields: Fields,
        random: [u8; 16],
        now: Micros,
    ) -> Outcome {
        let name = fields.link_name.unwrap_or_default();
        let range = fields.range.unwrap_or_default();
        self.check(&name, &range.user_list, &range.department_list)?;
        let corp_id = self.apps[app].corp_id.clone();
        self.has_room(&corp_id)?;
        let digits = format!("{:032x}", u128::from_be_bytes(random));
        let link = Link {
            link_id: format!("cawcde{}", &digits[..10]),
            name,
            // That both ids are one is observed only.
            url: format!("https://work.weixin.qq.com/ca/cawcde{}", &digits[10..20]),
            corp_id,
            app,
            users: range.user_list,
            departments: range.department_list,
            skip_verify: fields.skip_verify.unwrap_or(true),
            create_time: now.seconds(),
            available: true,
            clicks: 0,
            customers: Vec::new(),
        };
        let answer = json!({"link": face(&link)});
        self.ever_made.push(link.name.clone());
        self.links.push(link);
        Ok(answer)
    }

    pub(super) fn get_link(&mut self, app: usize, asked: &Asked) -> Outcome {
        let outside = self.shape.skip_verify_outside;
        let link = self.link(app, &asked.link_id).ok_or(INVALID_PARAMETER)?;
        let mut answer = json!({
            "link": face(link),
            "range": {"user_list": link.users, "department_list": link.departments},
        });
        let place = if outside {
            &mut answer
        } else {
            &mut answer["link"]
        };
        place["skip_verify"] = link.skip_verify.into();
        Ok(answer)
    }

    pub(super) fn update_link(&mut self, app: usize, fields: Fields) -> Outcome {
        let link = self.link(app, &fields.link_id).ok_or(INVALID_PARAMETER)?;
        let mut next = link.clone();
        if let Some(name) = fields.link_name {
            next.name = name;
        }
        if let Some(range) = fields.range {
            (next.users, next.departments) = (range.user_list, range.department_list);
        }
        next.skip_verify = fields.skip_verify.unwrap_or(next.skip_verify);
        self.check(&next.name, &next.users, &next.departments)?;
        if let Some(link) = self.link(app, &fields.link_id) {
            *link = next;
        }
        Ok(Value::Null)
    }

    pub(super) fn delete_link(&mut self, app: usize, asked: &Asked) -> Outcome {
        self.link(app, &asked.link_id).ok_or(INVALID_PARAMETER)?;
        self.links
            .retain(|l| l.app != app || l.link_id != asked.link_id);
        Ok(Value::Null)
    }

    pub(super) fn list_links(&self, app: usize, asked: &Asked) -> Outcome {
        let own = self.links.iter().filter(|l| l.app == app);
        let ids: Vec<Value> = own.map(|l| l.link_id.clone().into()).collect();
        page("link_id_list", &ids, asked, PAGE)
    }

    pub(super) fn customers(&mut self, app: usize, asked: &Asked) -> Outcome {
        let link = self.link(app, &asked.link_id).ok_or(INVALID_PARAMETER)?;
        let customers: Vec<Value> = link.customers.iter().map(|c| json!(c)).collect();
        page("customer_list", &customers, asked, CUSTOMER_PAGE)
    }

    pub(super) fn statistic(&mut self, app: usize, asked: &Asked, now: Micros) -> Outcome {
        let link = self.link(app, &asked.link_id).ok_or(INVALID_PARAMETER)?;
        let (start, end) = (asked.start_time, asked.end_time);
        if start > end || end - start > 30 * DAY || start < now.seconds() - 180 * DAY {
            return Err(INVALID_SPAN);
        }
        let new = |c: &&super::Customer| (start..=end).contains(&c.time);
        let added = link.customers.iter().filter(new).count();
        Ok(json!({"click_link_customer_cnt": link.clicks, "new_customer_cnt": added}))
    }

    fn check(&self, name: &str, users: &[String], departments: &[i64]) -> Result<(), i64> {
        let members = users.len() + departments.len();
        let named = (1..=NAME_CHARS).contains(&name.chars().count());
        let whole = (1..=self.shape.members_per_link).contains(&members);
        if named && whole && !users.iter().any(String::is_empty) {
            Ok(())
        } else {
            Err(INVALID_PARAMETER)
        }
    }
}

/// What creating and getting say alike.
fn face(link: &Link) -> Value {
    json!({
        "link_id": link.link_id,
        "link_name": link.name,
        "url": link.url,
        "create_time": link.create_time,
    })
}

/// A page of a listing; a cursor holds where the next begins, and nobody may know.
fn page(key: &str, all: &[Value], asked: &Asked, most: usize) -> Outcome {
    let from = match asked.cursor.strip_prefix("CURSOR_") {
        Some(hex) => usize::from_str_radix(hex, 16).map_err(|_| INVALID_PARAMETER)?,
        None if asked.cursor.is_empty() => 0,
        None => return Err(INVALID_PARAMETER),
    };
    let limit = asked.limit.unwrap_or(most);
    if !(1..=most).contains(&limit) {
        return Err(INVALID_PARAMETER);
    }
    let from = from.min(all.len());
    let to = (from + limit).min(all.len());
    let next = if to < all.len() {
        format!("CURSOR_{to:x}")
    } else {
        String::new()
    };
    let mut answer = Map::new();
    answer.insert(key.to_owned(), all[from..to].to_vec().into());
    answer.insert("next_cursor".to_owned(), next.into());
    Ok(answer.into())
}
