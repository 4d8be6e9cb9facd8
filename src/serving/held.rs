//! Answers of one kind that are kept in memory: found at once, or read from the store together
//! with all that others miss at that moment.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use quick_cache::{Equivalent, Weighter, sync::Cache};
use tokio::sync::{
    Mutex as Seat,
    oneshot::{self, error::RecvError},
};

use crate::{
    domain::Micros,
    store::{Error, Mark, Marks, Result},
};

/// Keys that are read together.
const TOGETHER: usize = 256;
/// Tries to read, where others who read go away.
const TRIES: usize = 5;
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
    /// What it depends on.
    pub marks: Box<[Mark]>,
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
        let marks = size_of_val(&*known.marks);
        OVERHEAD + (key.bytes() + known.value.bytes() + marks) as u64
    }
}

/// Where answers are read.
pub trait Source<K, V> {
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
}

impl<K: Clone + Eq + Hash, V> Waiting<K, V> {
    fn new() -> Self {
        Self {
            of: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    fn ask(&mut self, key: &K) -> oneshot::Receiver<Told<V>> {
        let (tell, told) = oneshot::channel();
        let of = self.of.entry(key.clone()).or_default();
        if of.is_empty() {
            self.order.push_back(key.clone());
        }
        of.push(tell);
        told
    }

    /// Takes the next keys that somebody still waits for.
    fn take(&mut self) -> HashMap<K, Tell<V>> {
        let mut taken = HashMap::new();
        while taken.len() < TOGETHER
            && let Some(key) = self.order.pop_front()
        {
            let mut tell = self.of.remove(&key).unwrap_or_default();
            tell.retain(|tell| !tell.is_closed());
            if !tell.is_empty() {
                taken.insert(key, tell);
            }
        }
        taken
    }
}

/// The answers, by key.
#[derive(Debug)]
pub struct Held<K: Weigh, V: Weigh> {
    cache: Cache<K, Arc<Known<V>>, Bytes>,
    marks: Arc<Marks>,
    /// Missed, and yet to be read.
    waiting: Mutex<Waiting<K, V>>,
    /// Who sits here reads for all that wait: one at a time, so nothing is read twice.
    seat: Seat<()>,
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
            seat: Seat::default(),
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

    /// What is in memory, or else is read.
    pub async fn one(&self, key: &K, source: &impl Source<K, V>, now: Micros) -> Told<V> {
        if let Some(known) = self.get(key, now) {
            return Ok(known);
        }
        let mut read = self.read(vec![key.clone()], source, now).await?;
        read.pop()
            .ok_or_else(|| Error::corrupt("an answer was not read"))
    }

    /// Reads what is missing, together with what others miss; in the order of the keys.
    pub async fn read(
        &self,
        keys: Vec<K>,
        source: &impl Source<K, V>,
        now: Micros,
    ) -> Result<Vec<Arc<Known<V>>>> {
        let mut known: HashMap<K, Arc<Known<V>>> = HashMap::new();
        for _ in 0..TRIES {
            let missing = keys.iter().filter(|key| !known.contains_key(*key));
            let missing: Vec<_> = missing.cloned().collect();
            if missing.is_empty() {
                break;
            }
            let told = self.ask_and_read(&missing, source, now).await;
            for (key, told) in missing.into_iter().zip(told) {
                // Else whoever read for us went away, or read for an earlier moment.
                if let Ok(read) = told {
                    let read = read?;
                    if read.is_of(now) {
                        known.insert(key, read);
                    }
                }
            }
        }
        let gone = || Error::conflict("those who read went away");
        let known = keys
            .iter()
            .map(|key| known.get(key).cloned().ok_or_else(gone));
        known.collect()
    }

    async fn ask_and_read(
        &self,
        keys: &[K],
        source: &impl Source<K, V>,
        now: Micros,
    ) -> Vec<Result<Told<V>, RecvError>> {
        let mine: Vec<_> = {
            let mut waiting = self.waiting();
            keys.iter().map(|key| waiting.ask(key)).collect()
        };
        let mut mine = join_all(mine);
        loop {
            let _seat = tokio::select! {
                biased;
                told = &mut mine => return told,
                seat = self.seat.lock() => seat,
            };
            self.read_waiting(source, now).await;
        }
    }

    async fn read_waiting(&self, source: &impl Source<K, V>, now: Micros) {
        let mut waiting = self.waiting().take();
        // Who sat here before may have read it.
        waiting.retain(|key, tell| {
            let known = self.get(key, now);
            if let Some(known) = &known {
                tell_all(tell, &Ok(known.clone()));
            }
            known.is_none()
        });
        if waiting.is_empty() {
            return;
        }
        let keys: Vec<_> = waiting.keys().cloned().collect();
        for (key, told) in read_each(source, keys, now).await {
            if let Some(mut tell) = waiting.remove(&key) {
                tell_all(&mut tell, &told);
            }
            if let Ok(known) = told {
                self.cache.insert(key, known);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<K, V>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads together; where that shows a row that cannot be read, each by itself, so that one does not
/// keep the others.
async fn read_each<K: Clone, V>(
    source: &impl Source<K, V>,
    keys: Vec<K>,
    now: Micros,
) -> Vec<(K, Told<V>)> {
    let told = |(key, known)| (key, Ok(Arc::new(known)));
    match source.read(&keys, now).await {
        Ok(read) => read.into_iter().map(told).collect(),
        Err(error) if error.is_conflict() || error.is_unavailable() || keys.len() == 1 => {
            let each = keys.into_iter().map(|key| (key, Err(error.clone())));
            each.collect()
        }
        Err(_) => {
            let mut each = Vec::new();
            for key in keys {
                match source.read(slice::from_ref(&key), now).await {
                    Ok(read) => each.extend(read.into_iter().map(told)),
                    Err(error) => each.push((key, Err(error))),
                }
            }
            each
        }
    }
}

fn tell_all<V>(tell: &mut Tell<V>, told: &Told<V>) {
    for tell in tell.drain(..) {
        // Who no longer waits need not know.
        let _ = tell.send(told.clone());
    }
}
