//! The network of a simulation: messages that come late, out of order, twice or never, and links that are cut.
//!
//! Each node has the address 10.0.0.0 + its number. A message is given its fate when it is sent, by the seed, the
//! link and its number there: so a fault that is left out changes no other. Then it lies in the mailbox until
//! virtual time reaches its arrival. What is on its way belongs to the network: it outlives both nodes, and may
//! reach a later life of the receiver.
//!
//! * [`weather`]: chances and delays of all links.
//! * [`Cut`]: links that lose everything for a while, in both directions or in one, or hold it back.
//!
//! Every kind of fault is counted when it strikes ([`SimNetwork::struck`]). What the network promises nevertheless is
//! said in `driftdb_env`'s `network.rs`; `sim/tests/network.rs` runs that suite over all weathers.
//!
//! Sources: research/sim.md 2.5, [TigerBeetle] for the kinds of fault.

pub mod weather;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use driftdb_env::kernel::{self, Kernel, preemption_point};
use driftdb_env::sync::Mutex;
use driftdb_env::{Mailbox, Message, Network, Rng, check_length};

use crate::kernel::{NodeId, current};
use weather::{Fate, Weather};

/// Messages that wait in one mailbox, or are on their way to it; more are dropped, as a full buffer does.
const MOST_WAITING: usize = 4096;

/// Where ports begin that nobody asked for.
const FREE_PORTS: u16 = 49_152;

/// Links that do not work for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing comes through between two nodes.
    Between(NodeId, NodeId),
    /// Nothing comes through from one to the other; the way back is open.
    OneWay {
        /// Who is not heard.
        from: NodeId,
        /// By whom.
        to: NodeId,
    },
    /// Nothing comes through to or from a node.
    Isolated(NodeId),
    /// What is sent from one to the other arrives when the clog is gone.
    Clogged {
        /// Who is heard late.
        from: NodeId,
        /// By whom.
        to: NodeId,
    },
}

impl Cut {
    fn concerns(self, from: NodeId, to: NodeId) -> bool {
        match self {
            Self::Between(one, other) => (from, to) == (one, other) || (from, to) == (other, one),
            Self::OneWay { from: deaf, to: to_whom }
            | Self::Clogged { from: deaf, to: to_whom } => (from, to) == (deaf, to_whom),
            Self::Isolated(node) => from == node || to == node,
        }
    }

    /// The fault that it is counted as.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Between(..) => "links-cut",
            Self::OneWay { .. } => "links-cut-one-way",
            Self::Isolated(_) => "nodes-isolated",
            Self::Clogged { .. } => "links-clogged",
        }
    }
}

/// Every sort of cut, as it is counted.
pub(crate) const CUTS: &[&str] =
    &["links-cut", "links-cut-one-way", "nodes-isolated", "links-clogged"];

/// A message on its way or waiting.
struct Flying {
    message: Message,
    /// Its number on its link.
    number: u64,
}

#[derive(Default)]
struct Slot {
    /// Counts mailboxes of this address; 0 if there never was one.
    opening: u64,
    is_open: bool,
    /// Where its readers wait; none while it is closed.
    bell: usize,
    /// By arrival, then in the order in which they were sent.
    flying: BTreeMap<(u64, u64), Flying>,
}

#[derive(Default)]
struct State {
    weather: Weather,
    cuts: Vec<(Cut, u64)>,
    boxes: BTreeMap<SocketAddr, Slot>,
    /// Messages sent, by link.
    sent: BTreeMap<(NodeId, NodeId), u64>,
    /// The number of the last message received, by link.
    received: BTreeMap<(NodeId, NodeId), u64>,
    /// All messages ever sent.
    total: u64,
    /// Copies put into mailboxes: what arrives at the same time does so in this order.
    put_count: u64,
    struck: BTreeMap<&'static str, u64>,
}

impl State {
    fn strike(&mut self, kind: &'static str) {
        *self.struck.entry(kind).or_default() += 1;
    }
}

/// The network. Cheap to clone.
#[derive(Clone)]
pub struct SimNetwork {
    seed: u64,
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimNetwork")
    }
}

/// A node's address.
pub fn host_of(node: NodeId) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + node.0)
}

/// The node that has an address.
fn node_at(address: SocketAddr) -> Option<NodeId> {
    match address.ip() {
        IpAddr::V4(ip) => u32::from(ip).checked_sub(0x0a00_0000).map(NodeId),
        IpAddr::V6(_) => None,
    }
}

fn now_ns() -> u64 {
    u64::try_from(current().now().as_nanos()).unwrap_or(u64::MAX)
}

impl SimNetwork {
    /// A network in fair weather.
    pub fn new(seed: u64) -> Self {
        Self { seed, state: Arc::default() }
    }

    /// What a node sees of it.
    pub fn of(&self, node: NodeId) -> Arc<dyn Network> {
        Arc::new(Seen { network: self.clone(), node })
    }

    /// Changes how all links behave, for what is sent from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.state.lock().weather = weather;
    }

    /// Cuts links for so long.
    pub fn cut(&self, cut: Cut, lasts: Duration) {
        let lasts = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
        let until = now_ns().saturating_add(lasts);
        self.state.lock().cuts.push((cut, until));
    }

    /// Fair weather, and no link is cut; what a clog holds still arrives when it would have.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.weather = Weather::default();
        state.cuts.clear();
    }

    /// How often each fault struck, by name.
    pub fn struck(&self) -> Vec<(&'static str, u64)> {
        self.state.lock().struck.iter().map(|(kind, count)| (*kind, *count)).collect()
    }

    /// Messages sent.
    pub fn sent_count(&self) -> u64 {
        self.state.lock().total
    }

    /// The simulation is over: what is left of its nodes keeps the network, but need not keep its messages.
    pub(crate) fn clear(&self) {
        self.state.lock().boxes.clear();
    }

    /// A node has died: its mailboxes are gone, and what waited in them.
    pub(crate) fn died(&self, node: NodeId) {
        let now = now_ns();
        let mut state = self.state.lock();
        for (address, mailbox) in &mut state.boxes {
            if node_at(*address) == Some(node) {
                mailbox.close(now);
            }
        }
    }

    fn send(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let (Some(sender), Some(receiver)) = (node_at(from), node_at(to)) else { return };
        let now = now_ns();
        let mut state = self.state.lock();
        state.total += 1;
        let number = state.sent.entry((sender, receiver)).or_default();
        *number += 1;
        let number = *number;
        state.cuts.retain(|(_, until)| *until > now);
        let concerns = |(cut, _): &&(Cut, u64)| cut.concerns(sender, receiver);
        let cuts: Vec<(Cut, u64)> = state.cuts.iter().filter(concerns).copied().collect();
        if let Some((cut, _)) = cuts.iter().find(|(cut, _)| !matches!(cut, Cut::Clogged { .. })) {
            state.strike(cut.name());
            return;
        }
        let held_until = cuts.iter().map(|(_, until)| *until).max();
        if held_until.is_some() {
            state.strike("links-clogged");
        }
        let link = u64::from(sender.0) << 32 | u64::from(receiver.0);
        let mut rng = Rng::stream(self.seed ^ number, &format!("message on link {link:x}"));
        let Fate { delays_ns, kinds } = state.weather.fate(&mut rng);
        kinds.into_iter().for_each(|kind| state.strike(kind));
        for delay in delays_ns {
            let at = held_until.unwrap_or(now).max(now).saturating_add(delay);
            state.put(to, at, Flying { message: Message { from, bytes: bytes.to_vec() }, number });
        }
    }
}

impl State {
    fn put(&mut self, to: SocketAddr, at: u64, flying: Flying) {
        // A port that nobody has had yet: who sends there is told nothing.
        let Some(mailbox) = self.boxes.get_mut(&to) else { return };
        if mailbox.flying.len() >= MOST_WAITING {
            self.strike("messages-dropped");
            return;
        }
        self.put_count += 1;
        mailbox.flying.insert((at, self.put_count), flying);
        if mailbox.is_open
            && let Some(kernel) = kernel::current()
        {
            kernel.wake(mailbox.bell, usize::MAX);
        }
    }

    fn open(&mut self, host: Ipv4Addr, port: u16, now: u64) -> io::Result<(SocketAddr, u64)> {
        let is_taken = |state: &Self, address: &SocketAddr| {
            state.boxes.get(address).is_some_and(|mailbox| mailbox.is_open)
        };
        let address = match port {
            0 => {
                let used: BTreeSet<SocketAddr> = self.boxes.keys().copied().collect();
                let mut free = (FREE_PORTS..=u16::MAX).map(|port| (host, port).into());
                free.find(|address| !used.contains(address))
            }
            port => Some((host, port).into()).filter(|address| !is_taken(self, address)),
        };
        let address = address.ok_or(io::ErrorKind::AddrInUse)?;
        let mailbox = self.boxes.entry(address).or_default();
        mailbox.close(now);
        mailbox.is_open = true;
        mailbox.opening += 1;
        Ok((address, mailbox.opening))
    }

    /// The next message that has arrived, or when the next one will.
    fn take(&mut self, at: SocketAddr, now: u64) -> Result<Message, Option<u64>> {
        let Some(mailbox) = self.boxes.get_mut(&at) else { return Err(None) };
        let Some(first) = mailbox.flying.first_entry() else { return Err(None) };
        let (arrives, _) = *first.key();
        if arrives > now {
            return Err(Some(arrives));
        }
        let Flying { message, number } = first.remove();
        if let (Some(sender), Some(receiver)) = (node_at(message.from), node_at(at)) {
            let last = self.received.entry((sender, receiver)).or_default();
            let is_overtaken = number < *last;
            *last = number.max(*last);
            if is_overtaken {
                self.strike("messages-reordered");
            }
        }
        Ok(message)
    }
}

impl Slot {
    /// Nobody reads it any more: what has arrived is lost, what is on its way is not.
    fn close(&mut self, now: u64) {
        self.is_open = false;
        self.flying = self.flying.split_off(&(now.saturating_add(1), 0));
    }
}

/// The network, as a node sees it.
struct Seen {
    network: SimNetwork,
    node: NodeId,
}

impl Network for Seen {
    fn host(&self) -> Ipv4Addr {
        host_of(self.node)
    }

    fn open(&self, port: u16) -> io::Result<Arc<dyn Mailbox>> {
        let bell = Arc::new(0_u64);
        let mut state = self.network.state.lock();
        let (address, opening) = state.open(self.host(), port, now_ns())?;
        if let Some(mailbox) = state.boxes.get_mut(&address) {
            mailbox.bell = address_of(&bell);
        }
        drop(state);
        Ok(Arc::new(SimMailbox { network: self.network.clone(), address, opening, bell }))
    }
}

struct SimMailbox {
    network: SimNetwork,
    address: SocketAddr,
    opening: u64,
    /// Only its address matters: who waits for a message waits there.
    bell: Arc<u64>,
}

fn address_of(bell: &Arc<u64>) -> usize {
    Arc::as_ptr(bell) as usize
}

impl Mailbox for SimMailbox {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        check_length(bytes)?;
        preemption_point("network.send");
        current().note("send");
        self.network.send(self.address, to, bytes);
        preemption_point("network.sent");
        Ok(())
    }

    fn receive(&self, timeout: Duration) -> io::Result<Option<Message>> {
        preemption_point("network.receive");
        let deadline = current().now().saturating_add(timeout);
        loop {
            let now = now_ns();
            let taken = self.network.state.lock().take(self.address, now);
            let arrives = match taken {
                Ok(message) => {
                    current().note("received");
                    return Ok(Some(message));
                }
                Err(arrives) => arrives.map_or(deadline, Duration::from_nanos),
            };
            if current().now() >= deadline {
                return Ok(None);
            }
            current().wait(address_of(&self.bell), Some(arrives.min(deadline)));
        }
    }
}

impl Drop for SimMailbox {
    fn drop(&mut self) {
        // After its node died, the address may have a new mailbox.
        let now = kernel::current().map_or(0, |kernel| kernel.now().as_nanos() as u64);
        let mut state = self.network.state.lock();
        if let Some(mailbox) = state.boxes.get_mut(&self.address)
            && mailbox.opening == self.opening
        {
            mailbox.close(now);
        }
    }
}
