use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::{sync::Semaphore, time::timeout};

use super::*;

const NOW: Micros = Micros(1_800_000_000_000_000);
const SHORT: Duration = Duration::from_millis(20);
/// A key that cannot be read.
const BROKEN: i64 = 13;

#[derive(Debug, PartialEq)]
struct Answer(i64);

impl Weigh for Answer {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// A store that reads only as often as it is let.
struct Slow {
    held: Held<i64, Answer>,
    go: Semaphore,
    reads: AtomicUsize,
}

impl Slow {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            held: Held::new(1 << 20, &Arc::default()),
            go: Semaphore::new(0),
            reads: AtomicUsize::new(0),
        })
    }

    fn let_read(&self) {
        self.go.add_permits(1);
    }
}

impl Source<i64, Answer> for Slow {
    fn held(&self) -> &Held<i64, Answer> {
        &self.held
    }

    async fn read(&self, keys: &[i64], now: Micros) -> Result<Vec<(i64, Known<Answer>)>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.go.acquire().await.unwrap().forget();
        assert!(!keys.contains(&BROKEN), "as it was told to");
        let known = |key: &i64| {
            let known = Known {
                value: Answer(*key),
                then: 0,
                marks: SmallVec::new(),
                at: now,
                until: None,
            };
            (*key, known)
        };
        Ok(keys.iter().map(known).collect())
    }
}

#[tokio::test]
async fn what_is_read_for_who_goes_away_is_there_for_who_waits_and_for_the_next() {
    let slow = Slow::new();
    timeout(SHORT, one(&slow, &1, NOW)).await.unwrap_err();
    let (second, third) = tokio::join!(one(&slow, &1, NOW), async {
        // Time for the second to ask while the first's is read.
        tokio::time::sleep(SHORT).await;
        slow.let_read();
        one(&slow, &1, NOW).await
    });
    assert_eq!(
        (&second.unwrap().value, &third.unwrap().value),
        (&Answer(1), &Answer(1))
    );
    assert_eq!(one(&slow, &1, NOW).await.unwrap().value, Answer(1));
    assert_eq!(slow.reads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn all_that_wait_meanwhile_are_read_together_and_told_in_their_order() {
    let slow = Slow::new();
    let (first, many, _) = tokio::join!(
        one(&slow, &1, NOW),
        read(&slow, &[5, 4, 5, 6], NOW),
        async {
            tokio::time::sleep(SHORT).await;
            slow.let_read();
            tokio::time::sleep(SHORT).await;
            slow.let_read();
        }
    );
    assert_eq!(first.unwrap().value, Answer(1));
    let many: Vec<_> = many.unwrap().iter().map(|known| known.value.0).collect();
    assert_eq!(many, [5, 4, 5, 6]);
    assert!(slow.reads.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn a_read_that_breaks_is_told_to_who_waits_and_the_next_are_read() {
    let slow = Slow::new();
    slow.let_read();
    let broken = one(&slow, &BROKEN, NOW).await.unwrap_err();
    assert!(broken.is_unavailable(), "{broken}");
    slow.let_read();
    let next = timeout(SHORT * 100, one(&slow, &1, NOW)).await;
    assert_eq!(next.unwrap().unwrap().value, Answer(1));
}

#[tokio::test]
async fn while_the_store_hangs_only_so_much_waits() {
    let slow = Slow::new();
    let most = i64::try_from(WAITING + TOGETHER).unwrap();
    let keys: Vec<_> = (0..=most).collect();
    let (_, more) = tokio::join!(timeout(SHORT * 5, read(&slow, &keys, NOW)), async {
        tokio::time::sleep(SHORT).await;
        timeout(LONGEST / 2, one(&slow, &-1, NOW)).await
    });
    let more = more.expect("it waits, too");
    assert!(more.unwrap_err().is_unavailable());
}
