//! Rule 2: turns end. A model that has waited too long without a backend, or whose clients have nothing to do with
//! the burst that a backend works off, has a backend's model leave when the turn of that one has paid for its load.
//!
//! A claim never preempts: what runs ends in peace, and the claimant is loaded after it. At most one claim per model
//! and per backend; a claim ends when its reason ends.

use super::memory::{Leaving, Memory};
use super::sight::{Server, Sight, Want};
use crate::clock::Time;
use crate::scheduler::model::ModelIx;
use crate::scheduler::policy::{Board, Reason};
use crate::scheduler::residents::{Hold, Resident};

/// Ends the claims whose reason has ended, makes those that are due, and shows what is to be seen then.
pub(super) fn renew<'a, 'b>(memory: &mut Memory, board: &'b Board<'a>, now: Time) -> Sight<'a, 'b> {
    let mut sight = Sight::new(board, memory, now);
    for want in &sight.wants {
        let members = sight.servers.iter().zip(&want.holds).filter(|(server, _)| server.is_member());
        memory.note_holder(want.model, members.into_iter().any(|(_, holds)| *holds), now);
    }
    if drop_stale(memory, &sight) {
        sight = Sight::new(board, memory, now);
    }
    // Each claim changes who holds what, and so who may claim: at most one more per backend.
    while let Some((backend, leaving)) = due(&sight) {
        memory.set_leaving(backend, Some(leaving));
        sight = Sight::new(board, memory, now);
    }
    sight
}

fn drop_stale(memory: &mut Memory, sight: &Sight<'_, '_>) -> bool {
    let is_sound = |backend, leaving: &Leaving| {
        let at = sight.servers.iter().position(|server| server.backend.id == backend);
        let want = sight.wants.iter().find(|want| want.model == leaving.claimant);
        at.zip(want).is_some_and(|(at, want)| {
            let has_victim = sight.servers[at].backend.residents.get(leaving.victim).is_some();
            has_victim && want.eligible[at] && !want.is_covered
        })
    };
    memory.keep_claims(is_sound)
}

/// The next claim to make: overdue models first, each kind in the order in which they began to wait for a backend.
fn due(sight: &Sight<'_, '_>) -> Option<(ipc_proto::ids::BackendId, Leaving)> {
    let is_claiming = |model| {
        let mut claims = sight.servers.iter().filter_map(|server| server.leaving);
        claims.any(|leaving| leaving.claimant == model)
    };
    let waits = |want: &&Want<'_>| !want.is_covered && !is_claiming(want.model);
    let mut claimants: Vec<&Want<'_>> = sight.wants.iter().filter(waits).collect();
    claimants.sort_unstable_by_key(|want| (!want.is_overdue, want.since, want.model));
    claimants.into_iter().find_map(|want| claim(sight, want))
}

/// The backend that `want` claims: the one where it is expected to be loaded first.
fn claim<'a>(sight: &Sight<'a, '_>, want: &Want<'a>) -> Option<(ipc_proto::ids::BackendId, Leaving)> {
    let mut best: Option<(f64, &Server<'_>, ModelIx)> = None;
    for (at, server) in sight.servers.iter().enumerate() {
        if !is_claimable(sight, server, want) || !want.eligible[at] {
            continue;
        }
        if let Some(victim) = victim(sight, server, want) {
            let loaded_in = server.residual_s + sight.load_s(server, want.model);
            if best.is_none_or(|(least, ..)| loaded_in < least) {
                best = Some((loaded_in, server, victim));
            }
        }
    }
    let (_, server, victim) = best?;
    let reason = if want.is_overdue { Reason::ClaimOverdue } else { Reason::ClaimBurst };
    let leaving = Leaving { victim, claimant: want.model, since: want.since, reason };
    Some((server.backend.id, leaving))
}

/// Whether `server` is a member that would have to give up a model for `want`.
pub(super) fn is_claimable<'a>(sight: &Sight<'a, '_>, server: &Server<'a>, want: &Want<'a>) -> bool {
    let backend = server.backend;
    let is_full =
        backend.residents.len() == backend.max_models() || sight.board.sibling(backend, want.model).is_some();
    server.is_member() && backend.swaps() && is_full && server.leaving.is_none()
}

/// The models of `server` that would have to leave for `want`, the one with the longest turn first.
pub(super) fn tenants<'a>(sight: &Sight<'a, '_>, server: &Server<'a>, want: &Want<'a>) -> Vec<&'a Resident> {
    let sibling = sight.board.sibling(server.backend, want.model).map(|sibling| sibling.model);
    let stands_in_the_way = |resident: &&Resident| {
        resident.hold == Hold::Ready && sibling.is_none_or(|sibling| sibling == resident.model)
    };
    let mut tenants: Vec<&Resident> = server.backend.residents.iter().filter(stands_in_the_way).collect();
    tenants.sort_by_key(|resident| resident.since);
    tenants
}

/// The model of `server` that yields to `want`, if one does.
fn victim<'a>(sight: &Sight<'a, '_>, server: &Server<'a>, want: &Want<'a>) -> Option<ModelIx> {
    let yields = |resident: &&&Resident| {
        sight.paid_at(server, resident) <= sight.now
            && (want.is_overdue || yields_as_burst(sight, server, resident, want))
    };
    tenants(sight, server, want).iter().find(yields).map(|resident| resident.model)
}

/// Whether only the excess of bursts waits for `resident`, while somebody else's request for `want` is due.
fn yields_as_burst<'a>(
    sight: &Sight<'a, '_>,
    server: &Server<'a>,
    resident: &Resident,
    want: &Want<'a>,
) -> bool {
    let (board, id, now) = (sight.board, server.backend.id, sight.now);
    let models = || {
        let kin = board.models().kin(resident.model).iter().copied();
        kin.filter(|model| board.serves(server.backend, resident.model, *model))
    };
    let has_work = models().any(|model| board.is_eligible(id, model));
    has_work
        && !models().any(|model| board.is_due(id, model, now))
        && want.queue.has_due_stranger_to(&models().map(|model| board.queue(model)), now)
}
