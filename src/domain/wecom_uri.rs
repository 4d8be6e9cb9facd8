use serde::{Deserialize, Serialize};
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcquisitionUri(String);
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KfUri(String);
impl AcquisitionUri {
    pub fn as_str(&self) -> &str {
        &self.0
    }
    pub fn parse(s: &str) -> Result<Self, &'static str> {
        Ok(Self(s.into()))
    }
}
impl KfUri {
    pub fn as_str(&self) -> &str {
        &self.0
    }
    pub fn parse(s: &str) -> Result<Self, &'static str> {
        Ok(Self(s.into()))
    }
}
