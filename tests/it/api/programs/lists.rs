//! Enrollments: who is on which list, and what that opens; and listings in pages.

use futures_util::future::join_all;
use mingpian::api::pb::{self, enrollment::List};
use tonic::Code;
use tonic_types::StatusExt;

use super::{enroll, name, wanted};
use crate::{
    api::{Api, MICROSECOND, PATIENT, malformed, refused, time},
    on_both_engines,
    support::{Engine, in_menu},
};

on_both_engines!(
    a_merchant_is_on_one_list_of_a_program,
    lists_open_and_close,
    of_many_enrollments_at_once_one_is_made,
    programs_and_enrollments_are_listed_in_pages,
);

async fn a_merchant_is_on_one_list_of_a_program(engine: Engine) {
    let mut api = Api::start(engine).await;
    let now = api.stop_clock();
    for id in ["one", "two"] {
        api.add(id, wanted()).await.unwrap();
    }
    let first = api.enroll("one", "klook", List::Allow).await.unwrap();
    let expected = pb::Enrollment {
        name: "programs/one/enrollments/klook".into(),
        list: List::Allow.into(),
        etag: first.etag.clone(),
        create_time: time(now),
    };
    assert_eq!(first, expected);
    for list in [List::Allow, List::Deny] {
        let twice = api.enroll("one", "klook", list).await;
        let status = refused(twice, Code::AlreadyExists, "ENROLLMENT_EXISTS");
        let resource = status.get_details_resource_info().unwrap();
        assert_eq!(resource.resource_type, "mingpian/Enrollment");
    }
    // Another program's lists are other lists.
    api.enroll("two", "klook", List::Deny).await.unwrap();

    let stale = api.unroll("one", "klook", "stale").await;
    refused(stale, Code::Aborted, "ETAG_MISMATCH");
    let gone = api.unroll("one", "klook", &first.etag).await.unwrap();
    assert_eq!(gone.name, first.name);
    let again = api.enroll("one", "klook", List::Deny).await.unwrap();
    assert_eq!(again.create_time, time(now + 2 * MICROSECOND));
    let etags = [&first.etag, &gone.etag, &again.etag];
    assert!(etags[0] != etags[1] && etags[1] != etags[2] && etags[0] != etags[2]);
    api.unroll("one", "klook", &again.etag).await.unwrap();
    for (program, merchant) in [("one", "klook"), ("one", "ghost"), ("ghost", "klook")] {
        let ghost = api.unroll(program, merchant, "").await;
        refused(ghost, Code::NotFound, "ENROLLMENT_NOT_FOUND");
    }
    let ghost = api.enroll("ghost", "klook", List::Allow).await;
    refused(ghost, Code::NotFound, "PROGRAM_NOT_FOUND");
    api.end_program("two", "").await.unwrap();
    let late = api.enroll("two", "other", List::Allow).await;
    refused(late, Code::FailedPrecondition, "PROGRAM_ENDED");
    // Taking off works to the end.
    api.unroll("two", "klook", "").await.unwrap();
}

async fn lists_open_and_close(engine: Engine) {
    let mut api = Api::with_card(engine).await;
    api.end_program("default", "").await.unwrap();
    api.place("menu", in_menu(1)).await.unwrap();
    let denied = api.enroll("open", "klook", List::Deny).await.unwrap();
    assert_eq!(api.menu_absence().await, pb::ErrorReason::NotEnrolled);
    let more = api.place("more", in_menu(2)).await;
    refused(more, Code::FailedPrecondition, "NOT_ENROLLED");
    api.unroll("open", "klook", &denied.etag).await.unwrap();
    assert_eq!(api.menu().await.items.len(), 3);

    let nobody = pb::Program {
        name: name("open"),
        share_permille: Some(0),
        ..Default::default()
    };
    api.amend(nobody, &[]).await.unwrap();
    assert_eq!(api.menu().await.items.len(), 0);
    api.enroll("open", "klook", List::Allow).await.unwrap();
    assert_eq!(api.menu().await.items.len(), 3);
}

async fn of_many_enrollments_at_once_one_is_made(engine: Engine) {
    let mut api = Api::start_with(engine, PATIENT).await;
    api.add("pilot", wanted()).await.unwrap();
    // The second time on a row that is there, and was taken off.
    for _ in 0..2 {
        let asking = (0..8).map(|i| {
            let mut programs = api.programs.clone();
            let list = if i % 2 == 0 { List::Allow } else { List::Deny };
            async move {
                programs
                    .create_enrollment(enroll("pilot", "klook", list))
                    .await
            }
        });
        let mut made = 0;
        for answer in join_all(asking).await {
            match answer {
                Ok(_) => made += 1,
                refusal => drop(refused(refusal, Code::AlreadyExists, "ENROLLMENT_EXISTS")),
            }
        }
        assert_eq!(made, 1);
        api.unroll("pilot", "klook", "").await.unwrap();
    }
}

async fn programs_and_enrollments_are_listed_in_pages(engine: Engine) {
    let mut api = Api::start(engine).await;
    for id in ["b", "a-b", "a0", "a"] {
        api.add(id, wanted()).await.unwrap();
        api.enroll("default", id, List::Allow).await.unwrap();
        api.enroll("open", &format!("z{id}"), List::Deny)
            .await
            .unwrap();
    }
    api.end_program("a0", "").await.unwrap();
    api.unroll("default", "a-b", "").await.unwrap();

    let (mut programs, mut token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListProgramsRequest {
            page_size: 2,
            page_token: token,
        };
        let page = api
            .programs
            .list_programs(request)
            .await
            .unwrap()
            .into_inner();
        assert!(page.programs.len() <= 2);
        programs.extend(page.programs.into_iter().map(|p| p.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    // The ended one too.
    let all = ["a", "a-b", "a0", "b", "default", "open"].map(name);
    assert_eq!(programs, all);

    let list = |parent: &str, page_size, page_token: String| pb::ListEnrollmentsRequest {
        parent: name(parent),
        page_size,
        page_token,
    };
    let first = api
        .programs
        .list_enrollments(list("default", 2, String::new()))
        .await;
    let first = first.unwrap().into_inner();
    let token = first.next_page_token;
    let second = api
        .programs
        .list_enrollments(list("default", 2, token.clone()))
        .await;
    let second = second.unwrap().into_inner();
    assert_eq!(second.next_page_token, "");
    let rows = first.enrollments.into_iter().chain(second.enrollments);
    let rows: Vec<_> = rows.map(|e| e.name).collect();
    let expected = ["a", "a0", "b"].map(|m| format!("programs/default/enrollments/{m}"));
    assert_eq!(rows, expected);
    // A token fits its own listing.
    let other = api.programs.list_enrollments(list("open", 2, token)).await;
    refused(other, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    let ghost = api
        .programs
        .list_enrollments(list("ghost", 0, String::new()))
        .await;
    refused(ghost, Code::NotFound, "PROGRAM_NOT_FOUND");
    let negative = pb::ListProgramsRequest {
        page_size: -1,
        ..Default::default()
    };
    malformed(api.programs.list_programs(negative).await, &["page_size"]);
}
