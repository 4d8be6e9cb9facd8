//! `roles`: which part of the work a replica does.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, IntoDeserializer, value},
};

use super::value::words;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answers calls, but for the intake of events, and opens the public door.
    Serve,
    /// Takes events in.
    Intake,
    /// Rolls events up.
    Rollup,
    /// Tells NATS what changes.
    Publish,
    /// All that is done on time or behind calls: the sweep, T+1, WeCom.
    Jobs,
}

#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Roles(Vec<Role>);

impl Roles {
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let roles = words(deserializer)?.into_iter().map(|word| {
            let role = Role::deserialize(word.into_deserializer());
            role.map_err(|e: value::Error| D::Error::custom(e))
        });
        let roles = roles.collect::<Result<Vec<_>, _>>()?;
        if roles.is_empty() {
            return Err(D::Error::custom("must name a role"));
        }
        Ok(Self(roles))
    }
}
