//! The tables of versions: what the gate read at a moment, a row for each change.

use sea_orm::{EntityTrait, PrimaryKeyTrait};

/// A row's content, whatever the table.
pub struct Version {
    /// Of what it is a version.
    pub no: i64,
    pub version: i64,
    /// From when on it held.
    pub time: i64,
    /// Who changed it: a caller's subject, or `mingpian` itself.
    pub author: String,
    /// JSON; what is personal in it is sealed.
    pub body: String,
}

/// A table of versions.
pub trait Versions: EntityTrait<PrimaryKey: PrimaryKeyTrait<ValueType = (i64, i64)>> {
    const NO: Self::Column;
    const VERSION: Self::Column;
    const TIME: Self::Column;
    const BODY: Self::Column;

    fn row(version: Version) -> Self::ActiveModel;
}

macro_rules! versions {
    ($($module:ident in $table:literal),* $(,)?) => {$(
        pub mod $module {
            use sea_orm::{ActiveValue::Set, entity::prelude::*};

            use super::{Version, Versions};

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model {
                #[sea_orm(primary_key, auto_increment = false)]
                pub no: i64,
                #[sea_orm(primary_key, auto_increment = false)]
                pub version: i64,
                pub time: i64,
                pub author: String,
                pub body: String,
            }

            #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}

            impl Versions for Entity {
                const NO: Column = Column::No;
                const VERSION: Column = Column::Version;
                const TIME: Column = Column::Time;
                const BODY: Column = Column::Body;

                fn row(version: Version) -> ActiveModel {
                    ActiveModel {
                        no: Set(version.no),
                        version: Set(version.version),
                        time: Set(version.time),
                        author: Set(version.author),
                        body: Set(version.body),
                    }
                }
            }
        }
    )*};
}

versions! {
    card_version in "card_versions",
    placement_version in "placement_versions",
    program_version in "program_versions",
    corp_version in "corp_versions",
    acquisition_link_version in "acquisition_link_versions",
    quota_version in "quota_versions",
    violation_version in "violation_versions",
    sanction_version in "sanction_versions",
    appeal_version in "appeal_versions",
    experiment_version in "experiment_versions",
}
