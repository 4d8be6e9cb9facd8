//! The first merchant, made by calls as a merchant is.

use std::net::SocketAddr;

use chrono::{DateTime, Datelike};
use mingpian::{
    api::{common, pb},
    app::Ambient,
};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

pub const LINK: &str = "https://work.weixin.qq.com/ca/cawcdea7783d7330c6";
const DAY: i64 = 86_400;

/// Of viewers, so many are held out: few enough to leave the answers as long as they are.
const HOLD_OUT_PERMILLE: i32 = 10;

/// A program that opens all kinds, spend over its threshold, a card with three contacts, in the
/// chat menu and on a note, and a hold-out.
pub async fn make(grpc: SocketAddr, token: &str) {
    let channel = Channel::from_shared(format!("http://{grpc}")).unwrap();
    let caller = Caller {
        channel: channel.connect().await.unwrap(),
        bearer: format!("Bearer {token}").parse().unwrap(),
    };
    caller.open_program().await;
    caller.spend().await;
    let mut cards = pb::card_service_client::CardServiceClient::new(caller.channel.clone());
    let created = cards
        .create_card(caller.with(create_card("load-0", "main")))
        .await;
    created.unwrap();
    caller.place().await;
    caller.hold_out().await;
}

/// A card with one contact of each kind.
pub fn create_card(merchant: &str, id: &str) -> pb::CreateCardRequest {
    use pb::{contact::Details, wecom_contact::Target};
    let wecom = pb::WecomContact {
        target: Some(Target::AcquisitionUri(LINK.to_owned())),
        ..Default::default()
    };
    let phone = pb::PhoneContact {
        number: "4008001234".to_owned(),
        ..Default::default()
    };
    let wechat = pb::WechatContact {
        wechat_id: "harbor_tours88".to_owned(),
        ..Default::default()
    };
    let contacts = [
        Details::Wecom(wecom),
        Details::Phone(phone),
        Details::Wechat(wechat),
    ];
    pb::CreateCardRequest {
        parent: format!("merchants/{merchant}"),
        card_id: id.to_owned(),
        card: Some(pb::Card {
            display_name: "Harbor Tours 港湾".to_owned(),
            headline: "每日 9:00-21:00".to_owned(),
            avatar_uri: "https://example.com/avatars/harbor-tours.png".to_owned(),
            contacts: contacts
                .map(|details| pb::Contact {
                    details: Some(details),
                    ..Default::default()
                })
                .into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

struct Caller {
    channel: Channel,
    bearer: MetadataValue<Ascii>,
}

impl Caller {
    fn with<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.bearer.clone());
        request
    }

    async fn open_program(&self) {
        use pb::contact::Kind;
        let request = pb::UpdateProgramRequest {
            program: Some(pb::Program {
                name: "programs/default".to_owned(),
                contact_kinds: [Kind::Wecom, Kind::Phone, Kind::WechatId]
                    .map(i32::from)
                    .into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut programs =
            pb::program_service_client::ProgramServiceClient::new(self.channel.clone());
        programs.update_program(self.with(request)).await.unwrap();
    }

    /// 1,200 CNY, yesterday.
    async fn spend(&self) {
        let yesterday = Ambient::system().now().seconds() + DAY / 3 - DAY;
        let day = DateTime::from_timestamp(yesterday, 0).unwrap();
        let part = |n: u32| i32::try_from(n).unwrap();
        let entry = pb::SpendEntry {
            merchant: "merchants/load-0".to_owned(),
            day: Some(common::Date {
                year: day.year(),
                month: part(day.month()),
                day: part(day.day()),
            }),
            source: "juguang".to_owned(),
            amount: Some(common::Money {
                currency_code: "CNY".to_owned(),
                units: 1_200,
                nanos: 0,
            }),
        };
        let request = pb::ImportSpendRequest {
            entries: vec![entry],
        };
        let mut eligibilities =
            pb::eligibility_service_client::EligibilityServiceClient::new(self.channel.clone());
        let request = self.with(tokio_stream::once(request));
        let imported = eligibilities.import_spend(request).await.unwrap();
        assert_eq!(imported.into_inner().accepted, 1);
    }

    async fn place(&self) {
        use pb::placement::{ChatMenu, NoteCapsule, Surface};
        let note = "notes/note-load-0".to_owned();
        let mut placements =
            pb::placement_service_client::PlacementServiceClient::new(self.channel.clone());
        for (id, surface) in [
            ("menu", Surface::ChatMenu(ChatMenu { position: 1 })),
            ("note", Surface::NoteCapsule(NoteCapsule { note })),
        ] {
            let request = pb::CreatePlacementRequest {
                parent: "merchants/load-0".to_owned(),
                placement_id: id.to_owned(),
                placement: Some(pb::Placement {
                    card: "merchants/load-0/cards/main".to_owned(),
                    surface: Some(surface),
                    ..Default::default()
                }),
                ..Default::default()
            };
            let created = placements.create_placement(self.with(request)).await;
            created.unwrap();
        }
    }

    async fn hold_out(&self) {
        let request = pb::CreateExperimentRequest {
            parent: "merchants/load-0".to_owned(),
            experiment_id: "autumn".to_owned(),
            experiment: Some(pb::Experiment {
                hold_out_permille: HOLD_OUT_PERMILLE,
                salt: "autumn".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut measurement =
            pb::measurement_service_client::MeasurementServiceClient::new(self.channel.clone());
        let created = measurement.create_experiment(self.with(request)).await;
        created.unwrap();
    }
}
