//! `model_turns`: models take turns on a backend.
//!
//! A backend works through everything that waits for the models it holds. When nothing is left, it loads the model for
//! which the most waiting can be ended per second of work; models that nobody holds come before second copies. A
//! model that has waited too long without a backend claims one whose turn has paid for its own load. One file per
//! rule; each is a function of the board and of what is remembered, and only this file puts them in order.

use ipc_proto::ids::BackendId;

use self::memory::Memory;
use self::sight::Sight;
use super::{Board, Choice, Newcomer, News, Opinion, Placement, Policy};
use crate::clock::Time;
use crate::scheduler::model::ModelIx;

mod claim;
mod linger;
mod load;
mod memory;
mod pace;
mod serve;
mod shown;
mod sight;
mod wake;

/// The strategy.
#[derive(Default, Debug)]
pub(super) struct ModelTurns {
    memory: Memory,
}

impl Policy for ModelTurns {
    fn place(&mut self, board: &Board<'_>, newcomer: &Newcomer<'_>) -> Placement {
        Placement { at: pace::place(board, newcomer), bound: None }
    }

    fn news(&mut self, board: &Board<'_>, news: News, now: Time) {
        self.memory.news(board, news, now);
    }

    fn choose(&mut self, board: &Board<'_>, now: Time) -> Choice {
        if board.waiting().next().is_none() {
            self.memory.end_all_claims();
            return Choice::Wait { until: None };
        }
        let memory = &mut self.memory;
        let sight = claim::renew(memory, board, now);
        let loaded = serve::members(memory, &sight);
        let choice = loaded.map_or_else(|| load::choose(memory, &sight), load::Outlook::of);
        let choice = match choice.dispatch {
            None => load::Outlook { dispatch: serve::overflow(&sight), ..choice },
            Some(_) => choice,
        };
        choice.dispatch.unwrap_or_else(|| {
            let until = [wake::next(&sight), choice.look_again].into_iter().flatten().min();
            Choice::Wait { until }
        })
    }

    fn opinions(&self, board: &Board<'_>, model: ModelIx, now: Time) -> Vec<(BackendId, Opinion)> {
        shown::opinions(&Sight::of(board, &self.memory, model, now), model)
    }

    fn next_of(&self, board: &Board<'_>, backend: BackendId, now: Time) -> Option<String> {
        shown::next_of(board, &self.memory, backend, now)
    }

    fn lingers(&self) -> (u64, u64) {
        (self.memory.lingers_won, self.memory.lingers_lost)
    }
}
