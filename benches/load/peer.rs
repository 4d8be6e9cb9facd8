//! The ceiling: this program started again as a server that does nothing but answer, with our
//! program's allocator and runtime. tonic and axum as they come, no layers, nobody is asked who
//! calls; messages are ready and go through prost's encoder. A tap is one raw read and one raw insert
//! (`raw.rs`).

use std::{
    convert::Infallible,
    fs,
    future::{Ready, ready},
    marker::PhantomData,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, extract, http::header::LOCATION, response::IntoResponse, routing::get};
use mingpian::api::pb;
use prost::Message;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    body::Body,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, NamedService, UnaryService},
    transport,
};
use tower::Service;

use crate::{
    process::{Process, on_server_core},
    raw::Raw,
    requests, template,
};

/// Starts it with the answers in this folder, and for taps on this database.
pub fn start(answers: &Path, database: Option<&str>) -> Process {
    let program = std::env::current_exe().unwrap();
    let mut command = on_server_core(program.to_str().unwrap());
    command.arg("--peer").arg(answers).args(database);
    Process::start(command, &answers.join("peer.log"))
}

/// What the program is when it is started so.
pub async fn serve(answers: PathBuf, database: Option<String>) {
    let raw = match database {
        Some(url) => Some(Raw::open(&url).await),
        None => None,
    };
    let (grpc, http) = (listen().await, listen().await);
    println!(
        "serving grpc={} http={} ",
        grpc.local_addr().unwrap(),
        http.local_addr().unwrap()
    );
    let links = Router::new()
        .route("/t/{token}", get(link))
        .with_state(raw.clone());
    let links = axum::serve(
        axum::serve::ListenerExt::tap_io(http, |tcp| {
            let _ = tcp.set_nodelay(true);
        }),
        links,
    );
    let services = transport::Server::builder().add_service(Peer {
        menu: Arc::new(answer(&answers.join("menu.bin"))),
        capsules: Arc::new(answer(&answers.join("capsules.bin"))),
        plan: Arc::new(answer(&answers.join("plan.bin"))),
        raw,
    });
    let incoming = transport::server::TcpIncoming::from(grpc).with_nodelay(Some(true));
    let (links, services) =
        tokio::join!(links.into_future(), services.serve_with_incoming(incoming));
    links.unwrap();
    services.unwrap();
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// What our server answered; nothing, where it was not asked.
fn answer<M: Message + Default>(path: &Path) -> M {
    let bytes = fs::read(path).unwrap_or_default();
    M::decode(bytes.as_slice()).unwrap()
}

async fn link(
    extract::State(raw): extract::State<Option<Raw>>,
    extract::Path(token): extract::Path<String>,
) -> impl IntoResponse {
    raw.unwrap().tap(token.as_bytes()).await;
    let to = format!("{}?customer_channel={token}", template::LINK);
    (http::StatusCode::FOUND, [(LOCATION, to)])
}

#[derive(Clone)]
struct Peer {
    menu: Arc<pb::GetChatMenuResponse>,
    capsules: Arc<pb::BatchGetNoteCapsulesResponse>,
    plan: Arc<pb::LaunchPlan>,
    raw: Option<Raw>,
}

impl NamedService for Peer {
    const NAME: &'static str = "mingpian.v1.ServingService";
}

type Answering = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

/// As tonic's generated code has it.
impl Service<http::Request<Body>> for Peer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answering {
        let peer = self.clone();
        match request.uri().path() {
            requests::GET_CHAT_MENU => Box::pin(async move {
                let answer = Same::<pb::GetChatMenuRequest, _>(peer.menu, PhantomData);
                Ok(Grpc::new(Prost::default()).unary(answer, request).await)
            }),
            requests::GET_CAPSULES => Box::pin(async move {
                let answer = Same::<pb::BatchGetNoteCapsulesRequest, _>(peer.capsules, PhantomData);
                Ok(Grpc::new(Prost::default()).unary(answer, request).await)
            }),
            requests::OPEN_CARD => Box::pin(async move {
                let answer = Tap(peer.plan, peer.raw.unwrap());
                Ok(Grpc::new(Prost::default()).unary(answer, request).await)
            }),
            other => panic!("{other}"),
        }
    }
}

/// A handler that has its answer.
struct Same<R, M>(Arc<M>, PhantomData<R>);

impl<R, M> UnaryService<R> for Same<R, M> {
    type Response = Arc<M>;
    type Future = Ready<Result<Response<Arc<M>>, Status>>;

    fn call(&mut self, _: Request<R>) -> Self::Future {
        ready(Ok(Response::new(self.0.clone())))
    }
}

struct Tap(Arc<pb::LaunchPlan>, Raw);

impl UnaryService<pb::OpenCardRequest> for Tap {
    type Response = Arc<pb::LaunchPlan>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Self::Response>, Status>> + Send>>;

    fn call(&mut self, request: Request<pb::OpenCardRequest>) -> Self::Future {
        let (plan, raw) = (self.0.clone(), self.1.clone());
        Box::pin(async move {
            raw.tap(request.get_ref().tap_token.as_bytes()).await;
            Ok(Response::new(plan))
        })
    }
}

/// prost's encoder of a message that is shared, and its decoder.
struct Prost<M, R>(PhantomData<(M, R)>);

impl<M, R> Default for Prost<M, R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<M, R> Codec for Prost<M, R>
where
    M: Message + 'static,
    R: Message + Default + 'static,
{
    type Encode = Arc<M>;
    type Decode = R;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<M: Message, R> Encoder for Prost<M, R> {
    type Item = Arc<M>;
    type Error = Status;

    fn encode(&mut self, item: Arc<M>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(out)
            .map_err(|e| Status::internal(e.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl<M, R: Message + Default> Decoder for Prost<M, R> {
    type Item = R;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<R>, Status> {
        let message = R::decode(bytes).map_err(|e| Status::internal(e.to_string()))?;
        Ok(Some(message))
    }
}
