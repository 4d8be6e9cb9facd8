//! Values that stand nowhere else, and the search for them in whatever form.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mingpian::api::pb;

use crate::support::{phone, wechat, wecom};

/// What must not be seen, in the forms it could take.
pub struct Canary {
    pub value: String,
    pub forms: Vec<String>,
}

impl Canary {
    pub fn new(value: String) -> Self {
        let (head, rest) = value.split_at(3);
        let (middle, tail) = rest.split_at(rest.len() - 4);
        let wide = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            value.encode_utf16().flat_map(bytes).collect()
        };
        let mut forms = vec![
            searchable(value.as_bytes()),
            format!("{head} {middle} {tail}"),
            format!("{head}-{middle}-{tail}"),
            value.bytes().map(|b| format!("{b:02x}")).collect(),
            value.bytes().map(|b| format!("%{b:02x}")).collect(),
            searchable(&wide(u16::to_le_bytes)),
            searchable(&wide(u16::to_be_bytes)),
        ];
        // Base64 reads differently after each number of bytes before it.
        for before in ["", "_", "__"] {
            let coded = BASE64_STANDARD.encode(format!("{before}{value}"));
            forms.push(coded[4..coded.len() - 4].to_ascii_lowercase());
        }
        Self { value, forms }
    }

    pub fn is_in(&self, bytes: &[u8]) -> bool {
        let text = searchable(bytes);
        self.forms.iter().any(|form| text.contains(form))
    }
}

/// Any bytes as text, a character each, in lower case.
fn searchable(bytes: &[u8]) -> String {
    let bytes = bytes.iter();
    bytes.map(|b| char::from(b.to_ascii_lowercase())).collect()
}

pub struct Canaries {
    pub mobile: Canary,
    /// After the update.
    pub next_mobile: Canary,
    pub service_number: Canary,
    pub wechat_id: Canary,
    /// No secret, but of no business in a log.
    pub display_name: Canary,
}

impl Canaries {
    pub fn new() -> Self {
        let digits = |n: usize| -> String {
            let random = rand::random::<u64>();
            format!("{random:020}")[20 - n..].to_owned()
        };
        Self {
            mobile: Canary::new(format!("139{}", digits(8))),
            next_mobile: Canary::new(format!("136{}", digits(8))),
            service_number: Canary::new(format!("400{}", digits(7))),
            wechat_id: Canary::new(format!("canary_{}", digits(9))),
            display_name: Canary::new(format!("Kanarie {}", digits(9))),
        }
    }

    pub fn secrets(&self) -> [&Canary; 4] {
        [
            &self.mobile,
            &self.next_mobile,
            &self.service_number,
            &self.wechat_id,
        ]
    }

    #[track_caller]
    pub fn no_secret_in(&self, place: &str, bytes: &[u8]) {
        for secret in self.secrets() {
            assert!(!secret.is_in(bytes), "{} is in {place}", secret.value);
        }
    }

    #[track_caller]
    pub fn nothing_in(&self, place: &str, bytes: &[u8]) {
        self.no_secret_in(place, bytes);
        let name = &self.display_name;
        if name.is_in(bytes) {
            let text = String::from_utf8_lossy(bytes);
            let line = text.lines().find(|l| l.contains(&name.value));
            panic!("{} is in {place}: {line:?}", name.value);
        }
    }

    pub fn card(&self, number: &Canary) -> pb::Card {
        pb::Card {
            display_name: self.display_name.value.clone(),
            contacts: vec![wecom(), phone(&number.value), wechat(&self.wechat_id.value)],
            ..Default::default()
        }
    }
}
