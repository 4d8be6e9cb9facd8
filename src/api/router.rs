//! The services, each with its limits, as one router; and what is open to everyone.

use axum::Router;
use tonic::{codec::CompressionEncoding::Gzip, server::NamedService, service::Routes};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_reflection::server::Builder;

use super::{
    cards::Cards,
    compliance::Compliance,
    eligibility::Eligibilities,
    links::Links,
    measurement::{Measurement, REQUEST_BYTES as INGEST_REQUEST_BYTES},
    pb::{
        self, card_service_server::CardServiceServer,
        compliance_service_server::ComplianceServiceServer,
        eligibility_service_server::EligibilityServiceServer,
        link_service_server::LinkServiceServer,
        measurement_service_server::MeasurementServiceServer,
        placement_service_server::PlacementServiceServer,
        program_service_server::ProgramServiceServer, wecom_service_server::WecomServiceServer,
    },
    placements::Placements,
    programs::Programs,
    screening::REQUEST_BYTES as SCREEN_REQUEST_BYTES,
    serving::Serving,
    serving_service_server::ServingServiceServer,
    wecom::Wecom,
};
use crate::app::App;

/// Every service, by its full name.
pub const SERVICES: &[&str] = &[
    CardServiceServer::<Cards>::NAME,
    PlacementServiceServer::<Placements>::NAME,
    ServingServiceServer::<Serving>::NAME,
    LinkServiceServer::<Links>::NAME,
    ProgramServiceServer::<Programs>::NAME,
    EligibilityServiceServer::<Eligibilities>::NAME,
    WecomServiceServer::<Wecom>::NAME,
    ComplianceServiceServer::<Compliance>::NAME,
    MeasurementServiceServer::<Measurement>::NAME,
];

/// The service that goes on while the store is away.
pub const SERVING: &str = ServingServiceServer::<Serving>::NAME;

/// What a request to an open service may have: it names one service or symbol, and anyone
/// may announce more on every stream.
const OPEN_REQUEST_BYTES: usize = 4 * 1024;

/// What a chunk of figures may have: 1,000 entries with the longest names, of 150 bytes each,
/// fit, and half as much again.
const IMPORT_REQUEST_BYTES: usize = 256 * 1024;

/// The services that a replica has: all, where it serves; else the one that takes events in, or
/// none.
pub fn mounted(serves: bool, intake: bool) -> &'static [&'static str] {
    match (serves, intake) {
        (true, _) => SERVICES,
        (false, true) => &[MeasurementServiceServer::<Measurement>::NAME],
        (false, false) => &[],
    }
}

/// The services that are mounted. A request may have `max_request` bytes, an answer
/// `max_response`.
pub fn services(app: &App, serves: bool, max_request: usize, max_response: usize) -> Router {
    macro_rules! limited {
        ($server:ident($service:expr)) => {
            $server::new($service)
                .max_decoding_message_size(max_request)
                .max_encoding_message_size(max_response)
                .accept_compressed(Gzip)
                .send_compressed(Gzip)
        };
    }
    let mut routes = Routes::default();
    if serves || app.rules.intake {
        routes = routes.add_service(
            limited!(MeasurementServiceServer(Measurement(app.clone())))
                .max_decoding_message_size(max_request.max(INGEST_REQUEST_BYTES)),
        );
    }
    if serves {
        routes = routes
            .add_service(limited!(CardServiceServer(Cards(app.clone()))))
            .add_service(limited!(PlacementServiceServer(Placements(app.clone()))))
            .add_service(limited!(ServingServiceServer(Serving(app.clone()))))
            .add_service(limited!(LinkServiceServer(Links(app.clone()))))
            .add_service(limited!(ProgramServiceServer(Programs(app.clone()))))
            .add_service(limited!(WecomServiceServer(Wecom(app.clone()))))
            .add_service(
                limited!(ComplianceServiceServer(Compliance(app.clone())))
                    .max_decoding_message_size(max_request.max(SCREEN_REQUEST_BYTES)),
            )
            .add_service(
                limited!(EligibilityServiceServer(Eligibilities::new(app.clone())))
                    .max_decoding_message_size(max_request.max(IMPORT_REQUEST_BYTES)),
            );
    }
    routes.prepare().into_axum_router()
}

/// Health, and reflection where it is wanted: v1, and the v1alpha that older clients ask for.
pub fn open<H: Health>(
    health: HealthServer<H>,
    reflection: bool,
) -> Result<Router, tonic_reflection::server::Error> {
    macro_rules! limited {
        ($server:expr) => {
            $server
                .max_decoding_message_size(OPEN_REQUEST_BYTES)
                .accept_compressed(Gzip)
                .send_compressed(Gzip)
        };
    }
    let mut routes = Routes::new(limited!(health));
    if reflection {
        let builder = || {
            Builder::configure()
                .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        };
        routes = routes
            .add_service(limited!(builder().build_v1()?))
            .add_service(limited!(builder().build_v1alpha()?));
    }
    Ok(routes.prepare().into_axum_router())
}
