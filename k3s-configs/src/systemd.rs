//! The systemd units: the webhooks, and K3s's order after them.

use crate::settings::SystemdUnits;
use crate::unit;

/// The webhooks' unit.
pub(crate) fn service(units: &SystemdUnits) -> String {
    let SystemdUnits {
        binary,
        configuration,
        user,
    } = units;
    let (binary, configuration) = (unit::word(binary), unit::argument(configuration));
    format!(
        "# The webhooks that K3s asks who a token belongs to and what it may do.
[Unit]
Description=K3s-DaaS webhooks
Wants=network-online.target
After=network-online.target
# Up when K3s asks its first question. K3s starts without it too: seal users wait, nodes go on.
Before=k3s.service
# Never give up: without it nobody who holds a seal gets in.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={binary} server --config {configuration}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1s
User={user}
StateDirectory=k3s-daas
StateDirectoryMode=0700
UMask=0077
LimitNOFILE=65536
# The process holds the keys of the webhooks' certificate and of the cluster's admin.
LimitCORE=0
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"
    )
}

/// What K3s's own unit gains.
pub(crate) fn k3s_drop_in() -> String {
    "# K3s starts after the webhooks, and without them if need be.
[Unit]
Wants=k3s-daas.service
After=k3s-daas.service
"
    .to_owned()
}
