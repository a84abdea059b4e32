//! What has changed goes to the history now and then, not with every event.

use super::Actor;

impl Actor {
    /// Saves the requests that have changed, if it is time to.
    pub(super) fn save_changed(&mut self) {
        if self.state.save_due.is_some_and(|due| due <= self.clock.now()) {
            self.save_now();
        }
    }

    /// Saves the requests that have changed.
    pub(super) fn save_now(&mut self) {
        self.state.save_due = None;
        let now = self.clock.now();
        while let Some(request) = self.state.dirty.pop_first() {
            if let Some(record) = self.scheduler.record(now, request) {
                self.store.save(record);
            }
        }
    }
}
