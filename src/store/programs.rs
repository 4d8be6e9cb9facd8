//! Programs and enrollments, now and as they stood.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::OnConflict,
};

use super::{
    Db, Error, Result, Tx,
    entity::{enrollment, enrollment_version, program},
    history,
    placements::padded,
};
use crate::domain::{
    Enrollment, EnrollmentName, List, Merchant, Micros, Program, ProgramName, Telling,
};

/// A merchant's place on a program's list, by the program's number.
pub type Listed = (i64, Merchant, List);

impl<C: ConnectionTrait> Db<C> {
    pub async fn program(&self, name: &ProgramName) -> Result<Option<Program>> {
        let row = program::Entity::find().filter(program::Column::Id.eq(name.id()));
        row.one(&self.0).await?.map(Program::try_from).transpose()
    }

    /// A page of programs by id, after this one.
    pub async fn programs_page(&self, after: &str, limit: u64) -> Result<Vec<Program>> {
        program::Entity::find()
            .filter(program::Column::Id.gt(after))
            .order_by_asc(program::Column::Id)
            .limit(limit)
            .all(&self.0)
            .await?
            .into_iter()
            .map(Program::try_from)
            .collect()
    }

    /// The programs that no call has ended, by id. Their quota bounds them.
    pub async fn unended_programs(&self) -> Result<Vec<Program>> {
        program::Entity::find()
            .filter(program::Column::State.ne(program::ENDED))
            .order_by_asc(program::Column::Id)
            .all(&self.0)
            .await?
            .into_iter()
            .map(Program::try_from)
            .collect()
    }

    /// How many programs have not ended.
    pub async fn count_programs(&self) -> Result<u64> {
        Ok(program::Entity::find()
            .filter(program::Column::State.ne(program::ENDED))
            .count(&self.0)
            .await?)
    }

    /// Which lists these merchants are on.
    pub async fn lists(&self, merchants: &[&str]) -> Result<Vec<Listed>> {
        let rows = enrollment::Entity::find()
            .filter(enrollment::Column::Merchant.is_in(padded(merchants.iter().copied())))
            .filter(enrollment::Column::Deleted.eq(false))
            .all(&self.0)
            .await?;
        rows.into_iter()
            .map(|row| listed(row.program_no, &row.merchant, row.list))
            .collect()
    }

    /// Which lists these merchants were on then.
    pub async fn lists_at(&self, merchants: &[&str], at: Micros) -> Result<Vec<Listed>> {
        use enrollment_version::Column;
        let rows = enrollment_version::Entity::find()
            .filter(Column::Merchant.is_in(padded(merchants.iter().copied())))
            .filter(Column::Time.lte(at.0))
            .order_by_asc(Column::Merchant)
            .order_by_asc(Column::ProgramNo)
            .order_by_desc(Column::Version)
            .all(&self.0)
            .await?;
        let mut latest: Vec<enrollment_version::Model> = Vec::new();
        for row in rows {
            let same = |last: &enrollment_version::Model| {
                last.merchant == row.merchant && last.program_no == row.program_no
            };
            if !latest.last().is_some_and(same) {
                latest.push(row);
            }
        }
        latest
            .into_iter()
            .filter(|row| !row.deleted)
            .map(|row| listed(row.program_no, &row.merchant, row.list))
            .collect()
    }

    /// A merchant's place on a program's list, also one that it was taken off.
    pub async fn enrollment(
        &self,
        program: &Program,
        merchant: &Merchant,
    ) -> Result<Option<Enrollment>> {
        enrollment::Entity::find_by_id((program.no, merchant.id().to_owned()))
            .one(&self.0)
            .await?
            .map(|row| enrolled(&program.name, row))
            .transpose()
    }

    /// A page of a program's enrollments by merchant, after this one.
    pub async fn enrollments_page(
        &self,
        program: &Program,
        after: &str,
        limit: u64,
    ) -> Result<Vec<Enrollment>> {
        enrollment::Entity::find()
            .filter(enrollment::Column::ProgramNo.eq(program.no))
            .filter(enrollment::Column::Deleted.eq(false))
            .filter(enrollment::Column::Merchant.gt(after))
            .order_by_asc(enrollment::Column::Merchant)
            .limit(limit)
            .all(&self.0)
            .await?
            .into_iter()
            .map(|row| enrolled(&program.name, row))
            .collect()
    }
}

impl Tx {
    /// The program, which nobody else changes until this transaction ends; nor does anybody
    /// write by the terms it had.
    pub async fn lock_program(&self, name: &ProgramName) -> Result<Option<Program>> {
        self.lock_programs().await?;
        let row = program::Entity::find()
            .filter(program::Column::Id.eq(name.id()))
            .lock_exclusive();
        row.one(&self.0).await?.map(Program::try_from).transpose()
    }

    /// The program with its number, or `None` when its name is taken.
    pub async fn insert_program(
        &self,
        mut program: Program,
        author: &str,
    ) -> Result<Option<Program>> {
        let mut row = program::Model::from(&program).into_active_model();
        row.no = NotSet;
        let Some(no) = self.insert_unless_taken(row).await? else {
            return Ok(None);
        };
        program.no = no;
        self.append_told(&program, author).await?;
        Ok(Some(program))
    }

    /// A new version.
    pub async fn save_program(&self, program: &Program, author: &str) -> Result<()> {
        program::Model::from(program)
            .into_active_model()
            .reset_all()
            .update(&self.0)
            .await?;
        self.append_told(program, author).await
    }

    async fn append_told(&self, program: &Program, author: &str) -> Result<()> {
        self.append(program, author).await?;
        self.tell([Telling::program(program)]).await
    }

    /// A new version of an enrollment; one that is already there is written over.
    pub async fn save_enrollment(&self, enrollment: &Enrollment, author: &str) -> Result<()> {
        use enrollment::Column;
        let row = enrollment::ActiveModel {
            program_no: Set(enrollment.program_no),
            merchant: Set(enrollment.merchant.id().to_owned()),
            list: Set(enrollment.list as i16),
            deleted: Set(enrollment.deleted),
            version: Set(enrollment.version),
            create_time: Set(enrollment.create_time.0),
            update_time: Set(enrollment.update_time.0),
        };
        let over = OnConflict::columns([Column::ProgramNo, Column::Merchant])
            .update_columns([
                Column::List,
                Column::Deleted,
                Column::Version,
                Column::CreateTime,
                Column::UpdateTime,
            ])
            .to_owned();
        enrollment::Entity::insert(row)
            .on_conflict(over)
            .exec_without_returning(&self.0)
            .await?;
        let version = enrollment_version::ActiveModel {
            merchant: Set(enrollment.merchant.id().to_owned()),
            program_no: Set(enrollment.program_no),
            version: Set(enrollment.version),
            time: Set(enrollment.update_time.0),
            author: Set(author.to_owned()),
            list: Set(enrollment.list as i16),
            deleted: Set(enrollment.deleted),
        };
        enrollment_version::Entity::insert(version)
            .exec_without_returning(&self.0)
            .await?;
        self.changes_too([history::of(&enrollment.merchant)]);
        self.tell([Telling::enrollment(enrollment)]).await
    }
}

fn list(number: i16) -> Result<List> {
    match number {
        1 => Ok(List::Allow),
        2 => Ok(List::Deny),
        _ => Err(Error::corrupt("enrollments.list")),
    }
}

pub(super) fn listed(program_no: i64, merchant: &str, number: i16) -> Result<Listed> {
    let merchant =
        Merchant::from_id(merchant).ok_or_else(|| Error::corrupt("enrollments.merchant"))?;
    Ok((program_no, merchant, list(number)?))
}

fn enrolled(program: &ProgramName, row: enrollment::Model) -> Result<Enrollment> {
    let name = EnrollmentName {
        program: program.clone(),
        merchant: Merchant::from_id(&row.merchant)
            .ok_or_else(|| Error::corrupt("enrollments.merchant"))?,
    };
    Ok(Enrollment {
        program: name.program,
        program_no: row.program_no,
        merchant: name.merchant,
        list: list(row.list)?,
        deleted: row.deleted,
        version: row.version,
        create_time: Micros(row.create_time),
        update_time: Micros(row.update_time),
    })
}
