//! The contract's entry functions with their arguments.

use seal::{Address, CredentialHash, Mist, NodeName, ObjectId};

use crate::contract::Config;

/// One call of the contract. Objects are named by id; their versions are found when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Stakes and mints a seal.
    Stake {
        /// What to stake, taken from the gas coin.
        amount: Mist,
        /// The new record's key.
        hash: CredentialHash,
        /// The machine that may join by it.
        node: Option<NodeName>,
        /// A wish.
        namespace: Option<String>,
        /// In ms; 0 for the pool's default.
        validity_ms: u64,
    },
    /// Adds stake.
    Restake {
        /// The owner's `SealToken`.
        token: ObjectId,
        /// What to add, taken from the gas coin.
        amount: Mist,
    },
    /// Puts the seal under another hash.
    Refresh {
        /// The owner's `SealToken`.
        token: ObjectId,
        /// The new record's key.
        new_hash: CredentialHash,
        /// In ms; 0 for the pool's default.
        validity_ms: u64,
    },
    /// Asks for the stake.
    RequestUnstake {
        /// The owner's `SealToken`.
        token: ObjectId,
    },
    /// Takes the stake out and deletes the token.
    Withdraw {
        /// The owner's `SealToken`.
        token: ObjectId,
    },
    /// Takes a part of the stake.
    Slash {
        /// The operator's `SlashCap`.
        cap: ObjectId,
        /// Whose.
        hash: CredentialHash,
        /// Why, at most 128 bytes; public for good.
        reason: String,
    },
    /// Takes the seal away.
    Revoke {
        /// The operator's `SlashCap`.
        cap: ObjectId,
        /// Whose.
        hash: CredentialHash,
        /// Why, at most 128 bytes; public for good.
        reason: String,
    },
    /// Announces a config.
    AnnounceConfig {
        /// The `AdminCap`.
        cap: ObjectId,
        /// All of it.
        config: Config,
    },
    /// Puts the announced config in force.
    ApplyConfig {
        /// The `AdminCap`.
        cap: ObjectId,
    },
    /// Makes another `SlashCap`.
    AddSlashCap {
        /// The `AdminCap`.
        cap: ObjectId,
        /// Who gets it.
        holder: Address,
    },
    /// Makes a `SlashCap` worthless.
    RemoveSlashCap {
        /// The `AdminCap`.
        cap: ObjectId,
        /// The `SlashCap`.
        removed: ObjectId,
    },
    /// Reserves a node name.
    ReserveName {
        /// The `AdminCap`.
        cap: ObjectId,
        /// The name.
        name: NodeName,
    },
    /// Releases a reserved node name.
    UnreserveName {
        /// The `AdminCap`.
        cap: ObjectId,
        /// The name.
        name: NodeName,
    },
    /// Voids the claim of a node name.
    VoidClaim {
        /// The `AdminCap`.
        cap: ObjectId,
        /// The name.
        name: NodeName,
    },
    /// Pauses or resumes.
    SetPaused {
        /// The `AdminCap`.
        cap: ObjectId,
        /// Paused from now on.
        paused: bool,
    },
    /// Takes out of the treasury.
    WithdrawTreasury {
        /// The `AdminCap`.
        cap: ObjectId,
        /// How much.
        amount: Mist,
        /// Who gets it.
        recipient: Address,
    },
    /// Lifts the pool to the version of the package called.
    Migrate {
        /// The `AdminCap`.
        cap: ObjectId,
    },
}

impl Call {
    /// The Move function's name: metric label and log field.
    #[must_use]
    pub const fn function(&self) -> &'static str {
        match self {
            Self::Stake { .. } => "stake_and_mint_seal",
            Self::Restake { .. } => "restake",
            Self::Refresh { .. } => "refresh_seal_token",
            Self::RequestUnstake { .. } => "request_unstake",
            Self::Withdraw { .. } => "withdraw",
            Self::Slash { .. } => "slash",
            Self::Revoke { .. } => "revoke",
            Self::AnnounceConfig { .. } => "announce_config",
            Self::ApplyConfig { .. } => "apply_config",
            Self::AddSlashCap { .. } => "add_slash_cap",
            Self::RemoveSlashCap { .. } => "remove_slash_cap",
            Self::ReserveName { .. } => "reserve_name",
            Self::UnreserveName { .. } => "unreserve_name",
            Self::VoidClaim { .. } => "void_claim",
            Self::SetPaused { .. } => "set_paused",
            Self::WithdrawTreasury { .. } => "withdraw_treasury",
            Self::Migrate { .. } => "migrate",
        }
    }

    /// The owned object the call needs: the token or the cap.
    #[must_use]
    pub const fn owned_object(&self) -> Option<ObjectId> {
        match self {
            Self::Stake { .. } => None,
            Self::Restake { token, .. }
            | Self::Refresh { token, .. }
            | Self::RequestUnstake { token }
            | Self::Withdraw { token } => Some(*token),
            Self::Slash { cap, .. }
            | Self::Revoke { cap, .. }
            | Self::AnnounceConfig { cap, .. }
            | Self::ApplyConfig { cap }
            | Self::AddSlashCap { cap, .. }
            | Self::RemoveSlashCap { cap, .. }
            | Self::ReserveName { cap, .. }
            | Self::UnreserveName { cap, .. }
            | Self::VoidClaim { cap, .. }
            | Self::SetPaused { cap, .. }
            | Self::WithdrawTreasury { cap, .. }
            | Self::Migrate { cap } => Some(*cap),
        }
    }

    /// What the call takes out of the gas coin besides gas.
    #[must_use]
    pub const fn spends(&self) -> Mist {
        match self {
            Self::Stake { amount, .. } | Self::Restake { amount, .. } => *amount,
            _ => Mist(0),
        }
    }

    /// A call that takes rights away must not stand in a queue: it bids more for its gas.
    #[must_use]
    pub const fn is_urgent(&self) -> bool {
        matches!(self, Self::Slash { .. } | Self::Revoke { .. })
    }
}
