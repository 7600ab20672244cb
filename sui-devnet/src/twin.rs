//! The Move module `staking`, once more in Rust: same checks, same order, same bytes.
//!
//! Shape:  [`execute`] changes a pool and its rows and says what else happened. No I/O, no clock,
//!         no randomness: the transaction's digest, the counter of fresh ids and the time come in
//!         through [`Context`], so that every id agrees with the Move VM's.
//! Units:  MIST, ms since the epoch with 0 for none, whole percentages.
//! Errors: an [`Abort`] leaves the pool and the rows half changed; the caller throws them away,
//!         as the VM does.
//! Source: `move/LAYOUT.md`, `move/sources/staking.move`; `move/golden/` holds both to it.
//!
//! Sums can't overflow: all SUI that exist fit a `u64`, and times are bounded by the config.
//! Where arithmetic could leave its range only by a broken invariant it saturates.

mod abort;
mod admin;
mod call;
mod context;
mod genesis;
mod machine;
mod names;
mod rows;
mod seals;
mod slashing;

pub use abort::{Abort, Code};
pub use call::Call;
pub use context::{Context, Event, Made, Outcome};
pub use genesis::{Delays, Genesis, genesis};
pub use rows::{Row, RowKind, Rows};

use sui_ledger::contract::Pool;

/// The version of the package that this is the twin of.
pub const VERSION: u64 = 1;

/// Runs one call on the pool and its rows.
pub fn execute<R: Rows>(
    call: Call,
    pool: &mut Pool,
    rows: &mut R,
    context: &mut Context,
) -> Result<Outcome, Abort> {
    machine::Machine::new(pool, rows, context).run(call)
}
