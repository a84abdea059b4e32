//! Rule 1: what is loaded is served, the model whose next request has waited longest first.

use super::memory::Memory;
use super::sight::{Server, Sight, Want};
use crate::scheduler::policy::expected::remaining_s;
use crate::scheduler::policy::{Choice, Reason, Room};
use crate::scheduler::residents::Hold;

/// How much longer one request takes for each other that runs beside it: a guess that only breaks ties.
const CROWDING: f64 = 0.2;

/// The next request that a member can serve as it is, and where; a faster member without work may load the model
/// instead, when not having it there has cost as much as the load.
pub(super) fn members(memory: &mut Memory, sight: &Sight<'_, '_>) -> Option<Choice> {
    let (want, server) = served_by(sight, |_, server| server.is_member())?;
    if let Some(moved) = move_to_faster(memory, sight, want, server) {
        return Some(moved);
    }
    dispatch(sight, want, server, Room::Held, Reason::Loaded)
}

/// The next request that has waited long enough to be served outside the members, and where.
pub(super) fn overflow(sight: &Sight<'_, '_>) -> Option<Choice> {
    let may_overflow =
        |want: &Want<'_>, server: &Server<'_>| !server.is_member() && sight.may_overflow(want, server);
    let (want, server) = served_by(sight, may_overflow)?;
    dispatch(sight, want, server, Room::Held, Reason::Overflow)
}

/// Sends the next request for `want` that may go to `server`.
pub(super) fn dispatch(
    sight: &Sight<'_, '_>,
    want: &Want<'_>,
    server: &Server<'_>,
    room: Room,
    reason: Reason,
) -> Option<Choice> {
    let next = sight.board.next(server.backend.id, want.model)?;
    let reason = if server.is_member() { reason } else { Reason::Overflow };
    let (backend, evict) = (server.backend.id, room.evicts());
    Some(Choice::Dispatch { request: next.request, backend, evict, reason })
}

fn served_by<'s, 'a>(
    sight: &'s Sight<'a, '_>,
    fits: impl Fn(&Want<'a>, &Server<'a>) -> bool,
) -> Option<(&'s Want<'a>, &'s Server<'a>)> {
    let mut wants: Vec<&Want<'_>> = sight.wants.iter().collect();
    wants.sort_unstable_by_key(|want| want.head);
    wants.into_iter().find_map(|want| {
        let able = sight.servers.iter().enumerate().filter(|(at, server)| {
            server.has_free_slot && want.holds[*at] && want.eligible[*at] && fits(want, server)
        });
        let cost = |server: &Server<'_>| {
            let running = f64::from(u32::try_from(server.backend.grants.len()).unwrap_or(u32::MAX));
            (sight.service_s(server, want.model) + rest_of_load_s(sight, server, want))
                * (1.0 + CROWDING * running)
        };
        // The first of several least ones: servers come best first.
        let least = able.map(|(_, server)| (cost(server), server)).min_by(|a, b| a.0.total_cmp(&b.0));
        least.map(|(_, server)| (want, server))
    })
}

fn rest_of_load_s<'a>(sight: &Sight<'a, '_>, server: &Server<'a>, want: &Want<'a>) -> f64 {
    match sight.board.resident(server.backend, want.model) {
        Some(resident) if resident.hold == Hold::Loading && server.backend.swaps() => {
            remaining_s(sight.load_s(server, want.model), sight.now.seconds_since(resident.since))
        }
        _ => 0.0,
    }
}

/// Rent or buy: each request that `server` gets although a faster one is idle adds the difference to a regret; a
/// regret as large as the load buys it.
fn move_to_faster<'a>(
    memory: &mut Memory,
    sight: &Sight<'a, '_>,
    want: &Want<'a>,
    server: &Server<'a>,
) -> Option<Choice> {
    let here_s = sight.service_s(server, want.model);
    let mut best: Option<(f64, &Server<'_>, Room)> = None;
    for (at, faster) in sight.servers.iter().enumerate() {
        let there_s = sight.service_s(faster, want.model);
        let is_idle = faster.is_member() && faster.backend.grants.is_empty() && faster.leaving.is_none();
        if !is_idle || !faster.has_free_slot || !want.eligible[at] || want.holds[at] || there_s >= here_s {
            continue;
        }
        let has_work = |model| sight.board.has_work(faster.backend, model);
        if faster.backend.residents.iter().any(|resident| has_work(resident.model)) {
            continue;
        }
        let room = sight.room(faster, want.model, sight.vacancy(faster));
        if room == Room::Full {
            continue;
        }
        let regret = memory.regret(want.model, faster.backend.id, here_s - there_s);
        let price = sight.load_s(faster, want.model) + sight.departure(faster, room.evicts()).reload_s;
        if regret >= price && best.is_none_or(|(most, ..)| regret > most) {
            best = Some((regret, faster, room));
        }
    }
    let (_, faster, room) = best?;
    memory.forget_regrets(want.model);
    dispatch(sight, want, faster, room, Reason::Moved)
}
