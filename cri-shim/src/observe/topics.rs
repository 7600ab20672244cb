//! Topics of containerd's events.

macro_rules! topics {
    ($($variant:ident $label:literal),* $(,)?) => {
        /// What an event is about. A closed set: metric label.
        #[allow(missing_docs, reason = "containerd's own names")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Topic {
            $($variant,)*
            /// One that a later containerd may have.
            Other,
        }

        impl Topic {
            /// All topics.
            pub const ALL: &[Self] = &[$(Self::$variant,)* Self::Other];

            /// The value of the label.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                    Self::Other => "other",
                }
            }

            /// By the name in an event.
            #[must_use]
            pub fn of(topic: &str) -> Self {
                match topic {
                    $($label => Self::$variant,)*
                    _ => Self::Other,
                }
            }
        }
    };
}

topics! {
    ContainerCreate "/containers/create",
    ContainerUpdate "/containers/update",
    ContainerDelete "/containers/delete",
    TaskCreate "/tasks/create",
    TaskStart "/tasks/start",
    TaskExit "/tasks/exit",
    TaskOom "/tasks/oom",
    TaskDelete "/tasks/delete",
    TaskExecAdded "/tasks/exec-added",
    TaskExecStarted "/tasks/exec-started",
    TaskPaused "/tasks/paused",
    TaskResumed "/tasks/resumed",
    TaskCheckpointed "/tasks/checkpointed",
    ImageCreate "/images/create",
    ImageUpdate "/images/update",
    ImageDelete "/images/delete",
    SnapshotPrepare "/snapshot/prepare",
    SnapshotCommit "/snapshot/commit",
    SnapshotRemove "/snapshot/remove",
    ContentCreate "/content/create",
    ContentDelete "/content/delete",
}

impl Topic {
    /// Pods or containers come or go. A probe's exec tells of neither.
    pub(crate) const fn is_change(self) -> bool {
        matches!(
            self,
            Self::TaskStart | Self::TaskDelete | Self::ContainerDelete
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_its_label_or_other() {
        for topic in Topic::ALL {
            assert_eq!(Topic::of(topic.label()), *topic);
        }
        assert_eq!(Topic::of("/tasks/something-new"), Topic::Other);
        assert_eq!(Topic::of(""), Topic::Other);
        assert!(Topic::TaskStart.is_change() && !Topic::TaskExecStarted.is_change());
    }
}
