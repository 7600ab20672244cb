//! Workers that are killed while they stake: in the end one seal, and its token in its place.

use std::time::{Duration, Instant};

use anyhow::ensure;
use seal::SealToken;
use serde_json::{Value, json};

use super::machine::{Machine, STAKE, WITHIN, ledger, until};
use crate::passes;

/// Far longer than a transaction takes on the embedded ledger.
const EXECUTED_AFTER: Duration = Duration::from_secs(3);
/// How many workers are killed at no moment in particular.
const KILLS: u64 = 20;
/// How much later each of them.
const STEP: Duration = Duration::from_millis(12);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_the_transaction_was_executed() {
    passes(async {
        let devnet = ledger().await?;
        let Some(mut machine) = Machine::new("worker_api: executed", &devnet, &[]).await? else {
            return Ok(());
        };
        machine.start().await?;
        // It is executed, and no reader sees that yet: the worker has to wait.
        devnet.faults.hold_reads_at(Some(machine.height().await?));
        let began = Instant::now();
        killed(&mut machine, async |machine| {
            Ok(machine.pending().len() == 1 && began.elapsed() > EXECUTED_AFTER)
        })
        .await?;
        assert_eq!(machine.pending().len(), 1);
        assert!(!machine.token_file().exists(), "it saw what nobody sees");
        devnet.faults.hold_reads_at(None);
        let executed = async || Ok(machine.seals().await?.len() == 1);
        until("its stake is on chain", WITHIN, executed).await?;
        ends_with_one(&mut machine).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_the_transaction_waits() {
    passes(async {
        let devnet = ledger().await?;
        let Some(mut machine) = Machine::new("worker_api: waits", &devnet, &[]).await? else {
            return Ok(());
        };
        machine.start().await?;
        devnet.faults.stall(true);
        killed(&mut machine, async |machine| {
            Ok(machine.pending().len() == 1)
        })
        .await?;
        let [pending] = &machine.pending()[..] else {
            panic!("it was killed before it was through");
        };
        let kept = std::fs::read_to_string(pending)?;
        assert!(!machine.token_file().exists());
        machine.start().await?;
        // Nobody can know yet whether it comes.
        let early = machine.order("staking", &machine.stake()).await?;
        early.is_problem(503, "outcome-unknown")?;
        devnet.faults.stall(false);
        ends_with_one(&mut machine).await?;
        let token = machine.token()?;
        assert_eq!(
            kept.lines().next(),
            Some(token.as_str()),
            "the one that was paid for"
        );
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment() {
    passes(async {
        let devnet = ledger().await?;
        let mut seen = [0; 3];
        for turn in 0..KILLS {
            let test = "worker_api: any moment";
            let Some(mut machine) = Machine::new(test, &devnet, &[]).await? else {
                return Ok(());
            };
            // One ledger for all: names are held once.
            machine.rename(&format!("worker-{turn:03}"))?;
            machine.start().await?;
            let wait = STEP * u32::try_from(turn)?;
            {
                let stake = machine.stake();
                let order = machine.order("staking", &stake);
                let _cut = tokio::time::timeout(wait, order).await;
            }
            machine.kill()?;
            let kept = usize::from(!machine.pending().is_empty());
            let placed = 2 * usize::from(machine.token_file().exists());
            seen[kept.max(placed)] += 1;
            ends_with_one(&mut machine).await?;
        }
        println!("killed before, while and after staking: {seen:?}");
        Ok(())
    })
    .await;
}

/// Orders a stake and kills the worker as soon as it is so.
async fn killed(
    machine: &mut Machine,
    so: impl AsyncFn(&Machine) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    {
        let stake = machine.stake();
        let order = machine.order("staking", &stake);
        let moment = until("the moment of the kill", WITHIN, async || so(machine).await);
        tokio::select! {
            said = order => {
                // The worker may give up on its answer first; what it keeps is the same.
                ensure!(said?.status == 503, "not answered at all, or that it is unknown");
            }
            moment = moment => moment?,
        }
    }
    machine.kill()
}

/// Starts it again and repeats the order until it is carried out.
async fn ends_with_one(machine: &mut Machine) -> anyhow::Result<()> {
    if !machine.runs() {
        machine.start().await?;
    }
    let began = Instant::now();
    let staked = loop {
        let said = machine.order("staking", &machine.stake()).await?;
        if said.status == 200 {
            break said.done()?;
        }
        said.is_problem(503, "outcome-unknown")?;
        // A transaction that was never sent is one that may come for ten minutes.
        if began.elapsed() > Duration::from_secs(2) && machine.seals().await?.is_empty() {
            machine.kill()?;
            grow_old(machine)?;
            machine.start().await?;
        }
        ensure!(began.elapsed() < WITHIN, "{said:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let token = SealToken::parse(staked["seal_token"].as_str().unwrap_or_default())?;
    ensure!(
        machine.seals().await? == [token.credential_hash()],
        "one seal"
    );
    ensure!(machine.seal().await?.stake.0 == STAKE);
    ensure!(machine.token()? == token.reveal().as_str());
    ensure!(machine.pending().is_empty(), "{:?}", machine.pending());
    let again = machine.order("staking", &machine.stake()).await?.done()?;
    ensure!(again == staked);
    ensure!(machine.seals().await?.len() == 1);
    Ok(())
}

/// As if ten minutes had gone.
fn grow_old(machine: &Machine) -> anyhow::Result<()> {
    for path in machine.pending() {
        let text = std::fs::read_to_string(&path)?;
        let (token, rest) = text.split_once('\n').unwrap_or_default();
        let mut what: Value = serde_json::from_str(rest)?;
        let since = what["since"].as_u64().unwrap_or_default();
        ensure!(since > 0, "{what}");
        what["since"] = json!(since - 11 * 60 * 1_000);
        std::fs::write(&path, format!("{token}\n{what}\n"))?;
    }
    Ok(())
}
