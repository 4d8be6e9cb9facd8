//! One of each thing of a merchant's, and a good request of each RPC that names them.

use mingpian::{
    api::pb::{
        self, explain_serving_request, placement::Surface, verify_provenance_request::Evidence,
    },
    domain::Zone,
};
use prost::Message;

use super::Api;
use crate::support::{
    APP_SECRET, CORP_ID, acquisition_link, card, corp, create_acquisition_link, create_card,
    create_corp, get_menu, in_menu, on_note, place, tap, viewer,
};

/// What a request may name of a merchant.
#[derive(Clone, Debug)]
pub struct Names {
    pub merchant: String,
    pub card: String,
    /// A deleted card.
    pub gone: String,
    /// In the menu.
    pub live: String,
    pub paused: String,
    pub message: String,
    pub link: String,
    /// A placement of it is on this note.
    pub note: String,
    /// Of `live`.
    pub token: String,
    /// A program of the platform's, which lists the merchant.
    pub program: String,
    pub paused_program: String,
    /// Of the merchant, in `program`.
    pub enrollment: String,
    /// A corp of the platform's, which names the merchant.
    pub corp: String,
    /// One without links.
    pub spare_corp: String,
    /// Of `corp`.
    pub acquisition_link: String,
    /// Reported, to be confirmed.
    pub violation: String,
    /// Reported, to be dismissed.
    pub spare_violation: String,
    /// Confirmed.
    pub known_violation: String,
    /// In force; stops no card.
    pub sanction: String,
    /// Likewise, to be appealed against.
    pub harsh_sanction: String,
    /// To be upheld.
    pub appeal: String,
    /// To be rejected.
    pub spare_appeal: String,
    /// Runs, and holds next to nobody out.
    pub experiment: String,
}

impl Names {
    /// Of the same merchant, and nothing of it is there.
    pub fn absent(&self) -> Self {
        Self {
            card: self.card.clone() + "-not",
            gone: self.gone.clone() + "-not",
            live: self.live.clone() + "-not",
            paused: self.paused.clone() + "-not",
            message: self.message.clone() + "-not",
            link: self.link.clone() + "-not",
            note: self.note.clone() + "-not",
            program: self.program.clone() + "-not",
            paused_program: self.paused_program.clone() + "-not",
            enrollment: self.enrollment.clone() + "-not",
            corp: self.corp.clone() + "-not",
            spare_corp: self.spare_corp.clone() + "-not",
            acquisition_link: self.acquisition_link.clone() + "-not",
            violation: self.violation.clone() + "-not",
            spare_violation: self.spare_violation.clone() + "-not",
            known_violation: self.known_violation.clone() + "-not",
            sanction: self.sanction.clone() + "-not",
            harsh_sanction: self.harsh_sanction.clone() + "-not",
            appeal: self.appeal.clone() + "-not",
            spare_appeal: self.spare_appeal.clone() + "-not",
            experiment: self.experiment.clone() + "-not",
            ..self.clone()
        }
    }
}

/// Makes one of each for a merchant.
pub async fn stage(api: &mut Api, merchant: &str) -> Names {
    let of = |collection, id| format!("merchants/{merchant}/{collection}/{id}");
    let names = Names {
        merchant: merchant.to_owned(),
        card: of("cards", "main"),
        gone: of("cards", "gone"),
        live: of("placements", "live"),
        paused: of("placements", "paused"),
        message: of("placements", "message"),
        link: of("links", "link"),
        note: format!("notes/of-{merchant}"),
        token: String::new(),
        program: format!("programs/of-{merchant}"),
        paused_program: format!("programs/paused-{merchant}"),
        enrollment: format!("programs/of-{merchant}/enrollments/{merchant}"),
        corp: format!("corps/of-{merchant}"),
        spare_corp: format!("corps/spare-{merchant}"),
        acquisition_link: format!("corps/of-{merchant}/acquisitionLinks/main"),
        violation: of("violations", "main"),
        spare_violation: of("violations", "spare"),
        known_violation: of("violations", "known"),
        sanction: of("sanctions", "main"),
        harsh_sanction: of("sanctions", "harsh"),
        appeal: of("appeals", "main"),
        spare_appeal: of("appeals", "spare"),
        experiment: of("experiments", "main"),
    };
    for id in ["main", "gone"] {
        api.cards
            .create_card(create_card(merchant, id))
            .await
            .unwrap();
    }
    let delete = pb::DeleteCardRequest {
        name: names.gone.clone(),
        ..Default::default()
    };
    api.cards.delete_card(delete).await.unwrap();
    let note = on_note(&format!("of-{merchant}"));
    for (id, surface) in [("live", in_menu(1)), ("paused", in_menu(2)), ("note", note)] {
        let request = place(merchant, "main", id, surface);
        api.placements.create_placement(request).await.unwrap();
    }
    let pause = pb::PausePlacementRequest {
        name: names.paused.clone(),
        ..Default::default()
    };
    api.placements.pause_placement(pause).await.unwrap();
    let send = pb::SendCardRequest {
        card: names.card.clone(),
        conversation: "conversations/c".into(),
        placement_id: "message".into(),
        ..Default::default()
    };
    api.placements.send_card(send).await.unwrap();
    let link = pb::CreateLinkRequest {
        parent: format!("merchants/{merchant}"),
        link: Some(pb::Link {
            placement: names.live.clone(),
            ..Default::default()
        }),
        link_id: "link".into(),
        ..Default::default()
    };
    api.links.create_link(link).await.unwrap();
    let menu = api.serving.get_chat_menu(get_menu(merchant)).await.unwrap();
    let token = menu.into_inner().items.remove(0).tap_token;
    stage_programs(api, &names).await;
    stage_corps(api, &names).await;
    stage_compliance(api, &names).await;
    let experiment = pb::CreateExperimentRequest {
        parent: format!("merchants/{merchant}"),
        experiment_id: "main".into(),
        experiment: Some(pb::Experiment {
            hold_out_permille: 1,
            // In this split not the viewer who asks.
            salt: "s".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    api.measurement.create_experiment(experiment).await.unwrap();
    Names { token, ..names }
}

async fn stage_programs(api: &mut Api, names: &Names) {
    for name in [&names.program, &names.paused_program] {
        let create = pb::CreateProgramRequest {
            program_id: name.replace("programs/", ""),
            program: Some(program()),
            ..Default::default()
        };
        api.programs.create_program(create).await.unwrap();
    }
    let pause = pb::PauseProgramRequest {
        name: names.paused_program.clone(),
        ..Default::default()
    };
    api.programs.pause_program(pause).await.unwrap();
    let enroll = pb::CreateEnrollmentRequest {
        parent: names.program.clone(),
        merchant: format!("merchants/{}", names.merchant),
        enrollment: allow(),
        ..Default::default()
    };
    api.programs.create_enrollment(enroll).await.unwrap();
}

async fn stage_corps(api: &mut Api, names: &Names) {
    let wecom = &api.server.scratch.wecom;
    wecom.add_app(CORP_ID, APP_SECRET);
    for name in [&names.corp, &names.spare_corp] {
        let create = pb::CreateCorpRequest {
            corp: Some(pb::Corp {
                merchants: vec![format!("merchants/{}", names.merchant)],
                ..corp()
            }),
            ..create_corp(&name.replace("corps/", ""))
        };
        api.wecom.create_corp(create).await.unwrap();
    }
    let link = create_acquisition_link(&names.corp.replace("corps/", ""), "main");
    api.wecom.create_acquisition_link(link).await.unwrap();
}

async fn stage_compliance(api: &mut Api, names: &Names) {
    let parent = format!("merchants/{}", names.merchant);
    for name in [
        &names.violation,
        &names.spare_violation,
        &names.known_violation,
    ] {
        let report = pb::ReportViolationRequest {
            parent: parent.clone(),
            violation: Some(violation("solicit")),
            violation_id: name.rsplit('/').next().unwrap().into(),
            ..Default::default()
        };
        api.compliance.report_violation(report).await.unwrap();
    }
    let confirm = pb::ConfirmViolationRequest {
        name: names.known_violation.clone(),
        decision: "属实".into(),
        ..Default::default()
    };
    api.compliance.confirm_violation(confirm).await.unwrap();
    for id in ["main", "harsh", "appealed-main", "appealed-spare"] {
        let create = pb::CreateSanctionRequest {
            parent: parent.clone(),
            sanction: Some(sanction(pb::sanction::Kind::TrafficRestricted)),
            sanction_id: id.into(),
            ..Default::default()
        };
        api.compliance.create_sanction(create).await.unwrap();
    }
    for name in [&names.appeal, &names.spare_appeal] {
        let id = name.rsplit('/').next().unwrap();
        let appeal = pb::CreateAppealRequest {
            parent: parent.clone(),
            appeal: Some(appeal(&format!("{parent}/sanctions/appealed-{id}"))),
            appeal_id: id.into(),
            ..Default::default()
        };
        api.compliance.create_appeal(appeal).await.unwrap();
    }
}

/// Of this rule.
pub fn violation(rule: &str) -> pb::Violation {
    pb::Violation {
        rule: rule.into(),
        description: "微信号在评论里".into(),
        ..Default::default()
    }
}

/// From now on, without an end.
pub fn sanction(kind: pb::sanction::Kind) -> pb::Sanction {
    pb::Sanction {
        kind: kind.into(),
        rule: "evasion".into(),
        reason: "多次违规".into(),
        ..Default::default()
    }
}

/// Against a sanction.
pub fn appeal(sanction: &str) -> pb::Appeal {
    pb::Appeal {
        subject: Some(pb::appeal::Subject::Sanction(sanction.into())),
        statement: "不是我们发的".into(),
        ..Default::default()
    }
}

fn program() -> pb::Program {
    pb::Program {
        display_name: "Pilot".into(),
        surfaces: vec![pb::program::Surface::ChatMenu.into()],
        contact_kinds: vec![pb::contact::Kind::Phone.into()],
        ..Default::default()
    }
}

fn allow() -> Option<pb::Enrollment> {
    Some(pb::Enrollment {
        list: pb::enrollment::List::Allow.into(),
        ..Default::default()
    })
}

/// An inbound of just now.
pub fn event(merchant: &str, id: &str) -> pb::Event {
    pb::Event {
        event_id: id.into(),
        r#type: pb::event::Type::Inbound.into(),
        merchant: format!("merchants/{merchant}"),
        viewer_id: "v-1".into(),
        event_time: super::time(crate::support::Clock::default().now()),
        ..Default::default()
    }
}

/// The last part of a name.
fn last(name: &str) -> String {
    name.rsplit('/').next().unwrap().to_owned()
}

/// The hour that begins at this second.
fn hour(start: i64) -> pb::QueryFunnelRequest {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    pb::QueryFunnelRequest {
        start: at(start),
        end: at(start + 3600),
        ..Default::default()
    }
}

fn yesterday() -> mingpian::api::common::Date {
    let now = crate::support::Clock::default().now();
    super::spend::date(Zone::SHANGHAI.day(now) - 1)
}

/// A good request of each RPC. One without a line here fails every test that walks over them.
pub fn request(method: &str, of: &Names) -> Vec<u8> {
    let parent = format!("merchants/{}", of.merchant);
    let placement = |surface: Surface| pb::Placement {
        card: of.card.clone(),
        surface: Some(surface),
        ..Default::default()
    };
    macro_rules! bytes {
        ($message:ident { $($field:ident: $value:expr),* $(,)? }) => {
            {
                #[allow(clippy::needless_update, reason = "some have more fields")]
                let message = pb::$message { $($field: $value.into(),)* ..Default::default() };
                message.encode_to_vec()
            }
        };
    }
    match method {
        "CardService.CreateCard" => bytes!(CreateCardRequest {
            parent: parent,
            card: pb::Card {
                headline: of.card.rsplit('/').next().unwrap().into(),
                ..card()
            },
        }),
        "CardService.GetCard" => bytes!(GetCardRequest { name: &of.card }),
        "CardService.ListCards" => bytes!(ListCardsRequest { parent: parent }),
        "CardService.UpdateCard" => bytes!(UpdateCardRequest {
            card: pb::Card {
                name: of.card.clone(),
                ..card()
            },
        }),
        "CardService.DeleteCard" => bytes!(DeleteCardRequest { name: &of.card }),
        "CardService.UndeleteCard" => bytes!(UndeleteCardRequest { name: &of.gone }),
        "CardService.RevealContact" => bytes!(RevealContactRequest {
            name: &of.card,
            kind: pb::contact::Kind::Phone,
        }),
        "PlacementService.CreatePlacement" => bytes!(CreatePlacementRequest {
            parent: parent,
            placement: placement(in_menu(3)),
        }),
        "PlacementService.GetPlacement" => bytes!(GetPlacementRequest { name: &of.live }),
        "PlacementService.ListPlacements" => bytes!(ListPlacementsRequest { parent: parent }),
        "PlacementService.UpdatePlacement" => bytes!(UpdatePlacementRequest {
            placement: pb::Placement {
                name: of.live.clone(),
                end_time: Some(prost_types::Timestamp {
                    seconds: 4_102_444_800,
                    nanos: 0,
                }),
                ..Default::default()
            },
        }),
        "PlacementService.PausePlacement" => bytes!(PausePlacementRequest { name: &of.live }),
        "PlacementService.ResumePlacement" => bytes!(ResumePlacementRequest { name: &of.paused }),
        "PlacementService.DeletePlacement" => bytes!(DeletePlacementRequest { name: &of.live }),
        "PlacementService.SendCard" => bytes!(SendCardRequest {
            card: &of.card,
            conversation: "conversations/c",
        }),
        "ServingService.GetChatMenu" => get_menu(&of.merchant).encode_to_vec(),
        "ServingService.BatchGetNoteCapsules" => bytes!(BatchGetNoteCapsulesRequest {
            notes: [of.note.clone()],
            viewer: viewer(),
        }),
        "ServingService.GetCardMessage" => bytes!(GetCardMessageRequest {
            placement: &of.message,
            viewer: viewer(),
        }),
        "ServingService.ExplainServing" => bytes!(ExplainServingRequest {
            subject: explain_serving_request::Subject::Placement(of.live.clone()),
        }),
        "ServingService.OpenCard" => {
            tap(&of.token, pb::environment::Container::NativeApp).encode_to_vec()
        }
        "LinkService.CreateLink" => bytes!(CreateLinkRequest {
            parent: parent,
            link: pb::Link {
                placement: of.live.clone(),
                ..Default::default()
            },
        }),
        "LinkService.GetLink" => bytes!(GetLinkRequest { name: &of.link }),
        "LinkService.ListLinks" => bytes!(ListLinksRequest { parent: parent }),
        "LinkService.RevokeLink" => bytes!(RevokeLinkRequest { name: &of.link }),
        "LinkService.VerifyProvenance" => bytes!(VerifyProvenanceRequest {
            evidence: Evidence::Token(of.token.clone()),
        }),
        "ProgramService.CreateProgram" => bytes!(CreateProgramRequest {
            program: pb::Program {
                display_name: of.program.rsplit('/').next().unwrap().into(),
                ..program()
            },
        }),
        "ProgramService.GetProgram" => bytes!(GetProgramRequest { name: &of.program }),
        "ProgramService.ListPrograms" => bytes!(ListProgramsRequest {}),
        "ProgramService.UpdateProgram" => bytes!(UpdateProgramRequest {
            program: pb::Program {
                name: of.program.clone(),
                share_permille: Some(10),
                ..Default::default()
            },
        }),
        "ProgramService.PauseProgram" => bytes!(PauseProgramRequest { name: &of.program }),
        "ProgramService.ResumeProgram" => bytes!(ResumeProgramRequest {
            name: &of.paused_program,
        }),
        "ProgramService.EndProgram" => bytes!(EndProgramRequest {
            name: &of.paused_program,
        }),
        "ProgramService.CreateEnrollment" => bytes!(CreateEnrollmentRequest {
            parent: &of.program,
            merchant: "merchants/another",
            enrollment: allow().unwrap(),
        }),
        "ProgramService.ListEnrollments" => bytes!(ListEnrollmentsRequest {
            parent: &of.program,
        }),
        "ProgramService.DeleteEnrollment" => bytes!(DeleteEnrollmentRequest {
            name: &of.enrollment,
        }),
        "ProgramService.PreviewProgram" => bytes!(PreviewProgramRequest {
            program: pb::Program {
                name: of.program.clone(),
                ..program()
            },
        }),
        "EligibilityService.ImportSpend" => bytes!(ImportSpendRequest {
            entries: [pb::SpendEntry::default()],
        }),
        "EligibilityService.CompleteSpendDay" => bytes!(CompleteSpendDayRequest {
            source: of.card.rsplit('/').next().unwrap(),
            day: yesterday(),
        }),
        "EligibilityService.GetEligibility" => bytes!(GetEligibilityRequest {
            name: format!("{parent}/eligibility"),
        }),
        "EligibilityService.ListEligibilities" => {
            bytes!(ListEligibilitiesRequest { parent: parent })
        }
        "WecomService.CreateCorp" => bytes!(CreateCorpRequest {
            corp: pb::Corp {
                display_name: of.card.rsplit('/').next().unwrap().into(),
                ..corp()
            },
        }),
        "WecomService.GetCorp" => bytes!(GetCorpRequest { name: &of.corp }),
        "WecomService.ListCorps" => bytes!(ListCorpsRequest {}),
        "WecomService.UpdateCorp" => bytes!(UpdateCorpRequest {
            corp: pb::Corp {
                name: of.corp.clone(),
                callback_token: "next".into(),
                ..Default::default()
            },
        }),
        "WecomService.DeleteCorp" => bytes!(DeleteCorpRequest {
            name: &of.spare_corp
        }),
        "WecomService.CreateAcquisitionLink" => bytes!(CreateAcquisitionLinkRequest {
            parent: &of.corp,
            acquisition_link: acquisition_link(),
        }),
        "WecomService.ListAcquisitionLinks" => {
            bytes!(ListAcquisitionLinksRequest { parent: &of.corp })
        }
        "WecomService.UpdateAcquisitionLink" => bytes!(UpdateAcquisitionLinkRequest {
            acquisition_link: pb::AcquisitionLink {
                name: of.acquisition_link.clone(),
                user_ids: vec!["lisi".into()],
                ..Default::default()
            },
        }),
        "WecomService.DeleteAcquisitionLink" => bytes!(DeleteAcquisitionLinkRequest {
            name: &of.acquisition_link,
        }),
        "WecomService.GetAcquisitionQuota" => bytes!(GetAcquisitionQuotaRequest {
            name: format!("{}/acquisitionQuota", of.corp),
        }),
        "WecomService.ListContactEvents" => {
            bytes!(ListContactEventsRequest { parent: parent })
        }
        "MeasurementService.IngestEvents" => bytes!(IngestEventsRequest {
            events: [pb::Event {
                origin: Some(pb::event::Origin::Placement(of.live.clone())),
                ..event(&of.merchant, "e-1")
            }],
        }),
        "MeasurementService.QueryFunnel" => {
            let request = pb::QueryFunnelRequest {
                merchant: parent,
                ..hour(0)
            };
            request.encode_to_vec()
        }
        "MeasurementService.ListMetrics" => bytes!(ListMetricsRequest {}),
        "MeasurementService.CreateExperiment" => bytes!(CreateExperimentRequest {
            parent: parent,
            experiment: pb::Experiment {
                display_name: last(&of.card),
                hold_out_permille: 1,
                ..Default::default()
            },
        }),
        "MeasurementService.GetExperiment" => bytes!(GetExperimentRequest {
            name: &of.experiment,
        }),
        "MeasurementService.ListExperiments" => {
            bytes!(ListExperimentsRequest { parent: parent })
        }
        "MeasurementService.StopExperiment" => bytes!(StopExperimentRequest {
            name: &of.experiment,
        }),
        "MeasurementService.GetExperimentReport" => bytes!(GetExperimentReportRequest {
            name: &of.experiment,
        }),
        "MeasurementService.GetProgramReport" => {
            bytes!(GetProgramReportRequest { name: &of.program })
        }
        "MeasurementService.ImportReportedAdds" => bytes!(ImportReportedAddsRequest {
            parent: parent,
            reports: [pb::ReportedAdds {
                day: Some(yesterday()),
                adds: 1,
                viewer_ids: vec![last(&of.card)],
                ..Default::default()
            }],
        }),
        "MeasurementService.QueryReconciliation" => bytes!(QueryReconciliationRequest {
            parent: parent,
            start_day: yesterday(),
            end_day: yesterday(),
        }),
        "ComplianceService.ScreenContent" => bytes!(ScreenContentRequest {
            items: [pb::ScreenedItem {
                content: Some(pb::screened_item::Content::Text("hello".into())),
                merchant: parent,
                ..Default::default()
            }],
        }),
        "ComplianceService.ReportViolation" => bytes!(ReportViolationRequest {
            parent: parent,
            violation: pb::Violation {
                item_ids: vec![of.card.rsplit('/').next().unwrap().into()],
                ..violation("solicit")
            },
        }),
        "ComplianceService.GetViolation" => bytes!(GetViolationRequest {
            name: &of.known_violation,
        }),
        "ComplianceService.ListViolations" => bytes!(ListViolationsRequest { parent: parent }),
        "ComplianceService.ConfirmViolation" => bytes!(ConfirmViolationRequest {
            name: &of.violation,
            decision: "属实",
        }),
        "ComplianceService.DismissViolation" => bytes!(DismissViolationRequest {
            name: &of.spare_violation,
            decision: "不属实",
        }),
        "ComplianceService.GetCreditAccount" => bytes!(GetCreditAccountRequest {
            name: format!("{parent}/creditAccount"),
        }),
        "ComplianceService.CreateSanction" => bytes!(CreateSanctionRequest {
            parent: parent,
            sanction: pb::Sanction {
                reason: of.card.rsplit('/').next().unwrap().into(),
                ..sanction(pb::sanction::Kind::Warning)
            },
        }),
        "ComplianceService.GetSanction" => bytes!(GetSanctionRequest { name: &of.sanction }),
        "ComplianceService.ListSanctions" => bytes!(ListSanctionsRequest { parent: parent }),
        "ComplianceService.LiftSanction" => bytes!(LiftSanctionRequest {
            name: &of.sanction,
            reason: "已整改",
        }),
        "ComplianceService.WatchSanctions" => bytes!(WatchSanctionsRequest { revision: 0 }),
        "ComplianceService.CreateAppeal" => bytes!(CreateAppealRequest {
            parent: parent,
            appeal: appeal(&of.harsh_sanction),
        }),
        "ComplianceService.GetAppeal" => bytes!(GetAppealRequest { name: &of.appeal }),
        "ComplianceService.ListAppeals" => bytes!(ListAppealsRequest { parent: parent }),
        "ComplianceService.UpholdAppeal" => bytes!(UpholdAppealRequest {
            name: &of.appeal,
            decision: "申诉成立",
        }),
        "ComplianceService.RejectAppeal" => bytes!(RejectAppealRequest {
            name: &of.spare_appeal,
            decision: "申诉不成立",
        }),
        other => panic!("{other} has no case"),
    }
}
