//! What containerd's own API knows of the same containers.
//!
//! Shape:  tasks and their metrics of one namespace, for what CRI does not tell: process numbers
//!         without a question for each, and disk I/O without a look at the control groups.
//! Units:  as in [`super::facts`].

use std::collections::HashMap;

use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{ListTasksRequest, MetricsRequest};
use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::cri::MOST_ANSWER;
use super::facts::Figures;
use super::snapshot::Io;

/// Where CRI keeps its containers.
pub(crate) const NAMESPACE: &str = "k8s.io";

/// By container or sandbox.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TaskFacts {
    pub(crate) pids: HashMap<String, u32>,
    pub(crate) figures: HashMap<String, Figures>,
}

/// The tasks service.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    client: TasksClient<Channel>,
}

impl Tasks {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            client: TasksClient::new(channel).max_decoding_message_size(MOST_ANSWER),
        }
    }

    pub(crate) async fn facts(&mut self) -> Result<TaskFacts, Status> {
        let tasks = self
            .client
            .list(within(ListTasksRequest::default()))
            .await?
            .into_inner()
            .tasks;
        let metrics = self
            .client
            .metrics(within(MetricsRequest::default()))
            .await?
            .into_inner()
            .metrics;
        // A task without an exec id is the container itself.
        let pids = tasks
            .into_iter()
            .filter(|task| task.pid > 0)
            .map(|task| {
                (
                    if task.container_id.is_empty() {
                        task.id
                    } else {
                        task.container_id
                    },
                    task.pid,
                )
            })
            .collect();
        let figures = metrics
            .into_iter()
            .filter_map(|one| {
                let data = one.data?;
                Some((one.id, figures(&data.type_url, &data.value)?))
            })
            .collect();
        Ok(TaskFacts { pids, figures })
    }
}

fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(
        "containerd-namespace",
        MetadataValue::from_static(NAMESPACE),
    );
    request
}

/// containerd's own messages of either control group version.
pub(crate) fn figures(kind: &str, bytes: &[u8]) -> Option<Figures> {
    match kind.rsplit('/').next()? {
        "io.containerd.cgroups.v1.Metrics" => MetricsV1::decode(bytes).ok().map(Figures::from),
        "io.containerd.cgroups.v2.Metrics" => MetricsV2::decode(bytes).ok().map(Figures::from),
        _ => None,
    }
}

// The fields that are read; others are skipped.

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetricsV1 {
    #[prost(message, optional, tag = "3")]
    cpu: Option<CpuV1>,
    #[prost(message, optional, tag = "4")]
    memory: Option<MemoryV1>,
    #[prost(message, optional, tag = "5")]
    blkio: Option<BlkioV1>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CpuV1 {
    #[prost(message, optional, tag = "1")]
    usage: Option<CpuUsageV1>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CpuUsageV1 {
    #[prost(uint64, tag = "1")]
    total: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MemoryV1 {
    #[prost(uint64, tag = "29")]
    total_inactive_file: u64,
    #[prost(message, optional, tag = "33")]
    usage: Option<MemoryEntryV1>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MemoryEntryV1 {
    #[prost(uint64, tag = "2")]
    usage: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BlkioV1 {
    #[prost(message, repeated, tag = "1")]
    io_service_bytes_recursive: Vec<BlkioEntryV1>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BlkioEntryV1 {
    #[prost(string, tag = "1")]
    op: String,
    #[prost(uint64, tag = "5")]
    value: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetricsV2 {
    #[prost(message, optional, tag = "2")]
    cpu: Option<CpuV2>,
    #[prost(message, optional, tag = "4")]
    memory: Option<MemoryV2>,
    #[prost(message, optional, tag = "6")]
    io: Option<IoV2>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CpuV2 {
    #[prost(uint64, tag = "1")]
    usage_usec: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MemoryV2 {
    #[prost(uint64, tag = "13")]
    inactive_file: u64,
    #[prost(uint64, tag = "32")]
    usage: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct IoV2 {
    #[prost(message, repeated, tag = "1")]
    usage: Vec<IoEntryV2>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct IoEntryV2 {
    #[prost(uint64, tag = "3")]
    rbytes: u64,
    #[prost(uint64, tag = "4")]
    wbytes: u64,
}

impl From<MetricsV1> for Figures {
    fn from(metrics: MetricsV1) -> Self {
        let memory = metrics.memory.and_then(|memory| {
            Some(
                memory
                    .usage?
                    .usage
                    .saturating_sub(memory.total_inactive_file),
            )
        });
        // No rows, no 0: see the control groups' own reader.
        let rows = metrics
            .blkio
            .map(|blkio| blkio.io_service_bytes_recursive)
            .unwrap_or_default();
        let of = |name: &str| {
            rows.iter()
                .filter(|row| row.op.eq_ignore_ascii_case(name))
                .fold(0_u64, |sum, row| sum.saturating_add(row.value))
        };
        Self {
            cpu: metrics
                .cpu
                .and_then(|cpu| cpu.usage)
                .map(|usage| usage.total),
            memory,
            layer: None,
            io: (!rows.is_empty()).then(|| Io {
                read: of("read"),
                written: of("write"),
            }),
        }
    }
}

impl From<MetricsV2> for Figures {
    fn from(metrics: MetricsV2) -> Self {
        let memory = metrics
            .memory
            .map(|one| one.usage.saturating_sub(one.inactive_file));
        let io = metrics.io.map(|io| {
            io.usage
                .iter()
                .map(|disk| Io {
                    read: disk.rbytes,
                    written: disk.wbytes,
                })
                .fold(Io::default(), Io::plus)
        });
        Self {
            cpu: metrics.cpu.map(|cpu| cpu.usage_usec.saturating_mul(1000)),
            memory,
            layer: None,
            io,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V1: &str = "io.containerd.cgroups.v1.Metrics";
    const V2: &str = "io.containerd.cgroups.v2.Metrics";

    #[test]
    fn reads_both_versions() {
        let entry = |op: &str, value| BlkioEntryV1 {
            op: op.into(),
            value,
        };
        let v1 = MetricsV1 {
            cpu: Some(CpuV1 {
                usage: Some(CpuUsageV1 { total: 12_345 }),
            }),
            memory: Some(MemoryV1 {
                total_inactive_file: 30,
                usage: Some(MemoryEntryV1 { usage: 100 }),
            }),
            blkio: Some(BlkioV1 {
                io_service_bytes_recursive: vec![
                    entry("read", 1),
                    entry("write", 2),
                    entry("sync", 9),
                    entry("Read", 10),
                ],
            }),
        };
        let io = Some(Io {
            read: 11,
            written: 2,
        });
        assert_eq!(
            figures(V1, &v1.encode_to_vec()),
            Some(Figures {
                cpu: Some(12_345),
                memory: Some(70),
                layer: None,
                io
            })
        );
        let idle = MetricsV1 {
            blkio: Some(BlkioV1::default()),
            ..MetricsV1::default()
        };
        assert_eq!(figures(V1, &idle.encode_to_vec()), Some(Figures::default()));

        let v2 = MetricsV2 {
            cpu: Some(CpuV2 { usage_usec: 5 }),
            memory: Some(MemoryV2 {
                inactive_file: 200,
                usage: 100,
            }),
            io: Some(IoV2 {
                usage: vec![
                    IoEntryV2 {
                        rbytes: 11,
                        wbytes: 1,
                    },
                    IoEntryV2 {
                        rbytes: 0,
                        wbytes: 1,
                    },
                ],
            }),
        };
        assert_eq!(
            figures(&format!("types.googleapis.com/{V2}"), &v2.encode_to_vec()),
            Some(Figures {
                cpu: Some(5000),
                memory: Some(0),
                layer: None,
                io
            })
        );
        assert_eq!(figures("something.else", &v2.encode_to_vec()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = figures(V1, &bytes);
            let _ = figures(V2, &bytes);
        }
    }
}
