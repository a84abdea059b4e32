//! What operators are told: what speaks against a backend for a model, and what a backend is about to do.

use ipc_proto::ids::BackendId;

use super::memory::Memory;
use super::sight::Sight;
use crate::clock::Time;
use crate::scheduler::backend::Backend;
use crate::scheduler::model::ModelIx;
use crate::scheduler::policy::{Board, Opinion, Room};

/// What the rules say of `backend` for `model` now.
pub(super) fn opinion(sight: &Sight<'_, '_>, backend: &Backend, model: ModelIx) -> Opinion {
    let at = sight.servers.iter().position(|server| server.backend.id == backend.id);
    let want = sight.wants.iter().find(|want| want.model == model);
    let (Some(at), Some(want)) = (at, want) else { return Opinion::default() };
    let server = &sight.servers[at];
    let name = |model| sight.board.models().name(model).as_str();
    let objection = if !sight.may_overflow(want, server) {
        "takes only what has waited longer".to_owned()
    } else if want.holds[at] {
        String::new()
    } else if let Some(leaving) = server.leaving {
        format!("leaves {} for {}", name(leaving.victim), name(leaving.claimant))
    } else {
        let room = sight.room(server, model, sight.vacancy(server));
        let departure = sight.departure(server, room.evicts());
        let clear_s = sight.clear_s(want);
        if room == Room::Full {
            "works for the models it holds".to_owned()
        } else if super::load::is_worth_it(sight, server, want, &departure, clear_s) {
            String::new()
        } else {
            format!("a second copy is not worth it: those who have it need {clear_s:.0} s")
        }
    };
    Opinion { score: Some(sight.score(server, want)), objection }
}

/// Why `backend` changes its model next, if that is decided.
pub(super) fn next_of(board: &Board<'_>, memory: &Memory, backend: BackendId, now: Time) -> Option<String> {
    let leaving = memory.leaving(backend)?;
    let (victim, claimant) = (board.models().name(leaving.victim), board.models().name(leaving.claimant));
    let waited = now.since(leaving.since) / 1_000_000;
    Some(format!("leaving {victim} for {claimant}, waited {}:{:02}", waited / 60, waited % 60))
}
