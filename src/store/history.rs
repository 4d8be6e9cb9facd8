//! Versions: each change of what the gate reads appends a row in the same transaction.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, sea_query::Expr,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Changed, Db, Error, Result,
    entity::{
        Version, Versions, acquisition_link_version, appeal_version, card_version, corp_version,
        experiment_version, placement, placement_version, program_version, sanction_version,
        violation_version,
    },
    placements::{MENU_ROWS, Shown},
};
use crate::domain::{
    AcquisitionLink, Appeal, Card, Corp, Experiment, Merchant, Micros, Placement, PlacementState,
    Program, Sanction, Surface, Violation,
};

/// What keeps its versions as it is kept itself.
pub(super) trait Kept: Serialize {
    type Table: Versions;

    /// Its number, its version, and from when on that holds.
    fn stamp(&self) -> (i64, i64, Micros);

    /// With its row's number: a body may have been written before there was one.
    fn numbered(self, no: i64) -> Self;

    /// What of serving's answers depends on it.
    fn changes(&self) -> Vec<Changed>;
}

macro_rules! kept {
    ($($kept:ty => $table:ident, $changes:expr;)*) => {$(
        impl Kept for $kept {
            type Table = $table::Entity;

            fn stamp(&self) -> (i64, i64, Micros) {
                (self.no, self.version, self.update_time)
            }

            fn numbered(self, no: i64) -> Self {
                Self { no, ..self }
            }

            fn changes(&self) -> Vec<Changed> {
                let changes: fn(&Self) -> Vec<Changed> = $changes;
                changes(self)
            }
        }
    )*};
}

kept! {
    Card => card_version, |card| vec![of(card.merchant())];
    Placement => placement_version, placed;
    Program => program_version, |_| vec![Changed::Everything];
    Corp => corp_version, |corp| vec![Changed::Corp(corp.name.id().to_owned())];
    AcquisitionLink => acquisition_link_version,
        |link| vec![Changed::Corp(link.name.corp.id().to_owned())];
    Violation => violation_version, |_| Vec::new();
    Sanction => sanction_version, |sanction| vec![of(sanction.merchant())];
    Appeal => appeal_version, |_| Vec::new();
    Experiment => experiment_version, |experiment| vec![of(experiment.merchant())];
}

pub(super) fn of(merchant: &Merchant) -> Changed {
    Changed::Merchant(merchant.id().to_owned())
}

fn placed(placement: &Placement) -> Vec<Changed> {
    let mut changes = vec![of(placement.name.merchant())];
    if let Surface::NoteCapsule { note } = &placement.surface {
        changes.push(Changed::Note(note.clone()));
    }
    changes
}

fn version<T: Kept>(kept: &T, author: &str) -> Version {
    let (no, version, time) = kept.stamp();
    Version {
        no,
        version,
        time: time.0,
        author: author.to_owned(),
        body: json(kept),
    }
}

/// What a row has whole.
pub(super) fn whole<T: Kept + DeserializeOwned>(no: i64, body: &str) -> Result<T> {
    Ok(from_json::<T>(body)?.numbered(no))
}

impl Db<DatabaseTransaction> {
    pub(super) async fn append<T: Kept>(&self, kept: &T, author: &str) -> Result<()> {
        self.append_version::<T::Table>(version(kept, author))
            .await?;
        self.changes_too(kept.changes());
        Ok(())
    }

    /// Some of one kind, each with its author.
    pub(super) async fn append_all<T: Kept>(&self, kept: &[(T, &str)]) -> Result<()> {
        let rows = kept
            .iter()
            .map(|(kept, author)| T::Table::row(version(kept, author)));
        T::Table::insert_many(rows)
            .exec_without_returning(&self.0)
            .await?;
        self.changes_too(kept.iter().flat_map(|(kept, _)| kept.changes()));
        Ok(())
    }

    pub(super) async fn append_version<V: Versions>(&self, version: Version) -> Result<()> {
        V::insert(V::row(version))
            .exec_without_returning(&self.0)
            .await?;
        Ok(())
    }
}

impl<C: ConnectionTrait> Db<C> {
    /// As it stood then; `None` where there was no version yet.
    pub(super) async fn version_at<V: Versions, T: DeserializeOwned>(
        &self,
        no: i64,
        at: Micros,
    ) -> Result<Option<T>> {
        V::find()
            .select_only()
            .column(V::BODY)
            .filter(V::NO.eq(no))
            .filter(V::TIME.lte(at.0))
            .order_by_desc(V::VERSION)
            .limit(1)
            .into_tuple::<String>()
            .one(&self.0)
            .await?
            .map(|body| from_json(&body))
            .transpose()
    }
}

impl<C: ConnectionTrait> Db<C> {
    /// The placement with this number as it stood then, and its card as it stood then.
    /// `None` where there was no such placement yet, or no such card any more.
    pub async fn shown_at(
        &self,
        placement_no: i64,
        at: Micros,
    ) -> Result<Option<(Placement, Card)>> {
        let placement = self.version_at::<placement_version::Entity, Placement>(placement_no, at);
        let Some(placement) = placement.await? else {
            return Ok(None);
        };
        let card = self.card_at(placement.card_no, at).await?;
        Ok(card.map(|card| (placement, card)))
    }

    /// What may have been in a merchant's chat menu then: live ones first, then one that was
    /// not. Looks at those that were not deleted yet, which their quota bounds.
    pub async fn menu_at(&self, merchant: &Merchant, at: Micros) -> Result<Vec<Shown>> {
        use placement::Column;
        use placement_version::Column as Version;
        // What was deleted stays so.
        let gone = Column::State
            .eq(placement::DELETED)
            .and(Column::DeleteTime.lte(at.0));
        let there = placement::Entity::find()
            .select_only()
            .column(Column::No)
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::Surface.eq(placement::MENU))
            .filter(Column::CreateTime.lte(at.0))
            .filter(gone.not())
            .into_query();
        let latest = placement_version::Entity::find()
            .select_only()
            .column(Version::No)
            .column_as(Version::Version.max(), "version")
            .filter(Version::No.in_subquery(there))
            .filter(Version::Time.lte(at.0))
            .group_by(Version::No)
            .into_query();
        let key = Expr::tuple([Version::No, Version::Version].map(Expr::col));
        let rows = placement_version::Entity::find()
            .filter(key.in_subquery(latest))
            .all(&self.0)
            .await?;
        let placements = rows.iter().map(|row| from_json::<Placement>(&row.body));
        let mut placements = placements.collect::<Result<Vec<_>>>()?;
        placements.sort_by_key(|p| (p.state != PlacementState::Live, position(p), p.no));
        placements.truncate(MENU_ROWS);
        let mut shown = Vec::new();
        for placement in placements {
            let card = self.card_at(placement.card_no, at).await?;
            shown.push((placement, card));
        }
        Ok(shown)
    }

    async fn card_at(&self, card_no: i64, at: Micros) -> Result<Option<Card>> {
        self.version_at::<card_version::Entity, _>(card_no, at)
            .await
    }
}

fn position(placement: &Placement) -> i32 {
    match placement.surface {
        Surface::ChatMenu { position } => position,
        _ => i32::MAX,
    }
}

/// Our own types always serialize: no maps with odd keys, no failing impls.
#[expect(clippy::expect_used, reason = "see above")]
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our own types serialize")
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    // serde_json's message may quote the row.
    serde_json::from_str(text).map_err(|_| Error::corrupt("a version's body does not read"))
}
