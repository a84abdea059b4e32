//! Messages of every kind, made up: what they say does not matter, only that it arrives.

use std::net::IpAddr;

use bytes::Bytes;
use dialect::load::{LoadEdit, LoadOptions};
use dialect::{Dialect, Endpoint, Framing, Task, Usage};
use ipc_proto::control::{
    Admission, Class, Directory, Ending, Finished, FromFrontend, FromWorker, Grant, LoadedModel, ModelEntry,
    OfferedModel, Outcome, ProbeFailure, ProbeFailureKind, ProbeReport, StandingGrant, ToFrontend, Waiting,
};
use ipc_proto::failure::{Failure, FailureKind, Told, Wait};
use ipc_proto::ids::{BackendId, GrantId, KeyId, Label, ModelName, RequestId, WorkerId};
use ipc_proto::secret::Secret;
use ipc_proto::stream::{Answer, Ask, End, Head, Header, MAX_PIECE, NativeCall, Open};
use proptest::prelude::*;
use proptest::sample::select;

fn endpoint() -> impl Strategy<Value = Endpoint> {
    select(Endpoint::ALL.to_vec())
}

fn model() -> impl Strategy<Value = ModelName> {
    ".{0,40}".prop_map(|name| ModelName::new(&name))
}

fn request() -> impl Strategy<Value = RequestId> {
    any::<u128>().prop_map(RequestId)
}

pub(crate) fn grant() -> impl Strategy<Value = GrantId> {
    any::<u64>().prop_map(GrantId)
}

fn label() -> impl Strategy<Value = Label> {
    "[A-Za-z0-9._:-]{1,64}".prop_map(|text| Label::from_client(&text).expect("short and safe text"))
}

fn worker() -> impl Strategy<Value = WorkerId> {
    any::<(u32, u32)>().prop_map(|(backend, generation)| WorkerId { backend: BackendId(backend), generation })
}

fn usage() -> impl Strategy<Value = Usage> {
    any::<[Option<u64>; 5]>().prop_map(
        |[input_tokens, output_tokens, cached_tokens, cache_creation_tokens, reasoning_tokens]| Usage {
            input_tokens,
            output_tokens,
            cached_tokens,
            cache_creation_tokens,
            reasoning_tokens,
        },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    let kind = select(vec![
        FailureKind::BadRequest,
        FailureKind::QueueFull,
        FailureKind::WorkerLost,
        FailureKind::Timeout(Wait::Connect),
        FailureKind::Timeout(Wait::Total),
        FailureKind::Internal,
    ]);
    let told =
        (".{0,40}", any::<Option<String>>()).prop_map(|(message, param)| Box::new(Told { message, param }));
    (kind, any::<Option<u16>>(), any::<Option<u64>>(), ".{0,80}", prop::option::of(told)).prop_map(
        |(kind, upstream_status, retry_after_ms, detail, told)| Failure {
            kind,
            upstream_status,
            retry_after_ms,
            detail,
            told,
        },
    )
}

fn headers() -> impl Strategy<Value = Vec<Header>> {
    let header = ("[a-z-]{1,20}", prop::collection::vec(any::<u8>(), 0..60));
    let header = header.prop_map(|(name, value)| Header { name: name.into(), value: Bytes::from(value) });
    prop::collection::vec(header, 0..8)
}

pub(crate) fn open() -> impl Strategy<Value = Open> {
    let names = (grant(), request(), label(), model(), load_edit());
    let framing = select(vec![Framing::Events, Framing::Lines, Framing::List]);
    let native = any::<(String, String)>().prop_map(|(method, path)| Box::new(NativeCall { method, path }));
    let way = (endpoint(), framing, prop::option::of(native), any::<[bool; 3]>());
    (names, way, any::<Option<String>>(), headers(), any::<u64>()).prop_map(
        |(
            (grant, request, label, model, load),
            (endpoint, framing, native, flags),
            query,
            headers,
            body_bytes,
        )| Open {
            grant,
            request,
            label,
            endpoint,
            stream: flags[0],
            lent: flags[1],
            model,
            renamed: flags[2],
            framing,
            native,
            load,
            query,
            headers,
            body_bytes,
        },
    )
}

fn load_options() -> impl Strategy<Value = LoadOptions> {
    let others = prop::collection::btree_map("[a-z_]{1,10}", "[0-9]{1,5}", 0..3);
    (any::<Option<u64>>(), others).prop_map(|(context, others)| LoadOptions { context, others })
}

fn load_edit() -> impl Strategy<Value = LoadEdit> {
    prop_oneof![Just(LoadEdit::Keep), load_options().prop_map(LoadEdit::Set)]
}

fn waiting() -> impl Strategy<Value = Option<Waiting>> {
    prop::option::of(
        any::<[u64; 2]>().prop_map(|[position, estimated_wait_ms]| Waiting { position, estimated_wait_ms }),
    )
}

/// Payload, now and then of more than one frame.
fn payload() -> impl Strategy<Value = Bytes> {
    let short = prop::collection::vec(any::<u8>(), 1..300).prop_map(Bytes::from);
    let long =
        (MAX_PIECE - 1..3 * MAX_PIECE, any::<u8>()).prop_map(|(length, byte)| vec![byte; length].into());
    prop_oneof![8 => short, 1 => long]
}

pub(crate) fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        ".{0,64}".prop_map(|secret| Ask::Hello(Secret::new(secret))),
        open().prop_map(|open| Ask::Open(Box::new(open))),
        payload().prop_map(Ask::Body),
        Just(Ask::BodyEnd),
    ]
}

pub(crate) fn answer() -> impl Strategy<Value = Answer> {
    let head = (any::<u16>(), headers(), any::<Option<u64>>(), any::<bool>())
        .prop_map(|(status, headers, body_bytes, events)| Head { status, headers, body_bytes, events });
    prop_oneof![
        head.prop_map(|head| Answer::Head(Box::new(head))),
        payload().prop_map(Answer::Chunk),
        usage().prop_map(|usage| Answer::End(End { usage })),
        failure().prop_map(|failure| Answer::Fail(Box::new(failure))),
    ]
}

fn admission() -> impl Strategy<Value = Admission> {
    let names = (request(), label(), endpoint(), model(), any::<u32>().prop_map(KeyId));
    let sizes = (any::<bool>(), any::<u64>(), any::<Option<u64>>(), any::<u64>());
    let word = (prop::option::of(select(vec![Class::Interactive, Class::Batch])), load_options());
    let under = (prop::option::of(grant()), prop::option::of(any::<u32>().prop_map(BackendId)));
    (names, sizes, any::<Option<u64>>(), any::<u64>(), under, word).prop_map(
        |(
            (request, label, endpoint, model, key),
            (stream, body_bytes, max_output_tokens, affinity),
            deadline_ms,
            waited_ms,
            (under, only),
            (class, load),
        )| Admission {
            request,
            label,
            endpoint,
            model,
            key,
            stream,
            body_bytes,
            max_output_tokens,
            affinity,
            deadline_ms,
            waited_ms,
            class,
            load,
            under,
            only,
        },
    )
}

pub(crate) fn from_frontend() -> impl Strategy<Value = FromFrontend> {
    let outcome = (any::<u16>(), prop::option::of(failure()), any::<Option<u64>>(), any::<[u64; 2]>())
        .prop_map(|(status, failure, first_byte_us, [total_us, bytes_sent])| Outcome {
            status,
            failure,
            first_byte_us,
            total_us,
            bytes_sent,
        });
    prop_oneof![
        any::<(IpAddr, u16)>().prop_map(|address| FromFrontend::Listening(address.into())),
        admission().prop_map(|admission| FromFrontend::Admit(Box::new(admission))),
        (request(), grant(), failure()).prop_map(|(request, grant, failure)| FromFrontend::AttemptFailed {
            request,
            grant,
            failure
        }),
        (request(), outcome).prop_map(|(request, outcome)| FromFrontend::Closed { request, outcome }),
        request().prop_map(|request| FromFrontend::Withdraw { request }),
        grant().prop_map(|grant| FromFrontend::Returned { grant }),
        Just(FromFrontend::Drained),
    ]
}

fn loan() -> impl Strategy<Value = StandingGrant> {
    let kind =
        (model(), select(vec![Task::Chat, Task::Embedding, Task::Native]), any::<u32>().prop_map(KeyId));
    (grant(), worker(), kind, prop::option::of(model()), any::<[u64; 2]>()).prop_map(
        |(grant, worker, (model, task, key), upstream_model, [ttl_ms, come_within_ms])| StandingGrant {
            grant,
            worker,
            model,
            upstream_model,
            task,
            key,
            ttl_ms,
            come_within_ms,
        },
    )
}

pub(crate) fn to_frontend() -> impl Strategy<Value = ToFrontend> {
    let what = (prop::option::of(model()), load_edit());
    let granted = (grant(), request(), worker(), what, any::<u64>(), any::<u32>()).prop_map(
        |(grant, request, worker, (model, load), ttl_ms, attempt)| Grant {
            grant,
            request,
            worker,
            model,
            load,
            ttl_ms,
            attempt,
        },
    );
    let entry = (model(), any::<i64>(), ".{0,20}", prop::collection::vec(".{0,20}", 0..3)).prop_map(
        |(id, created, owned_by, served_by)| ModelEntry {
            id,
            created,
            owned_by,
            served_by,
            counted_in: vec![Dialect::Anthropic],
        },
    );
    let directory = (prop::collection::vec(entry, 0..5), any::<bool>(), ".{0,40}", any::<[u32; 2]>())
        .prop_map(|(models, ready, reason, [backends_up, backends])| Directory {
            models,
            ready,
            reason,
            backends_up,
            backends,
        });
    prop_oneof![
        granted.prop_map(|granted| ToFrontend::Granted(Box::new(granted))),
        loan().prop_map(|loan| ToFrontend::Lent(Box::new(loan))),
        grant().prop_map(|grant| ToFrontend::Recalled { grant }),
        directory.prop_map(|directory| ToFrontend::Directory(Box::new(directory))),
        (request(), failure(), waiting()).prop_map(|(request, failure, waiting)| ToFrontend::Rejected {
            request,
            failure,
            waiting
        }),
        ".{0,40}".prop_map(ToFrontend::Refused),
        any::<u64>().prop_map(|within_ms| ToFrontend::Drain { within_ms }),
    ]
}

pub(crate) fn from_worker() -> impl Strategy<Value = FromWorker> {
    let ending = prop_oneof![
        select(vec![Ending::Complete, Ending::Declined, Ending::Cancelled, Ending::NeverStarted]),
        failure().prop_map(Ending::Failed),
    ];
    let sizes = (any::<Option<u16>>(), any::<Option<u64>>(), any::<[u64; 2]>(), ".{0,40}");
    let finished = (grant(), ending, usage(), sizes).prop_map(
        |(grant, ending, usage, (upstream_status, first_byte_us, [total_us, bytes_received], warnings))| {
            Finished {
                grant,
                ending,
                usage,
                upstream_status,
                first_byte_us,
                total_us,
                bytes_received,
                warnings,
            }
        },
    );
    let offered = (model(), any::<Option<i64>>(), any::<Option<String>>())
        .prop_map(|(id, created, owned_by)| OfferedModel { id, created, owned_by });
    let failed = (any::<u16>(), ".{0,40}")
        .prop_map(|(status, detail)| ProbeFailure { kind: ProbeFailureKind::Status(status), detail });
    let models = prop_oneof![
        prop::collection::vec(offered, 0..5).prop_map(Ok::<_, ProbeFailure>),
        failed.prop_map(Err::<Vec<OfferedModel>, _>),
    ];
    let loaded = (model(), any::<Option<u64>>()).prop_map(|(id, context)| LoadedModel { id, context });
    let loaded = prop::option::of(prop::collection::vec(loaded, 0..3));
    let report = (models, loaded, any::<[Option<u32>; 2]>(), any::<u64>()).prop_map(
        |(models, loaded, [slots, max_models], took_us)| ProbeReport {
            models,
            loaded,
            slots,
            max_models,
            took_us,
        },
    );
    prop_oneof![
        Just(FromWorker::Ready),
        grant().prop_map(|grant| FromWorker::Started { grant }),
        finished.prop_map(|finished| FromWorker::Finished(Box::new(finished))),
        report.prop_map(|report| FromWorker::Probed(Box::new(report))),
    ]
}
