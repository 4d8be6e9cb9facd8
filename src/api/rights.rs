//! Which right each method asks for. A method without a line here is refused to everybody.

use crate::app::Scope;

/// The right that a method asks for, by its full path, such as
/// `/mingpian.v1.CardService/GetCard`. `None`: no rule, so nobody may call it.
pub fn required(path: &str) -> Option<Scope> {
    let (service, method) = path.strip_prefix("/mingpian.v1.")?.split_once('/')?;
    RULES
        .iter()
        .find(|(s, methods, _)| *s == service && methods.contains(&method))
        .map(|(_, _, scope)| *scope)
}

type Rule = (&'static str, &'static [&'static str], Scope);

#[rustfmt::skip]
const RULES: &[Rule] = &[
    ("ServingService", &[
        "GetChatMenu", "BatchGetNoteCapsules", "GetCardMessage", "OpenCard",
    ], Scope::ServingRead),
    ("CardService", &["GetCard", "ListCards"], Scope::CardsRead),
    ("CardService", &["CreateCard", "UpdateCard", "DeleteCard", "UndeleteCard"], Scope::CardsWrite),
    ("CardService", &["RevealContact"], Scope::ContactsReveal),
    ("PlacementService", &["GetPlacement", "ListPlacements"], Scope::CardsRead),
    ("PlacementService", &[
        "CreatePlacement", "UpdatePlacement", "PausePlacement", "ResumePlacement",
        "DeletePlacement", "SendCard",
    ], Scope::CardsWrite),
    ("LinkService", &["GetLink", "ListLinks"], Scope::CardsRead),
    ("LinkService", &["CreateLink", "RevokeLink"], Scope::LinksWrite),
    ("LinkService", &["VerifyProvenance"], Scope::ComplianceRead),
    ("ServingService", &["ExplainServing"], Scope::EligibilityRead),
    ("EligibilityService", &["ImportSpend", "CompleteSpendDay"], Scope::SpendWrite),
    ("EligibilityService", &["GetEligibility", "ListEligibilities"], Scope::EligibilityRead),
    ("ProgramService", &[
        "GetProgram", "ListPrograms", "ListEnrollments", "PreviewProgram",
    ], Scope::ProgramsRead),
    ("ProgramService", &[
        "CreateProgram", "UpdateProgram", "PauseProgram", "ResumeProgram", "EndProgram",
        "CreateEnrollment", "DeleteEnrollment",
    ], Scope::ProgramsWrite),
    ("WecomService", &[
        "CreateCorp", "GetCorp", "ListCorps", "UpdateCorp", "DeleteCorp", "CreateAcquisitionLink",
        "ListAcquisitionLinks", "UpdateAcquisitionLink", "DeleteAcquisitionLink",
        "GetAcquisitionQuota",
    ], Scope::WecomWrite),
    ("ComplianceService", &["ScreenContent"], Scope::ComplianceScreen),
    ("ComplianceService", &[
        "GetViolation", "ListViolations", "GetCreditAccount", "GetSanction", "ListSanctions",
        "WatchSanctions", "GetAppeal", "ListAppeals",
    ], Scope::ComplianceRead),
    ("ComplianceService", &[
        "ReportViolation", "ConfirmViolation", "DismissViolation", "CreateSanction",
        "LiftSanction", "CreateAppeal", "UpholdAppeal", "RejectAppeal",
    ], Scope::ComplianceWrite),
    ("WecomService", &["ListContactEvents"], Scope::MeasurementRead),
    ("MeasurementService", &[
        "IngestEvents", "CreateExperiment", "StopExperiment", "ImportReportedAdds",
    ], Scope::MeasurementWrite),
    ("MeasurementService", &[
        "QueryFunnel", "ListMetrics", "GetExperiment", "ListExperiments", "GetExperimentReport",
        "GetProgramReport", "QueryReconciliation",
    ], Scope::MeasurementRead),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::api::pb;

    fn contract() -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
        let mut paths = BTreeSet::new();
        for file in set.file.iter().filter(|f| f.package() == "mingpian.v1") {
            for service in &file.service {
                for method in &service.method {
                    paths.insert(format!("/mingpian.v1.{}/{}", service.name(), method.name()));
                }
            }
        }
        paths
    }

    #[test]
    fn methods_and_rules_are_the_same() {
        let rules: Vec<_> = RULES
            .iter()
            .flat_map(|(service, methods, _)| {
                methods
                    .iter()
                    .map(move |m| format!("/mingpian.v1.{service}/{m}"))
            })
            .collect();
        let distinct: BTreeSet<_> = rules.iter().cloned().collect();
        assert_eq!(rules.len(), distinct.len(), "a method with two rules");
        assert_eq!(contract(), distinct);
        assert!(distinct.iter().all(|path| required(path).is_some()));
    }

    #[test]
    fn what_is_not_in_the_contract_has_no_rule() {
        for path in [
            "",
            "/",
            "/mingpian.v1.CardService/",
            "/mingpian.v1.CardService/DropCards",
            "/mingpian.v2.CardService/GetCard",
            "/mingpian.v1.CardService/GetCard/",
            "mingpian.v1.CardService/GetCard",
        ] {
            assert_eq!(required(path), None, "{path}");
        }
    }
}
