//! What the store knows of itself: under which keys it is sealed.

use sea_orm::{ActiveValue::Set, DatabaseConnection, EntityTrait, QuerySelect};

use super::{
    Error, Result, Store,
    entity::meta::{ActiveModel, Column, Entity},
};

/// The row with the value that only the right keys open.
const KEY_CHECK: &str = "key_check";

impl Store {
    /// The sealed check value; `None` in a store that nothing was ever sealed in.
    pub async fn key_check(&self) -> Result<Option<Vec<u8>>> {
        let row = Entity::find_by_id(KEY_CHECK).one(&self.writer).await?;
        Ok(row.map(|row| row.value))
    }

    /// Keeps the check value unless there is one, and answers the one that is kept: of
    /// replicas that start together all have the same.
    pub async fn keep_key_check(&self, sealed: Vec<u8>) -> Result<Vec<u8>> {
        if let Some(kept) = self.key_check().await? {
            return Ok(kept);
        }
        let row = ActiveModel {
            name: Set(KEY_CHECK.to_owned()),
            value: Set(sealed),
        };
        Entity::insert(row)
            .on_conflict_do_nothing()
            .exec_without_returning(&self.writer)
            .await?;
        let kept = self.key_check().await?;
        kept.ok_or_else(|| Error::conflict("the key check was removed meanwhile"))
    }
}

/// The smallest question that the schema must be there for; the table has a row or two.
pub(super) async fn look(db: &DatabaseConnection) -> Result<()> {
    let names = Entity::find().select_only().column(Column::Name);
    names.into_tuple::<String>().one(db).await?;
    Ok(())
}
