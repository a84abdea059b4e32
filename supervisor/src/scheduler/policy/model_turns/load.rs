//! Rules 3 and 4: a backend without work loads. Claims that can be met first; then the model for which the most
//! waiting is relieved per second of work, those without a backend before second copies. A second copy must be worth
//! more than the load, the risk of loading the old model again, and the risk of being missed elsewhere.

use std::cmp::Ordering;

use super::linger;
use super::memory::Memory;
use super::serve;
use super::sight::{Departure, Server, Sight, Want};
use crate::clock::Time;
use crate::scheduler::policy::{Choice, Reason, Room};

/// Looks at a copy that is not yet worth its load are at least so far apart, in seconds.
const SOONEST_LOOK_S: f64 = 0.25;
/// And at most so far, while somebody waits.
const LATEST_LOOK_S: f64 = 10.0;

/// What there is to load.
#[derive(Default)]
pub(super) struct Outlook {
    /// The load to begin, if any.
    pub(super) dispatch: Option<Choice>,
    /// When to look again: the first backend that waits for a follow-up gives up then, or a second copy may have
    /// become worth its load, because those who have the model take longer than was expected of them.
    pub(super) look_again: Option<Time>,
}

impl Outlook {
    /// Nothing needs to be loaded for `dispatch`.
    pub(super) fn of(dispatch: Choice) -> Self {
        Self { dispatch: Some(dispatch), look_again: None }
    }

    fn look_again_at(&mut self, at: Time) {
        self.look_again = Some(self.look_again.map_or(at, |first| first.min(at)));
    }
}

/// A model on a server that could load it.
struct Candidate<'s, 'a> {
    server: &'s Server<'a>,
    room: Room,
    cost_s: f64,
}

/// The load to begin now.
pub(super) fn choose(memory: &mut Memory, sight: &Sight<'_, '_>) -> Outlook {
    if let Some(claimed) = meet_claim(memory, sight) {
        return Outlook::of(claimed);
    }
    let mut outlook = Outlook::default();
    let mut best: Vec<Option<Candidate<'_, '_>>> = sight.wants.iter().map(|_| None).collect();
    let clear_s: Vec<f64> = sight.wants.iter().map(|want| sight.clear_s(want)).collect();
    for (at, server) in sight.servers.iter().enumerate() {
        if !server.has_free_slot || server.leaving.is_some() || !server.backend.swaps() {
            continue;
        }
        let vacancy = sight.vacancy(server);
        let usual = sight.departure(server, vacancy.evicts());
        for (place, want) in sight.wants.iter().enumerate() {
            if !want.eligible[at] || want.holds[at] || !sight.may_overflow(want, server) {
                continue;
            }
            let room = sight.room(server, want.model, vacancy);
            let departure = if room == vacancy { usual } else { sight.departure(server, room.evicts()) };
            if room == Room::Full {
                continue;
            }
            let short_s = short_of_worth_s(sight, server, want, &departure, clear_s[place]);
            if short_s >= 0.0 {
                outlook.look_again_at(sight.now.plus_seconds(nearer_s(short_s)));
                continue;
            }
            if let Some(ends) = linger::ends_at(memory, sight, server, want, &departure) {
                outlook.look_again_at(ends);
                memory.note_linger(server.backend.id, departure.leaves);
                continue;
            }
            let cost_s =
                sight.load_s(server, want.model) + departure.reload_s + sight.service_s(server, want.model);
            let candidate = Candidate { server, room, cost_s };
            if best[place].as_ref().is_none_or(|known| is_better(&candidate, known)) {
                best[place] = Some(candidate);
            }
        }
    }
    outlook.dispatch = first(sight, &best);
    outlook
}

/// A server whose leaving model has ended what it ran loads the claimant.
fn meet_claim(memory: &mut Memory, sight: &Sight<'_, '_>) -> Option<Choice> {
    sight.servers.iter().find_map(|server| {
        let leaving = server.leaving.filter(|_| server.has_free_slot)?;
        let backend = server.backend;
        let victim = backend.residents.get(leaving.victim).filter(|victim| victim.is_idle())?;
        let want = sight.wants.iter().find(|want| want.model == leaving.claimant)?;
        let fits = backend.residents.len() <= backend.max_models();
        let choice = serve::dispatch(sight, want, server, Room::Evicts(victim.model), leaving.reason);
        let choice = choice.filter(|_| fits)?;
        memory.set_leaving(backend.id, None);
        Some(choice)
    })
}

/// Whether `server` should have `want`: always if nobody else has it, else only if those who have it will be busy
/// with it for longer than it is worth.
pub(super) fn is_worth_it<'a>(
    sight: &Sight<'a, '_>,
    server: &Server<'a>,
    want: &Want<'a>,
    departure: &Departure,
    clear_s: f64,
) -> bool {
    short_of_worth_s(sight, server, want, departure, clear_s) < 0.0
}

/// How much longer those who have `want` would have to be busy with it for `server` to take it, in seconds; less than
/// 0: it should.
fn short_of_worth_s<'a>(
    sight: &Sight<'a, '_>,
    server: &Server<'a>,
    want: &Want<'a>,
    departure: &Departure,
    clear_s: f64,
) -> f64 {
    if !want.is_covered || clear_s.is_infinite() {
        return f64::NEG_INFINITY;
    }
    let trespass_s = sight.trespass_s(server, want.model, departure, clear_s);
    sight.load_s(server, want.model) + departure.reload_s + trespass_s - clear_s
}

/// After how many seconds to look again at a copy that is `short_s` short of its worth. What overruns its expected
/// time is expected to take half as long again, so that the shortage shrinks at most about half as fast as time
/// passes: a look at half the way comes before the end of it, and few looks come.
fn nearer_s(short_s: f64) -> f64 {
    (short_s / 2.0).clamp(SOONEST_LOOK_S, LATEST_LOOK_S)
}

/// Members before others, then the quickest; servers come best first, so that a tie goes to the first.
fn is_better(candidate: &Candidate<'_, '_>, known: &Candidate<'_, '_>) -> bool {
    match (candidate.server.is_member(), known.server.is_member()) {
        (true, false) => true,
        (false, true) => false,
        _ => candidate.cost_s < known.cost_s,
    }
}

/// The first of the models that could be loaded: overdue ones by how long they have waited for a backend, then those
/// without one, then the most waiting relieved per second of work.
fn first(sight: &Sight<'_, '_>, best: &[Option<Candidate<'_, '_>>]) -> Option<Choice> {
    let candidates = sight.wants.iter().zip(best);
    let candidates =
        candidates.filter_map(|(want, candidate)| candidate.as_ref().map(|candidate| (want, candidate)));
    let scored = candidates
        .map(|(want, candidate)| (want, candidate, sight.score(candidate.server, want)))
        .min_by(|(a, _, score_a), (b, _, score_b)| match (a.is_overdue, b.is_overdue) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (true, true) => (a.since, a.model).cmp(&(b.since, b.model)),
            (false, false) => a
                .is_covered
                .cmp(&b.is_covered)
                .then(score_b.total_cmp(score_a))
                .then((a.oldest, a.model).cmp(&(b.oldest, b.model))),
        });
    let (want, candidate, _) = scored?;
    let reason = if want.is_covered { Reason::Copy } else { Reason::Relief };
    serve::dispatch(sight, want, candidate.server, candidate.room, reason)
}
