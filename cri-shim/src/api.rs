//! The worker's REST API, for the machine's operator.
//!
//! Shape:  [`private_router`] stakes, registers and unstakes, and belongs on a socket that root alone
//!         may open; [`public_router`] tells figures to whoever has the machine's seal token, and
//!         health to everybody on loopback. What an order means the caller of this crate decides, by
//!         [`Staking`] and [`Registering`].
//! Units:  `stake_amount` is MIST as a decimal string, `duration` seconds, `expires_at` ms since the
//!         epoch; `timestamp` of figures is seconds.
//! Errors: `application/problem+json` (RFC 9457), one of a closed set of types ([`WorkError`] and
//!         what the transport refuses); none ever holds a token or a piece of a body.
//! Trust:  pods in the machine's own network reach loopback ports: nothing there changes anything.

mod body;
mod health;
mod orders;
mod problem;
mod service;
mod usage;

pub use body::{read_register, read_staking, read_unstake};
pub use orders::{
    Capacity, Joined, MachineOrder, Registering, StakeOrder, Staked, Staking, Unstaked, WorkError,
    permissions,
};
pub use service::{Open, Private, private_router, public_router};
