//! Programs: create, read, change, pause, resume, end; and who is on their lists.

use super::{
    App, Call, Result,
    write::{Begin, Write, etag_matches, no_transition},
};
use crate::domain::{
    Check, Enrollment, EnrollmentName, List, Program, ProgramDraft, ProgramName, ProgramState,
    Reason, Refusal,
};

impl App {
    pub async fn create_program(
        &self,
        call: &Call,
        name: ProgramName,
        draft: ProgramDraft,
    ) -> Result<Program> {
        let write = match self.begin(call).await? {
            Begin::Answered(program) => return Ok(program),
            Begin::Fresh(write) => write,
        };
        write.tx.lock_programs().await?;
        if write.tx.program(&name).await?.is_some() {
            return Err(exists(&name).into());
        }
        self.room_for_a_program(&write, &name).await?;
        let taken = exists(&name);
        let program = Program::new(name, draft, write.now);
        let program = write.tx.insert_program(program, write.author).await?;
        write.finish(program.ok_or(taken)?).await
    }

    pub async fn program(&self, name: &ProgramName) -> Result<Program> {
        let program = self.store.reads().program(name).await?;
        Ok(program.ok_or_else(|| not_found(name))?)
    }

    /// At most `limit` programs after the id `after`.
    pub async fn programs(&self, after: &str, limit: u64) -> Result<Vec<Program>> {
        Ok(self.store.reads().programs_page(after, limit).await?)
    }

    pub async fn update_program(
        &self,
        call: &Call,
        name: &ProgramName,
        etag: &str,
        draft: ProgramDraft,
    ) -> Result<Program> {
        let write = match self.begin(call).await? {
            Begin::Answered(program) => return Ok(program),
            Begin::Fresh(write) => write,
        };
        let old = locked(&write, name, etag).await?;
        old.not_ended(write.now)?;
        let program = old.next(write.now).with(draft);
        let mut check = Check::default();
        program.check_schedule(&mut check);
        let program = check.done(Some(program))?;
        write.tx.save_program(&program, write.author).await?;
        write.finish(program).await
    }

    /// The kill switch.
    pub async fn pause_program(
        &self,
        call: &Call,
        name: &ProgramName,
        etag: &str,
    ) -> Result<Program> {
        use ProgramState::{Paused, Running};
        self.move_program(call, name, etag, &[Running], Paused)
            .await
    }

    pub async fn resume_program(
        &self,
        call: &Call,
        name: &ProgramName,
        etag: &str,
    ) -> Result<Program> {
        use ProgramState::{Paused, Running};
        self.move_program(call, name, etag, &[Paused], Running)
            .await
    }

    pub async fn end_program(
        &self,
        call: &Call,
        name: &ProgramName,
        etag: &str,
    ) -> Result<Program> {
        use ProgramState::{Ended, Paused, Running};
        self.move_program(call, name, etag, &[Running, Paused], Ended)
            .await
    }

    /// What stops, or lets go on, a whole program leaves an audit row.
    async fn move_program(
        &self,
        call: &Call,
        name: &ProgramName,
        etag: &str,
        from: &[ProgramState],
        to: ProgramState,
    ) -> Result<Program> {
        let write = match self.begin(call).await? {
            Begin::Answered(program) => return Ok(program),
            Begin::Fresh(write) => write,
        };
        let old = locked(&write, name, etag).await?;
        if !from.contains(&old.state) {
            return Err(no_transition(name, old.state.as_str()).into());
        }
        let program = old.to(to, write.now);
        write.tx.save_program(&program, write.author).await?;
        let action = match to {
            ProgramState::Running => "ResumeProgram",
            ProgramState::Paused => "PauseProgram",
            ProgramState::Ended => "EndProgram",
        };
        let detail = format!("version={}", program.version);
        write.audit(action, name, detail).await?;
        write.finish(program).await
    }

    /// The program as it would be: one that is there on these terms, or a new one. `None` for
    /// the state as it is.
    pub async fn program_as(
        &self,
        name: ProgramName,
        draft: ProgramDraft,
        state: Option<ProgramState>,
    ) -> Result<Program> {
        let now = self.ambient.now();
        let program = match self.store.reads().program(&name).await? {
            Some(old) => {
                old.not_ended(now)?;
                old.with(draft)
            }
            None => Program::new(name, draft, now),
        };
        Ok(Program {
            state: state.unwrap_or(program.state),
            ..program
        })
    }

    pub async fn create_enrollment(
        &self,
        call: &Call,
        name: EnrollmentName,
        list: List,
    ) -> Result<Enrollment> {
        let write = match self.begin(call).await? {
            Begin::Answered(enrollment) => return Ok(enrollment),
            Begin::Fresh(write) => write,
        };
        let program = locked(&write, &name.program, "").await?;
        let old = write.tx.enrollment(&program, &name.merchant).await?;
        if old.as_ref().is_some_and(|old| !old.deleted) {
            return Err(enrolled(&name).into());
        }
        program.not_ended(write.now)?;
        let enrollment = Enrollment::new(&program, name.merchant, list, old.as_ref(), write.now);
        write.tx.save_enrollment(&enrollment, write.author).await?;
        write.finish(enrollment).await
    }

    /// At most `limit` enrollments after the merchant `after`.
    pub async fn enrollments(
        &self,
        program: &ProgramName,
        after: &str,
        limit: u64,
    ) -> Result<Vec<Enrollment>> {
        let program = self.program(program).await?;
        let reads = self.store.reads();
        Ok(reads.enrollments_page(&program, after, limit).await?)
    }

    pub async fn delete_enrollment(
        &self,
        call: &Call,
        name: &EnrollmentName,
        etag: &str,
    ) -> Result<Enrollment> {
        let write = match self.begin(call).await? {
            Begin::Answered(enrollment) => return Ok(enrollment),
            Begin::Fresh(write) => write,
        };
        let old = match write.tx.lock_program(&name.program).await? {
            Some(program) => write.tx.enrollment(&program, &name.merchant).await?,
            None => None,
        };
        let old = old
            .filter(|old| !old.deleted)
            .ok_or_else(|| not_enrolled(name))?;
        etag_matches(etag, &old.etag())?;
        let enrollment = old.deleted(write.now);
        write.tx.save_enrollment(&enrollment, write.author).await?;
        write.finish(enrollment).await
    }

    /// Counted under the programs' lock, or two writes would both be the last.
    async fn room_for_a_program(&self, write: &Write<'_>, name: &ProgramName) -> Result<()> {
        let limit = self.rules.programs;
        if write.tx.count_programs().await? < limit {
            return Ok(());
        }
        let message = format!("there may be {limit} programs that have not ended; end one first");
        Err(Refusal::new(Reason::QuotaExhausted, message)
            .about(name)
            .with("limit", limit.to_string())
            .into())
    }
}

/// The program under a write's lock, as the caller knows it. Its enrollments change under the
/// same lock.
async fn locked(write: &Write<'_>, name: &ProgramName, etag: &str) -> Result<Program> {
    let found = write.tx.lock_program(name).await?;
    let program = found.ok_or_else(|| not_found(name))?;
    etag_matches(etag, &program.etag())?;
    Ok(program)
}

fn not_found(name: &ProgramName) -> Refusal {
    Refusal::new(Reason::ProgramNotFound, "no such program").about(name)
}

fn exists(name: &ProgramName) -> Refusal {
    Refusal::new(
        Reason::ProgramExists,
        "a program has this name; an ended one keeps it",
    )
    .about(name)
}

fn not_enrolled(name: &EnrollmentName) -> Refusal {
    Refusal::new(
        Reason::EnrollmentNotFound,
        "the merchant is on neither list of the program",
    )
    .about(name)
}

fn enrolled(name: &EnrollmentName) -> Refusal {
    Refusal::new(
        Reason::EnrollmentExists,
        "the merchant is on one of the program's lists already; delete that enrollment first",
    )
    .about(name)
}
