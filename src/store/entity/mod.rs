//! The tables, one a file; those of versions are alike.

pub mod acquisition_link;
pub mod appeal;
pub mod audit;
pub mod callback;
pub mod card;
pub mod change;
pub mod contact_event;
pub mod contact_history;
pub mod corp;
pub mod enrollment;
pub mod enrollment_version;
pub mod event;
pub mod experiment;
pub mod funnel_hour;
pub mod funnel_queue;
pub mod funnel_stage;
pub mod lease;
pub mod link;
pub mod meta;
pub mod opening;
pub mod outbox;
pub mod placement;
pub mod program;
pub mod quota;
pub mod reported_add;
pub mod reported_viewer;
pub mod request;
pub mod run;
pub mod sanction;
pub mod sanction_change;
pub mod spend;
pub mod spend_day;
pub mod spend_import;
pub mod transition;
mod versions;
pub mod violation;

pub use versions::{
    Version, Versions, acquisition_link_version, appeal_version, card_version, corp_version,
    experiment_version, placement_version, program_version, quota_version, sanction_version,
    violation_version,
};

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Debug};

    use sea_orm::{
        ConnectionTrait, Database, DatabaseConnection, EntityName, EntityTrait, IdenStatic,
        Iterable, Statement,
    };
    use sea_orm_migration::MigratorTrait;

    use crate::store::migration::Migrator;

    async fn same_columns<E: EntityTrait + EntityName + Debug>(db: &DatabaseConnection, _: E) {
        let table = E::default().table_name().to_owned();
        let sql = format!("SELECT name FROM pragma_table_info('{table}')");
        let statement = Statement::from_string(db.get_database_backend(), sql);
        let rows = db.query_all_raw(statement).await.unwrap();
        let migrated: BTreeSet<String> = rows
            .iter()
            .map(|r| r.try_get_by_index(0).unwrap())
            .collect();
        let known: BTreeSet<_> = E::Column::iter().map(|c| c.as_str().to_owned()).collect();
        assert_eq!(migrated, known, "{table}");
    }

    /// On SQLite; that PostgreSQL's schema is the same is tested in `tests/it/conformance`.
    #[tokio::test]
    async fn entities_have_the_columns_of_their_tables() {
        let db = Database::connect("sqlite::memory:").await.unwrap();
        Migrator::up(&db, None).await.unwrap();
        same_columns(&db, super::appeal::Entity).await;
        same_columns(&db, super::appeal_version::Entity).await;
        same_columns(&db, super::audit::Entity).await;
        same_columns(&db, super::card::Entity).await;
        same_columns(&db, super::card_version::Entity).await;
        same_columns(&db, super::link::Entity).await;
        same_columns(&db, super::meta::Entity).await;
        same_columns(&db, super::placement::Entity).await;
        same_columns(&db, super::placement_version::Entity).await;
        same_columns(&db, super::reported_add::Entity).await;
        same_columns(&db, super::reported_viewer::Entity).await;
        same_columns(&db, super::request::Entity).await;
        same_columns(&db, super::contact_event::Entity).await;
        same_columns(&db, super::contact_history::Entity).await;
        same_columns(&db, super::enrollment::Entity).await;
        same_columns(&db, super::enrollment_version::Entity).await;
        same_columns(&db, super::event::Entity).await;
        same_columns(&db, super::experiment::Entity).await;
        same_columns(&db, super::experiment_version::Entity).await;
        same_columns(&db, super::funnel_hour::Entity).await;
        same_columns(&db, super::funnel_queue::Entity).await;
        same_columns(&db, super::funnel_stage::Entity).await;
        same_columns(&db, super::lease::Entity).await;
        same_columns(&db, super::opening::Entity).await;
        same_columns(&db, super::program::Entity).await;
        same_columns(&db, super::program_version::Entity).await;
        same_columns(&db, super::run::Entity).await;
        same_columns(&db, super::sanction::Entity).await;
        same_columns(&db, super::sanction_change::Entity).await;
        same_columns(&db, super::sanction_version::Entity).await;
        same_columns(&db, super::violation::Entity).await;
        same_columns(&db, super::violation_version::Entity).await;
        same_columns(&db, super::spend::Entity).await;
        same_columns(&db, super::spend_day::Entity).await;
        same_columns(&db, super::spend_import::Entity).await;
        same_columns(&db, super::transition::Entity).await;
    }
}
