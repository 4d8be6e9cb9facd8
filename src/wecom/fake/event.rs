//! Events, as WeCom writes them.

use std::fmt::Write as _;

use crate::domain::Micros;

/// Something that WeCom tells a corp.
#[derive(Clone, Debug)]
pub(super) struct Event {
    event: &'static str,
    change_type: &'static str,
    time: Micros,
    fields: Vec<(&'static str, String)>,
}

impl Event {
    /// Of links and of what is left to add.
    pub(super) const fn acquisition(change_type: &'static str, time: Micros) -> Self {
        Self::new("customer_acquisition", change_type, time)
    }

    /// Of contacts.
    pub(super) const fn contact(change_type: &'static str, time: Micros) -> Self {
        Self::new("change_external_contact", change_type, time)
    }

    const fn new(event: &'static str, change_type: &'static str, time: Micros) -> Self {
        Self {
            event,
            change_type,
            time,
            fields: Vec::new(),
        }
    }

    pub(super) fn with(mut self, field: &'static str, value: impl ToString) -> Self {
        self.fields.push((field, value.to_string()));
        self
    }

    pub(super) fn xml(&self, corp_id: &str) -> String {
        let mut xml = "<xml>".to_owned();
        text(&mut xml, "ToUserName", corp_id);
        text(&mut xml, "FromUserName", "sys");
        let _ = write!(xml, "<CreateTime>{}</CreateTime>", self.time.seconds());
        text(&mut xml, "MsgType", "event");
        text(&mut xml, "Event", self.event);
        text(&mut xml, "ChangeType", self.change_type);
        for (name, value) in &self.fields {
            // Real messages have breaks and tabs between elements.
            xml += "\n\t";
            text(&mut xml, name, value);
        }
        xml + "\n</xml>"
    }
}

fn text(xml: &mut String, name: &str, value: &str) {
    let value = value.replace("]]>", "]]]]><![CDATA[>");
    let _ = write!(xml, "<{name}><![CDATA[{value}]]></{name}>");
}
