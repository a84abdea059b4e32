//! Which children there are and how far each has come: started, linked, ended. Makes one end out of two, the link's
//! and the process's.

use std::collections::BTreeMap;

use crate::children::ChildId;
use crate::links::{ChildOutbox, LinkId};

/// The children that were started and are not gone.
#[derive(Default)]
pub(crate) struct Crew(BTreeMap<ChildId, Member>);

#[derive(Default)]
struct Member {
    link: Link,
    exited: bool,
}

#[derive(Default)]
enum Link {
    /// It has not come yet.
    #[default]
    Awaited,
    Open(LinkId, ChildOutbox),
    /// It came and ended: there is one link in a child's life.
    Over,
}

/// What the end of a link or a process means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Nothing: it was not about a child we have.
    Stale,
    /// Half of the child is gone; the other half follows.
    Half,
    /// The child is gone, and this is the only time that it is said.
    Gone,
}

impl Crew {
    /// Adds a child whose process is being started.
    pub(crate) fn add(&mut self, child: ChildId) {
        self.0.insert(child, Member::default());
    }

    /// Takes up the link of a child. Refuses, with the reason, who is not expected.
    pub(crate) fn link(
        &mut self,
        child: ChildId,
        link: LinkId,
        outbox: ChildOutbox,
    ) -> Result<(), &'static str> {
        let member = self.0.get_mut(&child).ok_or("nobody expects it")?;
        match member.link {
            Link::Awaited => {
                member.link = Link::Open(link, outbox);
                Ok(())
            }
            Link::Open(..) | Link::Over => Err("it was here already"),
        }
    }

    /// Whether this is the open link of this child.
    pub(crate) fn is_linked(&self, child: ChildId, link: LinkId) -> bool {
        self.0.get(&child).is_some_and(|member| matches!(member.link, Link::Open(open, _) if open == link))
    }

    /// Where messages for this child are put, while its link is open.
    pub(crate) fn outbox(&self, child: ChildId) -> Option<&ChildOutbox> {
        match &self.0.get(&child)?.link {
            Link::Open(_, outbox) => Some(outbox),
            Link::Awaited | Link::Over => None,
        }
    }

    /// The children with an open link.
    pub(crate) fn linked(&self) -> impl Iterator<Item = (ChildId, &ChildOutbox)> {
        self.0.iter().filter_map(|(child, member)| match &member.link {
            Link::Open(_, outbox) => Some((*child, outbox)),
            Link::Awaited | Link::Over => None,
        })
    }

    /// A link has ended. Its process may still have to be ended: [`End::Half`].
    pub(crate) fn link_ended(&mut self, child: ChildId, link: LinkId) -> End {
        if !self.is_linked(child, link) {
            return End::Stale;
        }
        let Some(member) = self.0.get_mut(&child) else { return End::Stale };
        member.link = Link::Over;
        self.judge(child)
    }

    /// A process has ended. An open link is waited for: what the child said last is still on its way.
    pub(crate) fn exited(&mut self, child: ChildId) -> End {
        let Some(member) = self.0.get_mut(&child) else { return End::Stale };
        member.exited = true;
        self.judge(child)
    }

    fn judge(&mut self, child: ChildId) -> End {
        match self.0.get(&child) {
            Some(Member { link: Link::Awaited | Link::Over, exited: true }) => {
                self.0.remove(&child);
                End::Gone
            }
            Some(_) => End::Half,
            None => End::Stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use ipc_proto::ids::{BackendId, WorkerId};

    use super::*;

    const CHILD: ChildId = ChildId::Worker(WorkerId { backend: BackendId(0), generation: 1 });

    fn outbox() -> ChildOutbox {
        let (stream, _) = tokio::io::duplex(1);
        ChildOutbox::Worker(ipc_proto::link::open::<_, (), _>(stream).0)
    }

    fn with_link(link: LinkId) -> Crew {
        let mut crew = Crew::default();
        crew.add(CHILD);
        crew.link(CHILD, link, outbox()).unwrap();
        crew
    }

    #[test]
    fn a_child_is_gone_once_whichever_half_ends_first() {
        let link = LinkId::for_test(1);
        let mut crew = with_link(link);
        assert_eq!([crew.exited(CHILD), crew.link_ended(CHILD, link)], [End::Half, End::Gone]);
        assert_eq!([crew.exited(CHILD), crew.link_ended(CHILD, link)], [End::Stale, End::Stale]);
        let mut crew = with_link(link);
        assert_eq!([crew.link_ended(CHILD, link), crew.exited(CHILD)], [End::Half, End::Gone]);
    }

    #[test]
    fn a_child_that_never_came_is_gone_with_its_process() {
        let mut crew = Crew::default();
        crew.add(CHILD);
        assert_eq!(crew.exited(CHILD), End::Gone);
    }

    #[test]
    fn only_an_expected_child_is_linked_and_only_once() {
        let (first, second) = (LinkId::for_test(1), LinkId::for_test(2));
        assert!(Crew::default().link(CHILD, first, outbox()).is_err());
        let mut crew = with_link(first);
        assert!(crew.link(CHILD, second, outbox()).is_err());
        assert_eq!(crew.link_ended(CHILD, second), End::Stale, "the end of a refused link is nobody's end");
        assert!(crew.is_linked(CHILD, first) && !crew.is_linked(CHILD, second));
        crew.link_ended(CHILD, first);
        assert!(crew.link(CHILD, second, outbox()).is_err(), "nor after the first one ended");
        assert!(crew.outbox(CHILD).is_none() && crew.linked().next().is_none());
    }
}
