//! `[limits]` and `[store]`: how much at once, how large, how long.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::value::Whole;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    concurrency: Whole<1, 100_000>,
    queue: Whole<0, 100_000>,
    queue_millis: Whole<1, 10_000>,
    caller_calls_per_second: Whole<0, 1_000_000>,
    caller_burst: Whole<1, 1_000_000>,
    viewer_taps_per_minute: Whole<0, 1_000_000>,
    connections: Whole<1, 100_000>,
    connections_per_ip: Whole<1, 100_000>,
    max_concurrent_streams: Whole<1, 10_000>,
    max_request_bytes: Whole<1024, 67_108_864>,
    max_response_bytes: Whole<1024, 67_108_864>,
    deadline_seconds: Whole<1, 600>,
    connection_age_seconds: Whole<1, 86_400>,
    drain_seconds: Whole<1, 3600>,
    shutdown_delay_seconds: Whole<0, 600>,
}

impl Limits {
    /// Calls at once that wait for the store, over all connections.
    pub fn concurrency(&self) -> usize {
        self.concurrency.count()
    }
    /// Calls that wait for a place.
    pub fn queue(&self) -> usize {
        self.queue.count()
    }
    /// How long a call waits for a place, or one from memory for a processor.
    pub fn queue_time(&self) -> Duration {
        Duration::from_millis(self.queue_millis.get())
    }
    /// Calls of one caller, a second and at once; 0 a second for no limit.
    pub fn caller(&self) -> (u32, u32) {
        let [each_second, burst] = [self.caller_calls_per_second.get(), self.caller_burst.get()]
            .map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        (each_second, burst)
    }
    /// Taps of one viewer; 0 for no limit.
    pub fn viewer_taps_per_minute(&self) -> u32 {
        u32::try_from(self.viewer_taps_per_minute.get()).unwrap_or(u32::MAX)
    }
    /// Open connections.
    pub fn connections(&self) -> usize {
        self.connections.count()
    }
    /// Open connections of one IP address.
    pub fn connections_per_ip(&self) -> usize {
        self.connections_per_ip.count()
    }
    /// Calls at once on one connection.
    pub fn max_concurrent_streams(&self) -> u32 {
        u32::try_from(self.max_concurrent_streams.get()).unwrap_or(u32::MAX)
    }
    pub fn max_request_bytes(&self) -> usize {
        self.max_request_bytes.count()
    }
    pub fn max_response_bytes(&self) -> usize {
        self.max_response_bytes.count()
    }
    /// The longest a call may take.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_seconds.get())
    }
    /// The age at which a connection is asked to go.
    pub fn connection_age(&self) -> Duration {
        Duration::from_secs(self.connection_age_seconds.get())
    }
    /// What calls in flight have at shutdown.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.get())
    }
    /// From NOT_SERVING to the end of accepting.
    pub fn shutdown_delay(&self) -> Duration {
        Duration::from_secs(self.shutdown_delay_seconds.get())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    max_connections: Whole<1, 1000>,
    acquire_timeout_millis: Whole<1, 60_000>,
    statement_timeout_millis: Whole<1, 600_000>,
}

impl Store {
    pub fn max_connections(&self) -> u32 {
        u32::try_from(self.max_connections.get()).unwrap_or(u32::MAX)
    }
    /// How long a call waits for a connection.
    pub fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_millis.get())
    }
    /// The longest one statement may take.
    pub fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_millis.get())
    }
}
