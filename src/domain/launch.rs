use super::*;
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Environment {
    pub platform: Platform,
    pub container: Container,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Platform {
    Ios,
    Android,
    Harmony,
    Web,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    NativeApp,
    WechatWebview,
    Browser,
    Desktop,
}
#[derive(Clone, Debug)]
pub enum Target {
    Wecom(AcquisitionUri),
    Kf(KfUri),
    Phone(Phone),
    WechatId(WechatId),
}
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    UrlScheme { uri: String },
    Https { uri: String },
    CopyText { text: String },
    Dial { uri: String },
    ShowQr { uri: String },
}
impl Step {
    pub const fn requires_app(&self) -> Option<&'static str> {
        None
    }
}
pub fn plan(_t: &Target, _token: &str, _e: Environment) -> Vec<Step> {
    vec![]
}
