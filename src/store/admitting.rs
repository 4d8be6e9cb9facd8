//! The programs that a decision looks at, now or as known then.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, sea_query::Expr,
};

use super::{
    Db, Result,
    entity::{program, program_version},
    history::from_json,
};
use crate::domain::{Micros, Program, ProgramName};

impl<C: ConnectionTrait> Db<C> {
    /// The programs that a decision looks at, by id: those that are not over, by call or by
    /// date. Where all are, the one that ended last, which says so.
    pub async fn programs(&self, now: Micros) -> Result<Vec<Program>> {
        let unended = self.unended_programs().await?;
        self.looked_at(unended, now, None).await
    }

    /// The programs that a decision looked at then, as they stood.
    pub async fn programs_at(&self, at: Micros) -> Result<Vec<Program>> {
        // What a call has ended stays so.
        let ended = program::Entity::find()
            .select_only()
            .column(program::Column::No)
            .filter(program::Column::State.eq(program::ENDED))
            .filter(program::Column::UpdateTime.lte(at.0))
            .into_query();
        let rows = program_version::Entity::find()
            .filter(program_version::Column::Time.lte(at.0))
            .filter(program_version::Column::No.not_in_subquery(ended))
            .order_by_asc(program_version::Column::No)
            .order_by_desc(program_version::Column::Version)
            .all(&self.0)
            .await?;
        let mut programs: Vec<Program> = Vec::new();
        for row in rows {
            if programs.last().is_none_or(|last| last.no != row.no) {
                programs.push(from_json(&row.body)?);
            }
        }
        programs.sort_by(|a, b| a.name.cmp(&b.name));
        self.looked_at(programs, at, Some(at)).await
    }

    /// One program as it stood then, or stands now.
    pub(super) async fn program_known(
        &self,
        name: &ProgramName,
        known: Option<Micros>,
    ) -> Result<Option<Program>> {
        let program = self.program(name).await?;
        let (Some(Program { no, .. }), Some(at)) = (&program, known) else {
            return Ok(program);
        };
        self.version_at::<program_version::Entity, _>(*no, at).await
    }

    /// Those of the programs that are not over, or else the one that ended last.
    async fn looked_at(
        &self,
        programs: Vec<Program>,
        now: Micros,
        known: Option<Micros>,
    ) -> Result<Vec<Program>> {
        let over = |program: &Program| program.ended_at(now).is_some();
        let (mut over, running): (Vec<_>, Vec<_>) = programs.into_iter().partition(over);
        if !running.is_empty() {
            return Ok(running);
        }
        over.extend(self.last_ended(known).await?);
        let last = over.into_iter().max_by_key(|program| program.ended_at(now));
        Ok(last.into_iter().collect())
    }

    /// Of the programs that a call has ended, by then or by now, the one that was over last.
    async fn last_ended(&self, known: Option<Micros>) -> Result<Option<Program>> {
        use program::Column::{EndTime, No, State, UpdateTime};
        let by_date = Expr::col(EndTime).lt(Expr::col(UpdateTime));
        let since = Expr::case(by_date, Expr::col(EndTime)).finally(Expr::col(UpdateTime));
        let mut query = program::Entity::find().filter(State.eq(program::ENDED));
        if let Some(at) = known {
            query = query.filter(UpdateTime.lte(at.0));
        }
        query
            .order_by_desc(Expr::Case(Box::new(since)))
            .order_by_desc(No)
            .one(&self.0)
            .await?
            .map(Program::try_from)
            .transpose()
    }
}
