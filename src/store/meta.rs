//! What the store knows of itself: under which keys it is sealed, and how it speaks outward.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseConnection, EntityTrait, QuerySelect,
    sea_query::OnConflict,
};

use super::{
    Error, Result, Store,
    entity::meta::{ActiveModel, Column, Entity},
};

/// The row with the value that only the right keys open.
const KEY_CHECK: &str = "key_check";

impl Store {
    /// The sealed check value; `None` in a store that nothing was ever sealed in.
    pub async fn key_check(&self) -> Result<Option<Vec<u8>>> {
        value(&self.writer, KEY_CHECK).await
    }

    /// Keeps the check value unless there is one, and answers the one that is kept: of
    /// replicas that start together all have the same.
    pub async fn keep_key_check(&self, sealed: Vec<u8>) -> Result<Vec<u8>> {
        kept(&self.writer, KEY_CHECK, &sealed).await
    }
}

pub(super) async fn value(db: &impl ConnectionTrait, name: &str) -> Result<Option<Vec<u8>>> {
    let row = Entity::find_by_id(name).one(db).await?;
    Ok(row.map(|row| row.value))
}

/// The value that is kept: `proposed`, unless there is one.
pub(super) async fn kept(
    db: &impl ConnectionTrait,
    name: &str,
    proposed: &[u8],
) -> Result<Vec<u8>> {
    if let Some(kept) = value(db, name).await? {
        return Ok(kept);
    }
    Entity::insert(row(name, proposed.to_vec()))
        .on_conflict_do_nothing()
        .exec_without_returning(db)
        .await?;
    let kept = value(db, name).await?;
    kept.ok_or_else(|| Error::conflict("it was removed meanwhile"))
}

pub(super) async fn put(db: &impl ConnectionTrait, name: &str, value: Vec<u8>) -> Result<()> {
    let over = OnConflict::column(Column::Name)
        .update_column(Column::Value)
        .to_owned();
    Entity::insert(row(name, value))
        .on_conflict(over)
        .exec_without_returning(db)
        .await?;
    Ok(())
}

fn row(name: &str, value: Vec<u8>) -> ActiveModel {
    ActiveModel {
        name: Set(name.to_owned()),
        value: Set(value),
    }
}

/// The smallest question that the schema must be there for; the table has a row or two.
pub(super) async fn look(db: &DatabaseConnection) -> Result<()> {
    let names = Entity::find().select_only().column(Column::Name);
    names.into_tuple::<String>().one(db).await?;
    Ok(())
}
