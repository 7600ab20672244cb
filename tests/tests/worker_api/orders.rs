//! Stakes and their ends, on the embedded ledger.

use k3s_daas_tests::rig;
use seal::{SealStatus, SealToken};
use serde_json::json;

use super::machine::{MONTH, Machine, NODE, STAKE, WITHIN, ledger, mode, now_ms, until};
use crate::passes;

/// The figures of the JSON metrics that a machine without containerd has.
const FIGURES: [&str; 5] = [
    "cpu_usage",
    "memory_usage",
    "network_rx",
    "network_tx",
    "timestamp",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stake_by_the_workers_own_key_is_made_once() {
    passes(async {
        let devnet = ledger().await?;
        let Some(mut machine) = Machine::new("worker_api: a stake", &devnet, &[]).await? else {
            return Ok(());
        };
        machine.start().await?;
        let began_ms = now_ms();
        let staked = machine.order("staking", &machine.stake()).await?.done()?;

        assert_eq!(staked["success"], true);
        assert_eq!(staked["permissions"], json!(["join-node", "viewer"]));
        let token = staked["seal_token"].as_str().unwrap();
        let expires_at = staked["expires_at"].as_u64().unwrap();
        let valid = expires_at - began_ms;
        let month = MONTH * 1_000;
        assert!(valid.abs_diff(month) < 120_000, "ms, not {valid}");
        let record = machine.seal().await?;
        assert_eq!(
            record.node_id.as_ref().map(|node| node.as_str()),
            Some(NODE)
        );
        assert_eq!(record.owner, machine.address);
        assert_eq!(record.stake.0, STAKE);
        assert_eq!(record.expires_at.0, expires_at);
        assert_eq!(record.status, SealStatus::Active);
        let parsed = SealToken::parse(token)?;
        assert_eq!(machine.seals().await?, [parsed.credential_hash()]);
        assert_eq!(machine.token()?, token);
        assert_eq!(machine.pending(), Vec::<std::path::PathBuf>::new());
        assert!(!machine.log().contains(token), "the log holds the token");

        // Nothing is spent by the same order, by ten at once either, or with another amount.
        let balance = machine.balance().await?;
        let again =
            (0..10).map(|_| async { machine.order("staking", &machine.stake()).await?.done() });
        for again in futures::future::join_all(again).await {
            assert_eq!(again?, staked);
        }
        let mut more = machine.stake();
        more["stake_amount"] = json!((STAKE * 4).to_string());
        assert_eq!(machine.order("staking", &more).await?.done()?, staked);
        assert_eq!(machine.balance().await?, balance);
        assert_eq!(machine.seal().await?, record);

        // Nor by a worker that was started anew.
        machine.kill()?;
        machine.start().await?;
        assert_eq!(
            machine.order("staking", &machine.stake()).await?.done()?,
            staked
        );
        assert_eq!(machine.balance().await?, balance);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_orders_at_once_on_a_machine_without_a_seal_stake_once() {
    passes(async {
        let devnet = ledger().await?;
        let Some(mut machine) = Machine::new("worker_api: at once", &devnet, &[]).await? else {
            return Ok(());
        };
        machine.start().await?;
        let orders =
            (0..10).map(|_| async { machine.order("staking", &machine.stake()).await?.done() });
        let answers = futures::future::join_all(orders).await;
        let answers = answers.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        assert!(answers.windows(2).all(|two| two[0] == two[1]), "one seal");
        assert_eq!(machine.seal().await?.stake.0, STAKE);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_and_stakes_nothing() {
    passes(async {
        let devnet = ledger().await?;
        let Some(mut machine) = Machine::new("worker_api: refusals", &devnet, &[]).await? else {
            return Ok(());
        };
        machine.start().await?;
        let balance = machine.balance().await?;
        let with = |field: &str, value: serde_json::Value| {
            let mut body = machine.stake();
            body[field] = value;
            body.to_string()
        };
        let good = machine.stake().to_string();
        let other = format!("0x{}", "09".repeat(32));
        let twice = good.replacen('{', "{\"duration\":1,", 1);
        for (body, status, kind) in [
            (with("wallet", json!(other)), 403, "other-wallet"),
            (with("node_id", json!("worker-002")), 403, "other-node"),
            (String::new(), 400, "malformed-body"),
            ("{".to_owned(), 400, "malformed-body"),
            ("[]".to_owned(), 400, "malformed-body"),
            ("\u{1}\u{2}".to_owned(), 400, "malformed-body"),
            (format!("{good}{good}"), 400, "malformed-body"),
            (twice, 400, "malformed-body"),
            (with("unknown", json!(1)), 400, "malformed-body"),
            (with("duration", json!("1")), 400, "malformed-body"),
            (with("stake_amount", json!(STAKE)), 400, "malformed-body"),
            (with("stake_amount", json!("0.5")), 422, "invalid-value"),
            (with("stake_amount", json!("0")), 422, "invalid-value"),
            (with("duration", json!(0)), 422, "invalid-value"),
            (with("wallet", json!("0xone")), 422, "invalid-value"),
            (
                with("unknown", json!("x".repeat(5_000))),
                413,
                "body-too-large",
            ),
            ("[".repeat(4_000), 400, "malformed-body"),
            (
                with("stake_amount", json!("9000000000000000000")),
                409,
                "not-enough-coins",
            ),
        ] {
            let shown = body.chars().take(200).collect::<String>();
            let said = machine.own("POST", "/api/v1/staking", Some(body)).await?;
            if let Err(other) = said.is_problem(status, kind) {
                panic!("{shown}: {other:#}");
            }
        }
        let node = json!({"node_id": NODE});
        let unstaked = machine.order("unstake", &node).await?;
        unstaked.is_problem(409, "not-staked")?;
        // No cluster is configured here.
        let registered = machine.order("register", &node).await?;
        registered.is_problem(409, "not-set-up")?;
        let unread = machine.own("GET", "/api/v1/staking", None).await?;
        unread.is_problem(405, "method-not-allowed")?;
        let nothing = machine.order("nothing", &node).await?;
        nothing.is_problem(404, "not-found")?;
        assert_eq!(machine.seals().await?, []);
        assert_eq!(machine.balance().await?, balance, "nothing was paid");
        // What the contract alone can tell costs the transaction that asks it.
        for (field, value) in [("duration", json!(1)), ("stake_amount", json!("1"))] {
            let body = Some(with(field, value));
            let said = machine.own("POST", "/api/v1/staking", body).await?;
            said.is_problem(409, "contract-refused")?;
        }
        let paid = balance - machine.balance().await?;
        assert!(paid < STAKE / 10, "{paid} MIST");
        assert_eq!(machine.seals().await?, []);
        assert!(!machine.token_file().exists());
        assert_eq!(machine.pending(), Vec::<std::path::PathBuf>::new());
        // And all of that is in nobody's way.
        machine.order("staking", &machine.stake()).await?.done()?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loopback_shows_figures_to_the_seals_owner_and_takes_no_orders() {
    passes(async {
        let devnet = ledger().await?;
        let Some(mut machine) = Machine::new("worker_api: loopback", &devnet, &[]).await? else {
            return Ok(());
        };
        machine.start().await?;
        assert_eq!(mode(&machine.path("run/worker.sock"))?, 0o600);
        assert_eq!(mode(&machine.path("run"))?, 0o700);
        let health = machine.open("GET", "/health", None).await?.done()?;
        assert_eq!(health["status"], "ok");
        assert_eq!(health["mode"], "observe");
        assert_eq!(health["node_id"], NODE);
        assert_eq!(health["seal"]["state"], "unknown");
        let stranger = "ab".repeat(32);
        // Before there is a seal nobody is its owner.
        let early = machine
            .open("GET", "/api/v1/metrics", Some(&stranger))
            .await?;
        early.is_problem(401, "other-seal")?;

        let staked = machine.order("staking", &machine.stake()).await?.done()?;
        let token = staked["seal_token"].as_str().unwrap();
        for path in ["staking", "register", "unstake"] {
            for (method, bearer) in [("POST", None), ("POST", Some(token)), ("GET", None)] {
                let said = machine
                    .open(method, &format!("/api/v1/{path}"), bearer)
                    .await?;
                said.is_problem(404, "not-found")?;
            }
        }
        let metrics = "/api/v1/metrics";
        let nobody = machine.open("GET", metrics, None).await?;
        nobody.is_problem(401, "no-credential")?;
        let garbage = machine.open("GET", metrics, Some("garbage")).await?;
        garbage.is_problem(401, "no-credential")?;
        let other = machine.open("GET", metrics, Some(&stranger)).await?;
        other.is_problem(401, "other-seal")?;
        // The processors' share needs two looks.
        until("all figures", WITHIN, async || {
            let said = machine.open("GET", metrics, Some(token)).await?;
            Ok(said.status == 200 && FIGURES.iter().all(|name| said.body[name].is_number()))
        })
        .await?;
        let figures = machine.open("GET", metrics, Some(token)).await?.done()?;
        for name in figures.as_object().unwrap().keys() {
            assert!(
                FIGURES.contains(&name.as_str()),
                "without containerd: {name}"
            );
        }
        for share in ["cpu_usage", "memory_usage"] {
            let share = figures[share].as_f64().unwrap();
            assert!((0.0..=100.0).contains(&share), "{figures}");
        }
        let age = (now_ms() / 1_000).abs_diff(figures["timestamp"].as_u64().unwrap());
        assert!(age < WITHIN.as_secs(), "seconds: {figures}");
        // Root's socket shows the same.
        let own = machine.own("GET", "/health", None).await?.done()?;
        assert_eq!(own["status"], "ok");
        let usable = machine
            .health_says(|seal| seal["state"] == "usable")
            .await?;
        assert_eq!(usable["seal"]["tier"], "viewer");
        assert_eq!(usable["seal"]["expires_at"], staked["expires_at"]);
        assert_eq!(usable["containerd"], "unreachable");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seals_end_is_seen_whoever_ends_it() {
    passes(async {
        let devnet = ledger().await?;
        let key = devnet.operator.clone();
        let operator = rig::funded_wallet(&devnet.ids, &devnet.faucet_url, key).await?;
        let Some(mut slashed) = Machine::new("worker_api: ends", &devnet, &[]).await? else {
            return Ok(());
        };
        slashed.start().await?;
        let staked = slashed.order("staking", &slashed.stake()).await?.done()?;
        slashed
            .health_says(|seal| seal["state"] == "usable")
            .await?;
        let token = SealToken::parse(staked["seal_token"].as_str().unwrap())?;
        operator
            .call(&devnet.ids, &rig::slash(&devnet.ids, &token)?)
            .await?;
        let ended = slashed.health_says(|seal| seal["state"] == "ended").await?;
        assert_eq!(ended["seal"]["reason"], "slashed");
        let balance = slashed.balance().await?;
        let again = slashed.order("staking", &slashed.stake()).await?;
        again.is_problem(409, "seal-ended")?;
        assert_eq!(again.body["reason"], "slashed");
        assert_eq!(slashed.balance().await?, balance, "nothing new is staked");
        drop(slashed);

        // What the slash left is its owner's; the name is free once that is gone, so another ledger.
        let devnet = ledger().await?;
        let Some(mut machine) = Machine::new("worker_api: ends", &devnet, &[]).await? else {
            return Ok(());
        };
        machine.start().await?;
        machine.order("staking", &machine.stake()).await?.done()?;
        machine
            .health_says(|seal| seal["state"] == "usable")
            .await?;
        let unstake = json!({"node_id": NODE});
        let other = machine
            .order("unstake", &json!({"node_id": "worker-002"}))
            .await?;
        other.is_problem(403, "other-node")?;
        assert_eq!(machine.seal().await?.status, SealStatus::Active);
        let asked = machine.order("unstake", &unstake).await?.done()?;
        assert_eq!(asked["success"], true);
        let record = machine.seal().await?;
        assert_eq!(record.status, SealStatus::Unbonding);
        assert_eq!(asked["withdrawable_at"], record.unbonding_ends_at.0);
        assert_eq!(machine.order("unstake", &unstake).await?.done()?, asked);
        let ended = machine.health_says(|seal| seal["state"] == "ended").await?;
        assert_eq!(ended["seal"]["reason"], "unbonding");
        let again = machine.order("staking", &machine.stake()).await?;
        again.is_problem(409, "seal-ended")?;
        assert_eq!(again.body["reason"], "unbonding");
        Ok(())
    })
    .await;
}
