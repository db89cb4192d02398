//! What all clients share: the connections, and the memory for bodies.
//!
//! Who holds some of it and does nothing with it must not lock out others: when
//! there is no more, claims give way, of the client that holds the most first,
//! and of its claims that which was not used for longest. One that is worked
//! on never does, and none does for another client that would hold more than
//! its own. A client is an address, so that all who come through one proxy are
//! one; it may hold everything as long as nobody else asks.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The bits of an IPv6 address that its owner chooses at will.
const OWN_BITS: u32 = 64;

/// Who is at the other end: an IPv4 address or an IPv6 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client(IpAddr);

impl From<SocketAddr> for Client {
    fn from(address: SocketAddr) -> Self {
        Self(match address.ip().to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> OWN_BITS << OWN_BITS).into(),
            ip => ip,
        })
    }
}

/// A bounded amount of something that clients hold for a while.
pub(crate) struct Shared {
    state: Mutex<State>,
}

struct State {
    free: usize,
    /// Counts the uses of claims, so that they have an order.
    uses: u64,
    holders: HashMap<u64, Holder>,
}

struct Holder {
    client: Client,
    amount: usize,
    /// The number of its last use.
    used: u64,
    is_worked_on: bool,
    /// Once this is dropped, the claim has given way.
    _held: watch::Sender<()>,
}

/// What a connection, a body or a frame holds until this is dropped or has to
/// give way.
pub(crate) struct Claim {
    pub(crate) client: Client,
    shared: Arc<Shared>,
    id: u64,
    held: watch::Receiver<()>,
}

impl Shared {
    pub(crate) fn new(amount: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                free: amount,
                uses: 0,
                holders: HashMap::new(),
            }),
        })
    }

    /// Takes so much for a client; none if not enough can give way.
    pub(crate) fn claim(self: &Arc<Self>, client: Client, amount: usize) -> Option<Claim> {
        let (sender, held) = watch::channel(());
        let mut state = self.lock();
        let id = state.next_use();
        let holder = Holder {
            client,
            amount: 0,
            used: id,
            is_worked_on: false,
            _held: sender,
        };
        state.holders.insert(id, holder);
        drop(state);
        let claim = Claim {
            client,
            shared: Arc::clone(self),
            id,
            held,
        };
        claim.grow_to(amount).then_some(claim)
    }

    /// Has one claim give way, if any can.
    pub(crate) fn make_way(&self) {
        let mut state = self.lock();
        if let Some(&id) = state.in_order_to_go(|_, _, _| true).first() {
            state.release(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    /// Those that hold something, are not worked on and may go, by their id,
    /// their client and all that it holds.
    fn in_order_to_go(&self, may_go: impl Fn(u64, Client, usize) -> bool) -> Vec<u64> {
        let amounts = self.amounts();
        let mut going: Vec<_> = self
            .holders
            .iter()
            .filter(|(_, held)| held.amount > 0 && !held.is_worked_on)
            .map(|(&id, held)| (held.client, Reverse(amounts[&held.client]), held.used, id))
            .filter(|&(client, Reverse(amount), _, id)| may_go(id, client, amount))
            .map(|(_, amount, used, id)| (amount, used, id))
            .collect();
        going.sort_unstable();
        going.into_iter().map(|(.., id)| id).collect()
    }

    fn amounts(&self) -> HashMap<Client, usize> {
        let mut amounts = HashMap::new();
        for holder in self.holders.values() {
            *amounts.entry(holder.client).or_default() += holder.amount;
        }
        amounts
    }

    /// Has a holder hold at least so much, for which others may have to go.
    fn grow(&mut self, id: u64, amount: usize) -> bool {
        let Some(&Holder {
            client,
            amount: held,
            ..
        }) = self.holders.get(&id)
        else {
            return false;
        };
        let more = amount.saturating_sub(held);
        let mut going = Vec::new();
        let mut free = self.free;
        if free < more {
            let after = self.amounts()[&client].saturating_add(more);
            going = self.in_order_to_go(|other, its_client, its_amount| {
                other != id && (its_client == client || its_amount >= after)
            });
            let enough = going.iter().position(|id| {
                free += self.holders[id].amount;
                free >= more
            });
            let Some(last) = enough else { return false };
            going.truncate(last + 1);
        }
        for id in going {
            self.release(id);
        }
        self.free -= more;
        let used = self.next_use();
        if let Some(holder) = self.holders.get_mut(&id) {
            holder.amount += more;
            holder.used = used;
        }
        true
    }

    fn release(&mut self, id: u64) {
        if let Some(holder) = self.holders.remove(&id) {
            self.free += holder.amount;
        }
    }
}

impl Claim {
    /// Takes as much as is lacking to so much. Tells whether it could be had;
    /// it can't once this has given way.
    pub(crate) fn grow_to(&self, amount: usize) -> bool {
        self.shared.lock().grow(self.id, amount)
    }

    /// Says that something came of it, and that more is expected from outside.
    pub(crate) fn used(&self) {
        self.set_worked_on(false);
    }

    /// Says that it is worked on, so that it doesn't give way until it is
    /// [`used`](Self::used) again.
    pub(crate) fn work(&self) {
        self.set_worked_on(true);
    }

    fn set_worked_on(&self, is_worked_on: bool) {
        let mut state = self.shared.lock();
        let used = state.next_use();
        if let Some(holder) = state.holders.get_mut(&self.id) {
            holder.used = used;
            holder.is_worked_on = is_worked_on;
        }
    }

    /// Waits until it has given way.
    pub(crate) async fn lost(&self) {
        // Nothing is ever sent: only the sender's end is news.
        let _ = self.held.clone().changed().await;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.lock().release(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        SocketAddr::new(address.parse().unwrap(), 1).into()
    }

    fn is_lost(claim: &Claim) -> bool {
        claim.held.has_changed().is_err()
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
    }

    #[test]
    fn what_is_dropped_comes_back() {
        let shared = Shared::new(10);
        let one = client("10.0.0.1");
        let first = shared.claim(one, 6).unwrap();
        first.work();
        assert!(shared.claim(one, 5).is_none());
        assert!(shared.claim(one, 4).is_some());
        assert!(shared.claim(one, 11).is_none());
        drop(first);
        assert!(shared.claim(one, 10).is_some());
        assert!(shared.claim(one, 10).is_some());
    }

    #[test]
    fn the_longest_unused_gives_way() {
        let shared = Shared::new(3);
        let one = client("10.0.0.1");
        let claims: Vec<_> = (0..3).map(|_| shared.claim(one, 1).unwrap()).collect();
        claims[0].used();
        claims[1].work();
        let new = shared.claim(one, 1).unwrap();
        let lost: Vec<bool> = claims.iter().map(is_lost).collect();
        assert_eq!(lost, [false, false, true]);
        assert!(!claims[2].grow_to(1));
        assert!(new.grow_to(2));
        let lost: Vec<bool> = claims.iter().map(is_lost).collect();
        assert_eq!(lost, [true, false, true]);
        // All else is worked on, and a claim can't give way for itself.
        assert!(!new.grow_to(3));
        claims[1].used();
        shared.make_way();
        assert!(is_lost(&new) && !is_lost(&claims[1]));
    }

    #[test]
    fn nothing_gives_way_in_vain() {
        let shared = Shared::new(10);
        let one = client("10.0.0.1");
        let (idle, busy) = (shared.claim(one, 5).unwrap(), shared.claim(one, 5).unwrap());
        busy.work();
        assert!(shared.claim(one, 6).is_none());
        assert!(!is_lost(&idle));
    }

    #[test]
    fn who_holds_the_most_gives_way_first_and_to_who_holds_less() {
        let shared = Shared::new(10);
        let (greedy, modest) = (client("10.0.0.1"), client("10.0.0.2"));
        let small = shared.claim(modest, 2).unwrap();
        let large: Vec<_> = (0..8).map(|_| shared.claim(greedy, 1).unwrap()).collect();
        // Its own oldest, though another's is older.
        let more = shared.claim(greedy, 1).unwrap();
        assert!(is_lost(&large[0]) && !is_lost(&small));
        assert!(small.grow_to(3));
        assert!(is_lost(&large[1]));
        for claim in large.iter().chain([&more]) {
            claim.work();
        }
        assert!(shared.claim(greedy, 1).is_none());
        assert!(!is_lost(&small));
        // Each of many has as much as the newcomer wants.
        let shared = Shared::new(3);
        let many: Vec<_> = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
            .map(|address| shared.claim(client(address), 1).unwrap())
            .into();
        assert!(shared.claim(client("10.0.0.4"), 1).is_some());
        assert!(is_lost(&many[0]));
    }
}
