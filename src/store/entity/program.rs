//! Programs as they stand now.

use sea_orm::entity::prelude::*;

use crate::{
    domain::{ContactKind, Micros, Money, Program, ProgramName, ProgramState, SurfaceKind},
    store::Error,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "programs")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub id: String,
    pub display_name: String,
    /// 1 RUNNING, 2 PAUSED, 3 ENDED.
    pub state: i16,
    /// Bit n for the surface with number n.
    pub surfaces: i16,
    /// Bit n for the kind with number n.
    pub kinds: i16,
    pub threshold: i64,
    pub window_days: i32,
    pub serving_grace_days: i32,
    pub configuration_grace_days: i32,
    pub start_time: Option<i64>,
    pub end_time: Option<i64>,
    pub share_permille: i32,
    pub version: i64,
    pub create_time: i64,
    pub update_time: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub const RUNNING: i16 = 1;
pub const PAUSED: i16 = 2;
pub const ENDED: i16 = 3;

impl From<&Program> for Model {
    fn from(program: &Program) -> Self {
        Self {
            no: program.no,
            id: program.name.id().to_owned(),
            display_name: program.display_name.clone(),
            state: match program.state {
                ProgramState::Running => RUNNING,
                ProgramState::Paused => PAUSED,
                ProgramState::Ended => ENDED,
            },
            surfaces: program.surfaces.iter().map(|s| 1 << *s as u8).sum(),
            kinds: program.kinds.iter().map(|k| 1 << *k as u8).sum(),
            threshold: program.threshold.0,
            window_days: program.window_days,
            serving_grace_days: program.serving_grace_days,
            configuration_grace_days: program.configuration_grace_days,
            start_time: program.start_time.map(|t| t.0),
            end_time: program.end_time.map(|t| t.0),
            share_permille: program.share_permille.into(),
            version: program.version,
            create_time: program.create_time.0,
            update_time: program.update_time.0,
        }
    }
}

impl TryFrom<Model> for Program {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        let corrupt = |what: &str| Error::corrupt(format!("programs.no {}: {what}", row.no));
        Ok(Self {
            no: row.no,
            name: ProgramName::new(&row.id).map_err(|_| corrupt("id"))?,
            state: match row.state {
                RUNNING => ProgramState::Running,
                PAUSED => ProgramState::Paused,
                ENDED => ProgramState::Ended,
                _ => return Err(corrupt("state")),
            },
            surfaces: SurfaceKind::ALL
                .into_iter()
                .filter(|s| row.surfaces & (1 << *s as u8) != 0)
                .collect(),
            kinds: ContactKind::ALL
                .into_iter()
                .filter(|k| row.kinds & (1 << *k as u8) != 0)
                .collect(),
            threshold: Money(row.threshold),
            window_days: row.window_days,
            serving_grace_days: row.serving_grace_days,
            configuration_grace_days: row.configuration_grace_days,
            start_time: row.start_time.map(Micros),
            end_time: row.end_time.map(Micros),
            share_permille: u16::try_from(row.share_permille).map_err(|_| corrupt("share"))?,
            display_name: row.display_name,
            version: row.version,
            create_time: Micros(row.create_time),
            update_time: Micros(row.update_time),
        })
    }
}
