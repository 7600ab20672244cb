//! A call as the metrics see it, from its headers to its end.

use std::time::Instant;

use crate::grpc::Code;
use crate::methods::Method;
use crate::metrics::{InFlight, ShimMetrics};

/// A call under way. Dropped before its end it was given up by its caller.
#[derive(Debug)]
pub(super) struct Tally {
    metrics: ShimMetrics,
    method: Method,
    began: Instant,
    _in_flight: InFlight,
    ended: bool,
}

impl Tally {
    pub(super) fn begin(metrics: &ShimMetrics, method: Method) -> Self {
        Self {
            metrics: metrics.clone(),
            method,
            began: Instant::now(),
            _in_flight: metrics.call(method),
            ended: false,
        }
    }

    pub(super) fn end(mut self, code: Code) {
        self.ended = true;
        self.metrics.called(self.method, code, self.began.elapsed());
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if !self.ended {
            let took = self.began.elapsed();
            self.metrics.called(self.method, Code::Cancelled, took);
        }
    }
}
