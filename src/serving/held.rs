//! Answers of one kind that are kept in memory: found at once, or read from the store together
//! with all that others miss at that moment.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quick_cache::{Equivalent, Weighter, sync::Cache};
use smallvec::SmallVec;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    domain::Micros,
    store::{Error, Mark, Marks, Result},
};

/// Keys that are read together.
const TOGETHER: usize = 256;
/// Keys that wait at most; while the store hangs, who asks for more is refused.
const WAITING: usize = 100_000;
/// How long a read may take: it has no caller's deadline.
const LONGEST: Duration = Duration::from_secs(5);
/// Of the cache itself, for each answer.
const OVERHEAD: u64 = 96;
/// What is expected of an answer; the cache grows beyond.
const USUAL: u64 = 700;

/// An answer, and for how long it holds.
#[derive(Debug)]
pub struct Known<V> {
    pub value: V,
    /// What had changed when it was read.
    pub then: u64,
    /// What it depends on: mostly a merchant, a note and a corp.
    pub marks: SmallVec<[Mark; 4]>,
    /// For which moment it was made.
    pub at: Micros,
    /// When a date may change it.
    pub until: Option<Micros>,
}

/// How far the clocks of one machine differ from call to call.
const CLOCKS: Duration = Duration::from_secs(1);

impl<V> Known<V> {
    pub fn holds(&self, marks: &Marks, now: Micros) -> bool {
        self.is_of(now) && marks.holds(self.then, &self.marks)
    }

    /// Whether it is for this moment, as dates go: also where a clock was set back.
    fn is_of(&self, now: Micros) -> bool {
        self.at <= now + CLOCKS && self.until.is_none_or(|until| now < until)
    }
}

/// What a value takes of memory.
pub trait Weigh {
    /// In bytes, what it points to included.
    fn bytes(&self) -> usize;
}

#[derive(Clone, Debug)]
struct Bytes;

impl<K: Weigh, V: Weigh> Weighter<K, Arc<Known<V>>> for Bytes {
    fn weight(&self, key: &K, known: &Arc<Known<V>>) -> u64 {
        OVERHEAD + (key.bytes() + known.value.bytes()) as u64
    }
}

/// Where answers are read, and kept.
pub trait Source<K: Weigh, V: Weigh>: Send + Sync + 'static {
    fn held(&self) -> &Held<K, V>;

    /// Reads answers to these keys, all of them.
    fn read(
        &self,
        keys: &[K],
        now: Micros,
    ) -> impl Future<Output = Result<Vec<(K, Known<V>)>>> + Send;
}

type Told<V> = Result<Arc<Known<V>>>;
type Tell<V> = Vec<oneshot::Sender<Told<V>>>;

/// Those who wait, by key, and the keys in the order in which they were asked for.
#[derive(Debug)]
struct Waiting<K, V> {
    of: HashMap<K, Tell<V>>,
    order: VecDeque<K>,
    /// The latest moment that somebody asks for.
    now: Micros,
    /// Whether a task reads until nobody waits.
    at_work: bool,
}

impl<K: Clone + Eq + Hash, V> Waiting<K, V> {
    fn new() -> Self {
        Self {
            of: HashMap::new(),
            order: VecDeque::new(),
            now: Micros::MIN,
            at_work: false,
        }
    }

    fn ask(&mut self, key: &K, now: Micros) -> oneshot::Receiver<Told<V>> {
        let (tell, told) = oneshot::channel();
        let of = self.of.entry(key.clone()).or_default();
        if of.is_empty() {
            self.order.push_back(key.clone());
        }
        // A place in the order stays, be it for who comes now.
        of.retain(|tell| !tell.is_closed());
        of.push(tell);
        self.now = self.now.max(now);
        told
    }

    /// Takes the next keys that somebody still waits for, and for which moment.
    fn take(&mut self) -> (HashMap<K, Tell<V>>, Micros) {
        let (mut taken, now) = (HashMap::new(), self.now);
        while taken.len() < TOGETHER
            && let Some(key) = self.order.pop_front()
        {
            let mut tell = self.of.remove(&key).unwrap_or_default();
            tell.retain(|tell| !tell.is_closed());
            if !tell.is_empty() {
                taken.insert(key, tell);
            }
        }
        if self.order.is_empty() {
            self.now = Micros::MIN;
        }
        (taken, now)
    }
}

/// The answers, by key.
#[derive(Debug)]
pub struct Held<K: Weigh, V: Weigh> {
    cache: Cache<K, Arc<Known<V>>, Bytes>,
    marks: Arc<Marks>,
    /// Missed, and yet to be read: by one task, so nothing is read twice.
    waiting: Mutex<Waiting<K, V>>,
}

impl<K, V> Held<K, V>
where
    K: Clone + Eq + Hash + Weigh,
    V: Weigh,
{
    /// Keeps about so many bytes.
    pub fn new(bytes: u64, marks: &Arc<Marks>) -> Self {
        let expected = usize::try_from(bytes / USUAL).unwrap_or(usize::MAX);
        Self {
            cache: Cache::with_weighter(expected, bytes, Bytes),
            marks: marks.clone(),
            waiting: Mutex::new(Waiting::new()),
        }
    }

    /// What is in memory and holds.
    pub fn get<Q>(&self, key: &Q, now: Micros) -> Option<Arc<Known<V>>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let known = self.cache.get(key);
        known.filter(|known| known.holds(&self.marks, now))
    }

    /// Where to wait for each, and whether a task has to go to work.
    fn ask(&self, keys: &[K], now: Micros) -> Result<(Vec<oneshot::Receiver<Told<V>>>, bool)> {
        let mut waiting = self.waiting();
        if waiting.order.len() >= WAITING {
            return Err(Error::unavailable("too much waits to be read"));
        }
        let told = keys.iter().map(|key| waiting.ask(key, now)).collect();
        let begins = !waiting.at_work;
        waiting.at_work = true;
        Ok((told, begins))
    }

    /// Whether there is more to read; who is told that there is not stops working.
    fn go_on(&self) -> bool {
        let mut waiting = self.waiting();
        waiting.at_work = !waiting.order.is_empty();
        waiting.at_work
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<K, V>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is in memory, or else is read.
pub async fn one<K, V, S>(source: &Arc<S>, key: &K, now: Micros) -> Told<V>
where
    K: Clone + Eq + Hash + Weigh + Send + Sync + 'static,
    V: Weigh + Send + Sync + 'static,
    S: Source<K, V>,
{
    if let Some(known) = source.held().get(key, now) {
        return Ok(known);
    }
    let mut read = read(source, slice::from_ref(key), now).await?;
    read.pop()
        .ok_or_else(|| Error::corrupt("an answer was not read"))
}

/// Reads what is missing, together with what others miss; in the order of the keys. A task of its
/// own does, so that a caller who goes away breaks nothing off for others, and what was read for
/// callers without patience is there for the next.
#[expect(
    clippy::disallowed_methods,
    reason = "ends with the calls that wait for it"
)]
pub async fn read<K, V, S>(source: &Arc<S>, keys: &[K], now: Micros) -> Result<Vec<Arc<Known<V>>>>
where
    K: Clone + Eq + Hash + Weigh + Send + Sync + 'static,
    V: Weigh + Send + Sync + 'static,
    S: Source<K, V>,
{
    let (told, begins) = source.held().ask(keys, now)?;
    if begins {
        tokio::spawn(read_waiting(source.clone()));
    }
    let mut known = Vec::with_capacity(keys.len());
    for told in told {
        let over = || Error::unavailable("whoever read for others stopped");
        known.push(told.await.map_err(|_| over())??);
    }
    Ok(known)
}

#[expect(clippy::disallowed_methods, reason = "waited for")]
async fn read_waiting<K, V, S>(source: Arc<S>)
where
    K: Clone + Eq + Hash + Weigh + Send + Sync + 'static,
    V: Weigh + Send + Sync + 'static,
    S: Source<K, V>,
{
    while source.held().go_on() {
        // After a panic those who wait for it are told nothing.
        let _ = tokio::spawn(read_some(source.clone())).await;
    }
}

async fn read_some<K, V, S>(source: Arc<S>)
where
    K: Clone + Eq + Hash + Weigh + Send + Sync,
    V: Weigh + Send + Sync,
    S: Source<K, V>,
{
    let held = source.held();
    let (mut waiting, now) = held.waiting().take();
    // It may have been read since it was missed.
    waiting.retain(|key, tell| {
        let known = held.get(key, now);
        if let Some(known) = &known {
            tell_all(tell, &Ok(known.clone()));
        }
        known.is_none()
    });
    if waiting.is_empty() {
        return;
    }
    let keys: Vec<_> = waiting.keys().cloned().collect();
    for (key, told) in read_each(&*source, keys, now).await {
        if let Some(mut tell) = waiting.remove(&key) {
            tell_all(&mut tell, &told);
        }
        if let Ok(known) = told {
            held.cache.insert(key, known);
        }
    }
}

/// Reads together; where that shows a row that cannot be read, each by itself, so that one does not
/// keep the others.
async fn read_each<K: Clone + Weigh, V: Weigh>(
    source: &impl Source<K, V>,
    keys: Vec<K>,
    now: Micros,
) -> Vec<(K, Told<V>)> {
    let told = |(key, known)| (key, Ok(Arc::new(known)));
    match read_in_time(source, &keys, now).await {
        Ok(read) => read.into_iter().map(told).collect(),
        Err(error) if error.is_conflict() || error.is_unavailable() || keys.len() == 1 => {
            let each = keys.into_iter().map(|key| (key, Err(error.clone())));
            each.collect()
        }
        Err(_) => {
            let mut each = Vec::new();
            for key in keys {
                match read_in_time(source, slice::from_ref(&key), now).await {
                    Ok(read) => each.extend(read.into_iter().map(told)),
                    Err(error) => each.push((key, Err(error))),
                }
            }
            each
        }
    }
}

async fn read_in_time<K: Weigh, V: Weigh>(
    source: &impl Source<K, V>,
    keys: &[K],
    now: Micros,
) -> Result<Vec<(K, Known<V>)>> {
    let long = || Error::unavailable("answers took too long to read");
    let read = timeout(LONGEST, source.read(keys, now)).await;
    read.unwrap_or_else(|_| Err(long()))
}

fn tell_all<V>(tell: &mut Tell<V>, told: &Told<V>) {
    for tell in tell.drain(..) {
        // Who no longer waits need not know.
        let _ = tell.send(told.clone());
    }
}

#[cfg(test)]
mod tests;
