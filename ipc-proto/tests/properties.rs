//! What holds for every frame and message: nothing is lost on the way, however it is cut, and bytes that are no
//! message are refused without a panic and without room being made for them.

mod messages;

use bytes::BytesMut;
use ipc_proto::control::{FromFrontend, FromWorker, ToFrontend, ToWorker};
use ipc_proto::frame::{
    CONTROL_LIMIT, DATA_LIMIT, FrameError, FrameReader, decode, encode, put_frame, take_frame,
};
use ipc_proto::operator::{Call, Command, HistoryQuery, Refusal, RequestState, Response};
use ipc_proto::stream::{Answer, Ask};
use messages::{answer, ask, from_frontend, from_worker, grant, open, to_frontend};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn payload_of<T: Serialize>(message: &T) -> BytesMut {
    let mut buffer = BytesMut::new();
    encode(message, &mut buffer).expect("every message can be encoded");
    buffer
}

/// Encodes and decodes `message`; with bytes after it, or without its last one, it is refused.
fn check_round_trip<T>(message: &T) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let mut encoded = payload_of(message);
    prop_assert_eq!(&decode::<T>(&encoded).expect("what was encoded can be decoded"), message);
    if let Some((_, cut_short)) = encoded.split_last() {
        prop_assert!(decode::<T>(&encoded[..cut_short.len()]).is_err());
    }
    encoded.extend_from_slice(&[0]);
    prop_assert!(matches!(decode::<T>(&encoded), Err(FrameError::Decode(_))));
    Ok(())
}

/// Takes the frames off `bytes`, which come in parts cut at `cuts`.
fn frames(bytes: &[u8], limit: usize, cuts: &[Index]) -> Vec<BytesMut> {
    let mut places: Vec<_> =
        cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
    places.sort_unstable();
    let mut buffer = BytesMut::new();
    let mut found = Vec::new();
    for pair in places.windows(2) {
        buffer.extend_from_slice(&bytes[pair[0]..pair[1]]);
        while let Some(payload) = take_frame(&mut buffer, limit).expect("no frame is over the limit") {
            found.push(payload);
        }
    }
    assert!(buffer.is_empty(), "the last frame is whole");
    found
}

/// The same through a pipe that holds `room` bytes at a time.
fn read_through_pipe(bytes: &[u8], room: usize) -> Vec<BytesMut> {
    use tokio::io::AsyncWriteExt;

    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    let (mut near, far) = tokio::io::duplex(room);
    let write = async move { near.write_all(bytes).await.expect("the reader reads to the end") };
    let read = async move {
        let mut reader = FrameReader::new(far, DATA_LIMIT);
        let mut found = Vec::new();
        while let Some(payload) = reader.next().await.expect("the frames are good") {
            found.push(payload);
        }
        found
    };
    runtime.block_on(async { tokio::join!(write, read).1 })
}

/// Joins pieces of payload that follow each other: only their bytes count.
fn joined(asks: impl IntoIterator<Item = Ask>) -> Vec<Ask> {
    let mut result: Vec<Ask> = Vec::new();
    for ask in asks {
        match (result.last_mut(), ask) {
            (Some(Ask::Body(before)), Ask::Body(more)) => *before = [before.as_ref(), &more].concat().into(),
            (_, ask) => result.push(ask),
        }
    }
    result
}

proptest! {
    #[test]
    fn asks_arrive_as_they_were_said(
        asks in prop::collection::vec(ask(), 0..6),
        cuts in prop::collection::vec(any::<Index>(), 0..10),
        room in 1_usize..9_000,
    ) {
        let mut buffer = BytesMut::new();
        for ask in &asks {
            ask.put(&mut buffer).unwrap();
        }
        let payloads = frames(&buffer, DATA_LIMIT, &cuts);
        if buffer.len() < 4_000 || room > 500 {
            prop_assert_eq!(&payloads, &read_through_pipe(&buffer, room));
        }
        let taken = payloads.into_iter().map(|payload| Ask::take(payload).unwrap());
        prop_assert_eq!(joined(taken), joined(asks));
    }

    #[test]
    fn answers_arrive_as_they_were_said(answer in answer(), cuts in prop::collection::vec(any::<Index>(), 0..10)) {
        let mut buffer = BytesMut::new();
        answer.put(&mut buffer).unwrap();
        let taken = frames(&buffer, DATA_LIMIT, &cuts).into_iter().map(|payload| Answer::take(payload).unwrap());
        let taken: Vec<_> = taken.collect();
        if let Answer::Chunk(bytes) = &answer {
            let mut again = BytesMut::new();
            Answer::put_chunk(&mut again, bytes).unwrap();
            prop_assert_eq!(again, buffer);
            let all: Vec<_> = taken.iter().flat_map(|piece| match piece {
                Answer::Chunk(piece) => piece.to_vec(),
                other => panic!("{other:?} is no chunk"),
            }).collect();
            prop_assert_eq!(&all, bytes);
        } else {
            prop_assert_eq!(taken, vec![answer]);
        }
    }

    #[test]
    fn data_frames_refuse_trailing_bytes_and_unknown_kinds(ask in ask(), answer in answer(), kind in 9_u8..) {
        let mut buffer = BytesMut::new();
        ask.put(&mut buffer).unwrap();
        answer.put(&mut buffer).unwrap();
        for payload in frames(&buffer, DATA_LIMIT, &[]) {
            let mut longer = payload.clone();
            longer.extend_from_slice(&[0]);
            let is_raw = matches!(Ask::take(payload.clone()), Ok(Ask::Body(_)))
                || matches!(Answer::take(payload.clone()), Ok(Answer::Chunk(_)));
            prop_assert!(is_raw || (Ask::take(longer.clone()).is_err() && Answer::take(longer).is_err()));
            // Neither side takes the other's frames, nor a kind that nobody knows.
            prop_assert!(Ask::take(payload.clone()).is_ok() != Answer::take(payload.clone()).is_ok());
            let mut strange = payload;
            strange[0] = kind;
            prop_assert!(Ask::take(strange.clone()).is_err() && Answer::take(strange).is_err());
        }
    }

    #[test]
    fn control_messages_round_trip(
        from_frontend in from_frontend(),
        to_frontend in to_frontend(),
        from_worker in from_worker(),
        grant in grant(),
    ) {
        check_round_trip(&from_frontend)?;
        check_round_trip(&to_frontend)?;
        check_round_trip(&from_worker)?;
        check_round_trip(&ToWorker::Revoke { grant })?;
        check_round_trip(&ToWorker::Recall { grant })?;
    }

    #[test]
    fn operator_messages_round_trip(id in any::<u32>(), text in ".{0,40}", limit in any::<u32>()) {
        let query = HistoryQuery { limit, model: Some(text.clone()), state: Some(RequestState::Failed), ..HistoryQuery::default() };
        check_round_trip(&Call { id, command: Command::History(query) })?;
        check_round_trip(&Call { id, command: Command::Cancel { request: text.clone() } })?;
        check_round_trip(&Response { id, reply: Err(Refusal { message: text.clone(), hint: text }) })?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0_u8..12) {
        let _ = decode::<FromFrontend>(&bytes);
        let _ = decode::<ToFrontend>(&bytes);
        let _ = decode::<FromWorker>(&bytes);
        let _ = decode::<ToWorker>(&bytes);
        let _ = decode::<Call>(&bytes);
        let _ = decode::<Response>(&bytes);
        let mut payload = BytesMut::from(&bytes[..]);
        let _ = take_frame(&mut payload.clone(), DATA_LIMIT);
        let _ = (Ask::take(payload.clone()), Answer::take(payload.clone()));
        if let Some(first) = payload.first_mut() {
            *first = kind;
        }
        let _ = (Ask::take(payload.clone()), Answer::take(payload));
    }

    #[test]
    fn damaged_messages_never_panic(
        message in to_frontend(),
        open in open(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..5),
    ) {
        let mut buffer = BytesMut::new();
        Ask::Open(Box::new(open)).put(&mut buffer).unwrap();
        let data = frames(&buffer, DATA_LIMIT, &[]).remove(0);
        for (place, mut bytes) in [(0, payload_of(&message)), (1, data)] {
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if place == 0 {
                let _ = decode::<ToFrontend>(&bytes);
            } else {
                let _ = (Ask::take(bytes.clone()), Answer::take(bytes));
            }
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_room_is_made(
        announced in DATA_LIMIT + 1..=u32::MAX as usize,
        rest in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let prefix = u32::try_from(announced).unwrap().to_le_bytes();
        let mut buffer = BytesMut::from(&[&prefix[..], &rest].concat()[..]);
        let room = buffer.capacity();
        let refused = take_frame(&mut buffer, DATA_LIMIT);
        let is_refused = matches!(
            refused,
            Err(FrameError::TooLong { length, limit: DATA_LIMIT }) if length == announced
        );
        prop_assert!(is_refused);
        prop_assert_eq!(buffer.capacity(), room);
    }

    #[test]
    fn a_list_that_claims_to_be_longer_than_its_message_is_refused(claimed in 1_000_u64..) {
        // A `Vec<Header>` at the end of a head: status, then the claimed number of headers, then nothing.
        let mut payload = BytesMut::from(&[5, 200, 0][..]);
        payload.extend_from_slice(&claimed.to_le_bytes());
        prop_assert!(Answer::take(payload).is_err());
    }
}

#[test]
fn nothing_is_written_of_a_frame_over_the_limit() {
    let mut buffer = BytesMut::from(&b"before"[..]);
    let too_long = put_frame(&mut buffer, 10, |buffer| {
        buffer.extend_from_slice(&[0; 11]);
        Ok(())
    });
    assert!(matches!(too_long, Err(FrameError::TooLong { length: 11, limit: 10 })));
    assert_eq!(buffer, b"before"[..]);
    let message = ToFrontend::Refused("x".repeat(CONTROL_LIMIT + 1));
    assert!(put_frame(&mut buffer, CONTROL_LIMIT, |buffer| encode(&message, buffer)).is_err());
    assert_eq!(buffer, b"before"[..]);
}

#[test]
fn a_connection_that_ends_inside_a_frame_is_told_apart_from_one_that_ends_between() {
    let mut buffer = BytesMut::new();
    Ask::BodyEnd.put(&mut buffer).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for length in 0..=buffer.len() {
            let mut reader = FrameReader::new(&buffer[..length], DATA_LIMIT);
            match reader.next().await {
                Ok(None) => assert_eq!(length, 0),
                Ok(Some(_)) => assert_eq!(length, buffer.len()),
                Err(error) => {
                    assert!(matches!(error, FrameError::CutShort), "{error}");
                    assert!((1..buffer.len()).contains(&length));
                }
            }
        }
    });
}
