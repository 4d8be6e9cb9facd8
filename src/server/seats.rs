//! How many connections may be open, in all and from one peer.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Open connections of one listener, counted.
#[derive(Clone)]
pub struct Seats {
    taken: Arc<Mutex<Taken>>,
    in_all: usize,
    per_peer: usize,
}

#[derive(Default)]
struct Taken {
    in_all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// One connection's place, free again when dropped.
pub struct Seat {
    seats: Seats,
    peer: IpAddr,
}

impl Seats {
    pub fn new(in_all: usize, per_peer: usize) -> Self {
        Self {
            taken: Arc::default(),
            in_all,
            per_peer,
        }
    }

    /// `None` when the house, or the peer's share of it, is full.
    pub fn take(&self, ip: IpAddr) -> Option<Seat> {
        let peer = network(ip);
        let mut taken = self.lock();
        let here = taken.by_peer.get(&peer).copied().unwrap_or_default();
        if taken.in_all >= self.in_all || here >= self.per_peer {
            return None;
        }
        taken.in_all += 1;
        taken.by_peer.insert(peer, here + 1);
        Some(Seat {
            seats: self.clone(),
            peer,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.in_all -= 1;
        if let Some(here) = taken.by_peer.get_mut(&self.peer) {
            *here -= 1;
            if *here == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
    }
}

/// Who counts as one peer: an IPv4 address, or a /64, which is what one IPv6 host is given.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_has_its_share_and_gets_it_back() {
        let seats = Seats::new(3, 2);
        let first = seats.take(ip("192.0.2.1")).unwrap();
        let _second = seats.take(ip("::ffff:192.0.2.1")).unwrap();
        assert!(seats.take(ip("192.0.2.1")).is_none(), "over its share");
        let _other = seats.take(ip("2001:db8::1")).unwrap();
        assert!(seats.take(ip("192.0.2.9")).is_none(), "the house is full");
        drop(first);
        assert!(seats.take(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn a_whole_64_is_one_peer() {
        let seats = Seats::new(9, 1);
        let _one = seats.take(ip("2001:db8::1")).unwrap();
        assert!(seats.take(ip("2001:db8::ffff:2")).is_none());
        assert!(seats.take(ip("2001:db8:0:1::1")).is_some());
    }
}
