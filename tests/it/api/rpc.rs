//! Every RPC of the contract, called by its path with bytes: for tests that must hold for
//! each of them, also for one that is added later.

use mingpian::api::pb;
use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// One RPC of `mingpian.v1`.
#[derive(Clone, Debug)]
pub struct Method {
    /// `CardService.GetCard`
    pub name: String,
    path: String,
    /// The right in its comment, or in its service's.
    pub scope: String,
    pub comment: String,
    /// Whether its answers are a stream, which may have no end.
    streams: bool,
    input: DescriptorProto,
}

/// The files of the contract.
pub fn files() -> Vec<prost_types::FileDescriptorProto> {
    let set = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
    let ours = set.file.into_iter();
    ours.filter(|file| file.package() == "mingpian.v1")
        .collect()
}

/// The comment before what stands at this path of a file's descriptor.
pub fn comment(file: &prost_types::FileDescriptorProto, path: &[i32]) -> String {
    let info = file.source_code_info.as_ref().expect("source info");
    let mut at = info.location.iter().filter(|l| l.path == path);
    at.next()
        .map(|location| location.leading_comments().trim().to_owned())
        .unwrap_or_default()
}

const SERVICES: i32 = 6;
const METHODS: i32 = 2;

pub fn methods() -> Vec<Method> {
    let files = files();
    let messages = files.iter().flat_map(|file| &file.message_type);
    let messages: Vec<_> = messages.collect();
    let mut methods = Vec::new();
    for file in &files {
        for (s, service) in (0..).zip(&file.service) {
            for (m, method) in (0..).zip(&service.method) {
                let own = comment(file, &[SERVICES, s, METHODS, m]).replace('\n', "");
                let shared = comment(file, &[SERVICES, s]);
                let scope = [&own, &shared]
                    .iter()
                    .find_map(|text| Some(text.split_once("Scope `")?.1.split('`').next()?.into()))
                    .unwrap_or_default();
                let input = method.input_type().rsplit('.').next().unwrap();
                methods.push(Method {
                    name: format!("{}.{}", service.name(), method.name()),
                    path: format!("/mingpian.v1.{}/{}", service.name(), method.name()),
                    scope,
                    comment: own,
                    streams: method.server_streaming(),
                    input: (**messages.iter().find(|m| m.name() == input).unwrap()).clone(),
                });
            }
        }
    }
    assert!(methods.len() >= 24, "the contract has shrunk");
    methods
}

impl Method {
    pub fn has(&self, field: &str) -> bool {
        self.input.field.iter().any(|f| f.name() == field)
    }

    /// Whether no request can be wrong.
    pub fn asks_nothing(&self) -> bool {
        self.input.field.is_empty()
    }

    /// The request with this `request_id`.
    pub fn with_request_id(&self, request: &[u8], id: &str) -> Vec<u8> {
        let mut bytes = request.to_vec();
        let tag = self.number("request_id") << 3 | 2;
        prost::encoding::encode_varint(tag, &mut bytes);
        prost::encoding::encode_varint(id.len() as u64, &mut bytes);
        bytes.extend(id.as_bytes());
        bytes
    }

    /// The request with `validate_only`.
    pub fn validating(&self, request: &[u8]) -> Vec<u8> {
        let mut bytes = request.to_vec();
        prost::encoding::encode_varint(self.number("validate_only") << 3, &mut bytes);
        bytes.push(1);
        bytes
    }

    fn number(&self, field: &str) -> u64 {
        let mut fields = self.input.field.iter();
        let field = fields.find(|f| f.name() == field).expect("a field");
        u64::try_from(field.number()).unwrap()
    }

    /// Calls it; `token` goes into `authorization`. Of a stream it is the first answer.
    pub async fn call(
        &self,
        channel: &Channel,
        request: &[u8],
        token: Option<&str>,
    ) -> Result<Vec<u8>, Status> {
        let mut request = Request::new(request.to_vec());
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let mut grpc = Grpc::new(channel.clone());
        grpc.ready().await.unwrap();
        let path = self.path.parse().unwrap();
        if self.streams {
            let stream = grpc.server_streaming(request, path, Bytes).await?;
            let first = stream.into_inner().message().await?;
            return Ok(first.unwrap_or_default());
        }
        let answer = grpc.unary(request, path, Bytes).await?;
        Ok(answer.into_inner())
    }
}

/// Messages as they are on the wire.
#[derive(Clone, Copy, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; bytes::Buf::remaining(buffer)];
        bytes::Buf::copy_to_slice(buffer, &mut item);
        Ok(Some(item))
    }
}
