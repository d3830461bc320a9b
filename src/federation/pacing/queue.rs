//! Who is next: in turns between callers, and then between one caller's searches.

use std::collections::VecDeque;
use std::sync::Arc;

/// One request that waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ticket(pub u64);

/// Tickets in the order of a fair round robin; within one search first come, first served.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The front has the next turn. No caller without searches, no search without tickets.
    callers: VecDeque<Caller>,
}

#[derive(Debug)]
struct Caller {
    name: Arc<str>,
    searches: VecDeque<Search>,
}

#[derive(Debug)]
struct Search {
    id: u64,
    tickets: VecDeque<Ticket>,
}

impl Queue {
    /// Puts a ticket behind those of its search; a new search goes behind its caller's others, a
    /// new caller behind all.
    pub fn push(&mut self, caller: &Arc<str>, search: u64, ticket: Ticket) {
        let known = self.callers.iter().position(|other| other.name == *caller);
        let caller = known.unwrap_or_else(|| {
            self.callers.push_back(Caller {
                name: Arc::clone(caller),
                searches: VecDeque::new(),
            });
            self.callers.len() - 1
        });
        let searches = &mut self.callers[caller].searches;
        match searches.iter_mut().find(|other| other.id == search) {
            Some(search) => search.tickets.push_back(ticket),
            None => searches.push_back(Search {
                id: search,
                tickets: VecDeque::from([ticket]),
            }),
        }
    }

    /// Takes the ticket whose turn it is; its caller and its search go to the back.
    pub fn pop(&mut self) -> Option<Ticket> {
        let mut caller = self.callers.pop_front()?;
        let mut search = caller.searches.pop_front()?;
        let ticket = search.tickets.pop_front()?;
        if !search.tickets.is_empty() {
            caller.searches.push_back(search);
        }
        if !caller.searches.is_empty() {
            self.callers.push_back(caller);
        }
        Some(ticket)
    }

    /// Any ticket that waits.
    pub fn any(&self) -> Option<Ticket> {
        let search = self.callers.front()?.searches.front()?;
        search.tickets.front().copied()
    }

    /// Takes a ticket out, wherever it stands.
    pub fn remove(&mut self, ticket: Ticket) {
        for caller in &mut self.callers {
            for search in &mut caller.searches {
                search.tickets.retain(|other| *other != ticket);
            }
            caller.searches.retain(|search| !search.tickets.is_empty());
        }
        self.callers.retain(|caller| !caller.searches.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_round_callers_then_their_searches() {
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        let mut queue = Queue::default();
        for (caller, search, ticket) in [
            (&alice, 1, 10),
            (&alice, 1, 11),
            (&alice, 2, 20),
            (&alice, 3, 30),
            (&bob, 4, 40),
            (&bob, 4, 41),
        ] {
            queue.push(caller, search, Ticket(ticket));
        }
        queue.remove(Ticket(30));
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop()).map(|t| t.0).collect();
        assert_eq!(order, [10, 40, 20, 41, 11]);
        assert!(queue.callers.is_empty());
    }
}
