//! The calls that a transaction can make, with their arguments read.

use seal::{Address, ObjectId};
use sui_ledger::contract::{AdminCap, Config, SealTokenBcs, SlashCap};

/// One call of a public function. Coins come as their value: the caller has taken them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the arguments are those of the Move functions")]
pub enum Call {
    /// Stakes a coin on a new hash.
    StakeAndMintSeal {
        coin: u64,
        hash: Vec<u8>,
        node_id: Option<String>,
        namespace: Option<String>,
        validity_ms: u64,
    },
    /// Adds to the stake.
    Restake { token: SealTokenBcs, coin: u64 },
    /// Rotates the credential.
    RefreshSealToken {
        token: SealTokenBcs,
        new_hash: Vec<u8>,
        validity_ms: u64,
    },
    /// Ends the seal's use.
    RequestUnstake { token: SealTokenBcs },
    /// Pays the stake out.
    Withdraw { token: SealTokenBcs },
    /// Takes a part of the stake.
    Slash {
        cap: SlashCap,
        hash: Vec<u8>,
        reason: String,
    },
    /// Ends the seal's use for good.
    Revoke {
        cap: SlashCap,
        hash: Vec<u8>,
        reason: String,
    },
    /// Announces a config.
    AnnounceConfig { cap: AdminCap, config: Config },
    /// Puts the announced config into effect.
    ApplyConfig { cap: AdminCap },
    /// Makes one more `SlashCap`.
    AddSlashCap { cap: AdminCap, holder: Address },
    /// Makes a `SlashCap` worthless.
    RemoveSlashCap { cap: AdminCap, id: ObjectId },
    /// Keeps a name from being claimed.
    ReserveName { cap: AdminCap, name: String },
    /// Lets a reserved name be claimed.
    UnreserveName { cap: AdminCap, name: String },
    /// Takes a name from its owner.
    VoidClaim { cap: AdminCap, name: String },
    /// Stops or resumes mint, restake and refresh.
    SetPaused { cap: AdminCap, paused: bool },
    /// Pays out what slashes have taken.
    WithdrawTreasury {
        cap: AdminCap,
        amount: u64,
        recipient: Address,
    },
    /// Moves the pool to the package's version.
    Migrate { cap: AdminCap },
}
