//! What the actor does for operators that have subscribed: tells them of changes in time, and has every process send the
//! log lines they want.

use ipc_proto::control::{ToFrontend, ToWorker};
use ipc_proto::operator::{LogLine, Reply, Subscription};
use ipc_proto::tap;

use super::{Actor, send};
use crate::children::ChildId;
use crate::links::ChildOutbox;
use crate::operators::Caller;
use crate::watchers::Now;

/// Describes what is true now, from an actor's own fields, so that others of them can still be changed.
macro_rules! now {
    ($actor:ident) => {
        Now {
            time: $actor.clock.now(),
            instance: $actor.instance_view(),
            history_lost: $actor.store.lost(),
            scheduler: &$actor.scheduler,
        }
    };
}

impl Actor {
    /// An operator wants to be told of changes, beginning with everything as it is.
    pub(super) fn subscribe(&mut self, caller: Caller, wants: Subscription) {
        self.take_lines();
        let (link, outbox) = (caller.link(), caller.outbox());
        caller.answer(Ok(Reply::Done("subscribed".to_owned())));
        let now = now!(self);
        self.state.watch.subscribe(link, outbox, wants, &now);
        self.listen();
    }

    /// An operator does not want to be told of changes any more.
    pub(super) fn unsubscribe(&mut self, caller: Caller) {
        self.state.watch.leave(caller.link());
        self.listen();
        caller.answer(Ok(Reply::Done("nothing is told any more".to_owned())));
    }

    /// Has every process send the log lines that are wanted now, and no others.
    pub(super) fn listen(&mut self) {
        let wanted = self.state.watch.log_wanted();
        if self.state.log_wanted.replace(wanted) == Some(wanted) {
            return;
        }
        let (least, with_requests) = wanted;
        tap::open(least, with_requests);
        let linked: Vec<ChildId> = self.state.crew.linked().map(|(child, _)| child).collect();
        for child in linked {
            self.ask_for_log(child);
        }
    }

    /// Tells a child which log lines are wanted.
    pub(super) fn ask_for_log(&self, child: ChildId) {
        let (least, _) = self.state.watch.log_wanted();
        match self.state.crew.outbox(child) {
            Some(ChildOutbox::Frontend(outbox)) => {
                send(&self.children, child, outbox, &ToFrontend::LogFrom(least));
            }
            Some(ChildOutbox::Worker(outbox)) => {
                send(&self.children, child, outbox, &ToWorker::LogFrom(least));
            }
            None => {}
        }
    }

    /// A child has written a line to its log.
    pub(super) fn child_logged(&mut self, child: ChildId, line: LogLine) {
        let source = match child {
            ChildId::Frontend(frontend) => format!("frontend {}", frontend.seat),
            ChildId::Worker(worker) => self
                .specs
                .name_of(worker.backend)
                .map_or_else(|| child.to_string(), |name| format!("worker {name}")),
        };
        self.state.watch.logged(self.clock.now(), LogLine { source, ..line });
    }

    /// Tells operators of changes, if it is time.
    pub(super) fn tell_operators(&mut self) {
        self.take_lines();
        if self.state.watch.due().is_some_and(|due| due <= self.clock.now()) {
            let now = now!(self);
            self.state.watch.tell(&now);
        }
    }

    /// Tells operators of changes, though it may not be time yet.
    pub(super) fn tell_operators_now(&mut self) {
        self.take_lines();
        let now = now!(self);
        self.state.watch.tell(&now);
    }

    fn take_lines(&mut self) {
        for mut line in self.state.log.take() {
            if line.source.is_empty() {
                "supervisor".clone_into(&mut line.source);
            }
            self.state.watch.logged(self.clock.now(), line);
        }
    }
}
