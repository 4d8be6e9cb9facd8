//! Appeals.

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::{
    Db, Result, Tx,
    entity::appeal::{self, Column, Entity},
    placements::padded,
};
use crate::domain::{Appeal, AppealName, Merchant};

/// By its number, what an appeal objects to.
#[derive(Clone, Copy, Debug)]
pub enum Against {
    Violation(i64),
    Sanction(i64),
}

impl<C: ConnectionTrait> Db<C> {
    pub async fn appeal(&self, name: &AppealName) -> Result<Option<Appeal>> {
        let row = named(name).one(&self.0).await?;
        row.map(Appeal::try_from).transpose()
    }

    /// A page of appeals, the latest first, from before this number; of one merchant, or of all.
    pub async fn appeals_page(
        &self,
        merchant: Option<&Merchant>,
        undecided: bool,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Appeal>> {
        let mut query = Entity::find().filter(Column::No.lt(before.unwrap_or(i64::MAX)));
        if let Some(merchant) = merchant {
            query = query.filter(Column::Merchant.eq(merchant.id()));
        }
        if undecided {
            query = query.filter(Column::DecideTime.is_null());
        }
        all(self, query.order_by_desc(Column::No).limit(limit)).await
    }

    /// The appeals against any of these violations and sanctions, given by number.
    pub async fn appeals_against(
        &self,
        violations: &[i64],
        sanctions: &[i64],
    ) -> Result<Vec<Appeal>> {
        let of_violations = Column::ViolationNo.is_in(padded(violations.iter().copied()));
        let of_sanctions = Column::SanctionNo.is_in(padded(sanctions.iter().copied()));
        let query = Entity::find().filter(of_violations.or(of_sanctions));
        all(self, query.order_by_asc(Column::No)).await
    }
}

impl Tx {
    /// The appeal, which nobody else changes until this transaction ends.
    pub async fn lock_appeal(&self, name: &AppealName) -> Result<Option<Appeal>> {
        let row = named(name).lock_exclusive().one(&self.0).await?;
        row.map(Appeal::try_from).transpose()
    }

    /// The appeal with its number, or `None` when its name is taken, or there is one against
    /// the same already.
    pub async fn insert_appeal(
        &self,
        mut appeal: Appeal,
        against: Against,
        author: &str,
    ) -> Result<Option<Appeal>> {
        let (violation, sanction) = match against {
            Against::Violation(no) => (Some(no), None),
            Against::Sanction(no) => (None, Some(no)),
        };
        let mut row = appeal::Model::new(&appeal, violation, sanction).into_active_model();
        row.no = NotSet;
        let Some(no) = self.insert_unless_taken(row).await? else {
            return Ok(None);
        };
        appeal.no = no;
        self.append(&appeal, author).await?;
        Ok(Some(appeal))
    }

    /// A new version.
    pub async fn save_appeal(&self, appeal: &Appeal, author: &str) -> Result<()> {
        let row = appeal::Model::new(appeal, None, None).into_active_model();
        let mut row = row.reset_all();
        // What it is against stays.
        (row.violation_no, row.sanction_no) = (NotSet, NotSet);
        row.update(&self.0).await?;
        self.append(appeal, author).await
    }
}

fn named(name: &AppealName) -> Select<Entity> {
    Entity::find()
        .filter(Column::Merchant.eq(name.merchant().id()))
        .filter(Column::Id.eq(name.id()))
}

async fn all<C: ConnectionTrait>(db: &Db<C>, query: Select<Entity>) -> Result<Vec<Appeal>> {
    let rows = query.all(&db.0).await?.into_iter();
    rows.map(Appeal::try_from).collect()
}
