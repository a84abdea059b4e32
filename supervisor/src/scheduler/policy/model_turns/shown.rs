//! What operators are told: what speaks against a backend for a model, and what a backend is about to do.

use ipc_proto::ids::BackendId;

use super::load;
use super::memory::Memory;
use super::sight::{Server, Sight, Want};
use crate::clock::Time;
use crate::scheduler::model::ModelIx;
use crate::scheduler::policy::{Board, Opinion, Room};

/// What the rules say of the usable backends for `model` now.
pub(super) fn opinions(sight: &Sight<'_, '_>, model: ModelIx) -> Vec<(BackendId, Opinion)> {
    let Some(want) = sight.wants.iter().find(|want| want.model == model) else { return Vec::new() };
    let servers = sight.servers.iter().enumerate().filter(|(at, _)| want.eligible[*at]);
    servers
        .map(|(at, server)| {
            let opinion = Opinion {
                score: Some(sight.score(server, want)),
                objection: objection(sight, at, server, want).unwrap_or_default(),
            };
            (server.backend.id, opinion)
        })
        .collect()
}

/// What speaks against the server at `at` for `want`.
fn objection<'a>(sight: &Sight<'a, '_>, at: usize, server: &Server<'a>, want: &Want<'a>) -> Option<String> {
    let name = |model| sight.board.models().name(model).as_str();
    if !sight.may_overflow(want, server) {
        return Some("takes only what has waited longer".to_owned());
    }
    if want.holds[at] {
        return None;
    }
    if let Some(leaving) = server.leaving {
        return Some(format!("leaves {} for {}", name(leaving.victim), name(leaving.claimant)));
    }
    let room = sight.room(server, want.model, sight.vacancy(server));
    if room == Room::Full {
        return Some("works for the models it holds".to_owned());
    }
    let (departure, clear_s) = (sight.departure(server, room.evicts()), sight.clear_s(want));
    (!load::is_worth_it(sight, server, want, &departure, clear_s))
        .then(|| format!("another copy is not worth it: those who have one need {clear_s:.0} s"))
}

/// Why `backend` changes its model next, if that is decided.
pub(super) fn next_of(board: &Board<'_>, memory: &Memory, backend: BackendId, now: Time) -> Option<String> {
    let leaving = memory.leaving(backend)?;
    let (victim, claimant) = (board.models().name(leaving.victim), board.models().name(leaving.claimant));
    let waited = now.since(leaving.since) / 1_000_000;
    Some(format!("leaving {victim} for {claimant}, waited {}:{:02}", waited / 60, waited % 60))
}
