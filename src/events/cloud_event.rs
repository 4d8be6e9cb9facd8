//! What happened, as CloudEvents 1.0 has it: JSON, whole in the message's body.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// What a message's `content-type` says.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// A CloudEvent. Those of one `subject` supersede one another in the order of `sequence`.
#[derive(Debug, Serialize)]
pub struct CloudEvent<'a> {
    /// The same each time that it is published, and no other event's.
    pub id: String,
    pub source: String,
    /// Without what every type of ours begins with.
    #[serde(rename = "type", serialize_with = "of_ours")]
    pub kind: &'a str,
    pub subject: &'a str,
    /// RFC 3339.
    pub time: String,
    /// As text whose order is that of the numbers.
    #[serde(serialize_with = "ordered")]
    pub sequence: i64,
    pub data: Value,
}

impl CloudEvent<'_> {
    pub(super) fn json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Whole<'a> {
            specversion: &'static str,
            datacontenttype: &'static str,
            #[serde(flatten)]
            event: &'a CloudEvent<'a>,
        }
        let whole = Whole {
            specversion: "1.0",
            datacontenttype: "application/json",
            event: self,
        };
        // Texts and a tree of JSON always serialize.
        serde_json::to_vec(&whole).unwrap_or_default()
    }
}

fn of_ours<S: Serializer>(kind: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("mingpian.{kind}"))
}

fn ordered<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:019}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_what_cloudevents_asks_for() {
        let event = CloudEvent {
            id: "a-7-1".to_owned(),
            source: "/mingpian/a".to_owned(),
            kind: "contact.added",
            subject: "corps/klook/contactEvents/e",
            time: "2026-11-01T08:00:00Z".to_owned(),
            sequence: 7,
            data: json!({"merchant": "merchants/klook"}),
        };
        let read: Value = serde_json::from_slice(&event.json()).unwrap();
        let wanted = json!({
            "specversion": "1.0",
            "id": "a-7-1",
            "source": "/mingpian/a",
            "type": "mingpian.contact.added",
            "subject": "corps/klook/contactEvents/e",
            "time": "2026-11-01T08:00:00Z",
            "datacontenttype": "application/json",
            "sequence": "0000000000000000007",
            "data": {"merchant": "merchants/klook"},
        });
        assert_eq!(read, wanted);
    }
}
