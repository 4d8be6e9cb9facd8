//! Taps against adds, day by day: what became of each tap, and where each add came from.

use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryResult, Statement,
};

use super::{Db, Error, Result, entity::corp, events::day as utc_day};
use crate::domain::{
    ContactKind, Corp, Day, EventKind, Merchant, Micros, Stage, Unattributed, Zone,
    day::MICROS_A_DAY, funnel::LONGEST,
};

/// A day's taps on WeCom contacts, and copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tapped {
    pub taps: i64,
    pub bots: i64,
    pub copies: i64,
    /// Taps that brought an add by now.
    pub added: i64,
    /// Taps without one, of who was a contact already.
    pub contacts: i64,
}

impl Tapped {
    /// Taps of which nothing is known: left, or lost.
    pub const fn missing(&self) -> i64 {
        self.taps - self.added - self.contacts
    }
}

/// A day's adds as WeCom told of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtWecom {
    /// Credited to the merchant.
    pub adds: i64,
    /// Of these, so long after their tap that no window holds them.
    pub outside: i64,
    /// Credited to nobody, at the corps that serve the merchant.
    pub unattributed: i64,
    /// Of these, with a State that nobody here made.
    pub forged: i64,
}

impl<C: ConnectionTrait> Db<C> {
    /// What became of the taps of these days, both included.
    pub async fn tapped(
        &self,
        merchant: &Merchant,
        zone: Zone,
        days: (Day, Day),
    ) -> Result<BTreeMap<Day, Tapped>> {
        let (from, to) = bounds(zone, days);
        let (first, last) = (utc_day(from), utc_day(to));
        let tap = format!(
            "e.stage = {} AND e.kind = {}",
            Stage::Tap as i16,
            ContactKind::Wecom as i16
        );
        let add = format!(
            "SELECT 1 FROM contact_events c WHERE c.merchant = e.merchant \
             AND c.viewer = e.viewer AND c.kind = {}",
            EventKind::Added as i16
        );
        let person = format!("{tap} AND NOT e.bot");
        let counted = [
            person.clone(),
            format!("{tap} AND e.bot"),
            format!("e.stage = {}", Stage::Copy as i16),
            format!("{person} AND EXISTS ({add} AND c.tap = e.id)"),
            format!(
                "{person} AND NOT EXISTS ({add} AND c.tap = e.id) \
                 AND EXISTS ({add} AND c.event_time < e.event_time)"
            ),
        ];
        let sql = format!(
            "SELECT {}, {} FROM events e WHERE e.merchant = {} AND e.event_time >= {} \
             AND e.event_time < {} AND e.day >= {first} AND e.day <= {last} GROUP BY 1",
            day_in(zone, "e.event_time"),
            counts(&counted),
            self.first_value(),
            from.0,
            to.0,
        );
        self.by_day(sql, merchant, |row| {
            Ok(Tapped {
                taps: row.try_get_by_index(1)?,
                bots: row.try_get_by_index(2)?,
                copies: row.try_get_by_index(3)?,
                added: row.try_get_by_index(4)?,
                contacts: row.try_get_by_index(5)?,
            })
        })
        .await
    }

    /// Where the adds of these days came from.
    pub async fn at_wecom(
        &self,
        merchant: &Merchant,
        zone: Zone,
        days: (Day, Day),
    ) -> Result<BTreeMap<Day, AtWecom>> {
        let (from, to) = bounds(zone, days);
        let corps = self.corps_of(merchant).await?;
        let nos: Vec<_> = corps.iter().map(|corp| corp.no.to_string()).collect();
        // No corp has this number.
        let nos = if nos.is_empty() {
            "0".to_owned()
        } else {
            nos.join(",")
        };
        let own = "c.unattributed IS NULL";
        let late = i64::try_from(LONGEST.as_micros()).unwrap_or(i64::MAX);
        let counted = [
            own.to_owned(),
            format!(
                "{own} AND EXISTS (SELECT 1 FROM events e WHERE e.merchant = c.merchant \
                 AND e.viewer = c.viewer AND e.id = c.tap AND e.event_time <= c.event_time - {late})"
            ),
            "c.unattributed IS NOT NULL".to_owned(),
            format!("c.unattributed = {}", Unattributed::StateForged as i16),
        ];
        let sql = format!(
            "SELECT {}, {} FROM contact_events c WHERE c.kind = {} AND c.event_time >= {} \
             AND c.event_time < {} AND (c.merchant = {} \
             OR c.unattributed IS NOT NULL AND c.corp_no IN ({nos})) GROUP BY 1",
            day_in(zone, "c.event_time"),
            counts(&counted),
            EventKind::Added as i16,
            from.0,
            to.0,
            self.first_value(),
        );
        self.by_day(sql, merchant, |row| {
            Ok(AtWecom {
                adds: row.try_get_by_index(1)?,
                outside: row.try_get_by_index(2)?,
                unattributed: row.try_get_by_index(3)?,
                forged: row.try_get_by_index(4)?,
            })
        })
        .await
    }

    /// The corps that serve a merchant.
    async fn corps_of(&self, merchant: &Merchant) -> Result<Vec<Corp>> {
        let named = format!("\"{}\"", merchant.id());
        let rows = corp::Entity::find()
            .filter(corp::Column::Merchants.contains(named))
            .all(&self.0)
            .await?;
        rows.into_iter().map(Corp::try_from).collect()
    }

    /// The place of a statement's only value.
    fn first_value(&self) -> &'static str {
        match self.0.get_database_backend() {
            DbBackend::Postgres => "$1",
            _ => "?1",
        }
    }

    async fn by_day<T>(
        &self,
        sql: String,
        merchant: &Merchant,
        read: impl Fn(&QueryResult) -> Result<T>,
    ) -> Result<BTreeMap<Day, T>> {
        let db = self.0.get_database_backend();
        let statement = Statement::from_sql_and_values(db, sql, [merchant.id().into()]);
        let rows = self.0.query_all_raw(statement).await?;
        rows.iter()
            .map(|row| {
                let day: i64 = row.try_get_by_index(0)?;
                let day = i32::try_from(day).map_err(|_| Error::corrupt("a day"))?;
                Ok((Day(day), read(row)?))
            })
            .collect()
    }
}

/// From the first moment to the one after the last.
fn bounds(zone: Zone, (first, last): (Day, Day)) -> (Micros, Micros) {
    (zone.start(first), zone.start(last + 1))
}

/// The business day of a time, in SQL; never before the epoch.
pub(super) fn day_in(zone: Zone, time: &str) -> String {
    format!("({time} + {}) / {MICROS_A_DAY}", zone.offset())
}

fn counts(conditions: &[String]) -> String {
    let counts: Vec<_> = conditions
        .iter()
        .map(|condition| format!("count(CASE WHEN {condition} THEN 1 END)"))
        .collect();
    counts.join(", ")
}
