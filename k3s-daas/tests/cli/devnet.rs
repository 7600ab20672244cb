//! The life of a seal on the embedded ledger, by the built program.

use crate::program::{Program, mode};
use sui_devnet::{Devnet, DevnetConfig, RunningDevnet};

/// A ledger and a program that knows it, with a funded wallet.
struct World {
    program: Program,
    devnet: Option<RunningDevnet>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let devnet = runtime
            .block_on(Devnet::start(DevnetConfig::for_tests()))
            .unwrap();
        let mut program = Program::new();
        devnet.ids.save(&program.path("contract.toml")).unwrap();
        for (key, file) in [("CONTRACT", "contract.toml"), ("SEALS_DIR", "seals")] {
            let path = program.path(file).display().to_string();
            program.env.push((format!("K3S_DAAS_{key}"), path));
        }
        program.run(&["wallet", "new"]).ok();
        program
            .run(&["wallet", "faucet", "20", "--faucet", &devnet.faucet_url])
            .ok();
        Self {
            program,
            devnet: Some(devnet),
            runtime,
        }
    }

    fn devnet(&self) -> &RunningDevnet {
        self.devnet.as_ref().unwrap()
    }

    /// Runs as the operator, who holds the SlashCap.
    fn as_operator(&self, args: &[&str]) -> crate::program::Answer {
        let keystore = self.program.path("operator.keystore");
        if !keystore.exists() {
            sui_ledger::keystore::create(&keystore, &self.devnet().operator).unwrap();
            let keystore = keystore.to_str().unwrap();
            let faucet = &self.devnet().faucet_url;
            self.program
                .run(&[
                    "wallet",
                    "faucet",
                    "20",
                    "--faucet",
                    faucet,
                    "--keystore",
                    keystore,
                ])
                .ok();
        }
        let keystore = keystore.to_str().unwrap();
        self.program
            .run(&[args, &["--keystore", keystore, "-o", "json"]].concat())
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        self.program
            .run(&[args, &["-o", "json"]].concat())
            .ok()
            .json()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(devnet) = self.devnet.take() {
            self.runtime.block_on(devnet.shutdown());
        }
    }
}

#[test]
fn a_seal_is_staked_restaked_refreshed_slashed_and_unstaked() {
    let world = World::new();
    let staked = world.json(&["stake", "0.5", "--name", "mine"]);
    assert_eq!(
        (&staked["tier"], &staked["usable"]),
        (&"viewer".into(), &true.into())
    );
    assert!(staked["namespace"].is_null(), "a viewer has none: {staked}");
    let file = world.program.path("seals/mine.token");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&world.program.path("seals")), 0o700);
    let token = std::fs::read_to_string(&file).unwrap();
    let derived = world
        .program
        .run_with(&["seal", "derive"], &token)
        .ok()
        .json();
    assert_eq!(derived["credential_hash"], staked["credential_hash"]);
    assert!(
        !staked.to_string().contains(token.trim()),
        "the token is in its file alone"
    );

    let raised = world.json(&["restake", "1.5", "--name", "mine"]);
    assert_eq!(
        (&raised["tier"], &raised["stake"]),
        (&"developer".into(), &"2".into())
    );
    let home = raised["namespace"].as_str().unwrap();
    assert!(home.starts_with("seal-"), "{home}");

    let refreshed = world.json(&["refresh", "--name", "mine"]);
    let old = staked["credential_hash"].as_str().unwrap();
    assert_ne!(refreshed["credential_hash"], staked["credential_hash"]);
    assert_ne!(
        std::fs::read_to_string(&file).unwrap(),
        token,
        "the new token takes the place"
    );
    assert_eq!(mode(&file), 0o600);
    let retired = world.json(&["seal", "show", "--hash", old]);
    assert_eq!(
        (&retired["status"], &retired["usable"]),
        (&"retired".into(), &false.into())
    );

    let hash = refreshed["credential_hash"].as_str().unwrap();
    let slashed = world
        .as_operator(&["slash", hash, "--reason", "a test"])
        .ok()
        .json();
    assert_eq!(
        (&slashed["status"], &slashed["stake"]),
        (&"slashed".into(), &"1.8".into())
    );
    let restored = world.json(&["restake", "0.2", "--name", "mine"]);
    assert_eq!(
        (&restored["status"], &restored["usable"]),
        (&"active".into(), &true.into())
    );
    let revoked = world
        .as_operator(&["revoke", hash, "--reason", "a test"])
        .ok()
        .json();
    assert_eq!(revoked["status"], "revoked");

    let leaving = world.json(&["unstake", "--name", "mine"]);
    assert_eq!(leaving["status"], "unbonding");
    let early = world.program.run(&["withdraw", "--name", "mine"]);
    assert_eq!(early.code, 3, "{}", early.stderr);
    assert!(early.stderr.contains("EStillUnbonding"), "{}", early.stderr);

    let listed = world.json(&["seal", "list"]);
    assert_eq!(listed["seals"].as_array().unwrap().len(), 1);
    assert_eq!(listed["seals"][0]["token_file"], file.to_str().unwrap());
    assert!(
        listed["unfinished"].as_array().unwrap().is_empty(),
        "nothing is left pending"
    );
}

#[test]
fn what_the_contract_refuses_is_code_3_and_leaves_no_token_behind() {
    let world = World::new();
    let refused = world
        .program
        .run(&["stake", "0.499999999", "--name", "mine"]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("EStakeTooLow"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("next step: stake at least"),
        "{}",
        refused.stderr
    );
    assert!(!world.program.path("seals/mine.token").exists());
    assert_eq!(
        std::fs::read_dir(world.program.path("seals/pending"))
            .unwrap()
            .count(),
        0
    );

    world.program.run(&["stake", "2", "--name", "mine"]).ok();
    let hash = world.json(&["seal", "show", "--name", "mine"])["credential_hash"].clone();
    let refused = world
        .program
        .run(&["slash", hash.as_str().unwrap(), "--reason", "mine"]);
    assert_eq!(
        refused.code, 3,
        "only the holder of the cap: {}",
        refused.stderr
    );
    let refused = world.as_operator(&["restake", "1", "--hash", hash.as_str().unwrap()]);
    assert_eq!(refused.code, 3, "only the owner: {}", refused.stderr);
}

#[test]
fn a_token_is_never_overwritten_and_nothing_is_paid_for_that() {
    let world = World::new();
    world.program.run(&["stake", "0.5", "--name", "mine"]).ok();
    let token = std::fs::read(world.program.path("seals/mine.token")).unwrap();
    let refused = world.program.run(&["stake", "0.5", "--name", "mine"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert_eq!(
        std::fs::read(world.program.path("seals/mine.token")).unwrap(),
        token
    );
    assert_eq!(
        world.json(&["seal", "list"])["seals"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_printed_token_is_the_whole_answer_and_lies_in_no_file() {
    let world = World::new();
    let printed = world
        .program
        .run(&["stake", "0.5", "--print-token"])
        .ok()
        .stdout;
    assert_eq!(printed.trim().len(), 64);
    let shown = world
        .program
        .run_with(
            &["seal", "show", "--token-file", "-", "-o", "json"],
            &printed,
        )
        .ok();
    assert_eq!(shown.json()["tier"], "viewer");
    for entry in std::fs::read_dir(world.program.path("seals")).unwrap() {
        let path = entry.unwrap().path();
        assert!(
            path.is_dir() && std::fs::read_dir(&path).unwrap().count() == 0,
            "{path:?}"
        );
    }
}

#[test]
fn a_paid_stake_survives_a_crash_between_the_transaction_and_the_file() {
    use k3s_daas::chain::{Chain, NewSeal};
    use k3s_daas::seals::{Pending, Purpose, Seals, new_token, now};

    let world = World::new();
    let folder = world.program.path("seals");
    let seals = Seals::new(&folder);
    let keystore = world.program.path(".sui/sui_config/sui.keystore");
    let keys = sui_ledger::keystore::Keystore::load(&keystore).unwrap();
    let key = keys.only_key().unwrap().clone();
    let keep = |name: &str, since| {
        let token = new_token().unwrap();
        let hash = token.credential_hash();
        let pending = Pending {
            hash: hash.to_string(),
            owner: key.address(),
            destination: seals.path(Some(name), &hash),
            purpose: Purpose::Stake,
            since,
        };
        seals.prepare(&pending.destination).unwrap();
        seals.keep_pending(&token, &pending).unwrap();
        hash
    };
    // One that was executed before the crash, one that never was, one that still may be.
    let hash = keep("executed", now());
    keep("lost", seal::UnixMillis(1));
    keep("waiting", now());
    world.runtime.block_on(async {
        let chain = Chain::open_at(&world.program.path("contract.toml")).unwrap();
        let chain = chain.with_wallet(key.clone());
        let seal = NewSeal {
            amount: seal::Mist(500_000_000),
            hash,
            node_id: None,
            namespace: None,
            validity_ms: 0,
        };
        chain
            .stake(&seal)
            .await
            .map_err(|failure| format!("{failure:?}"))
            .unwrap();
    });

    let found = |listing: &serde_json::Value| {
        let all = listing["unfinished"].as_array().unwrap();
        let mut found: Vec<String> = all
            .iter()
            .map(|one| {
                let place = one["destination"]
                    .as_str()
                    .unwrap()
                    .rsplit('/')
                    .next()
                    .unwrap();
                format!("{place} {}", one["found"].as_str().unwrap())
            })
            .collect();
        found.sort();
        found
    };
    let expected = [
        "executed.token minted",
        "lost.token stale",
        "waiting.token waiting",
    ];
    assert_eq!(found(&world.json(&["seal", "list"])), expected);
    let expected = [
        "executed.token recovered",
        "lost.token removed",
        "waiting.token waiting",
    ];
    assert_eq!(found(&world.json(&["seal", "list", "--recover"])), expected);
    assert_eq!(
        found(&world.json(&["seal", "list"])),
        ["waiting.token waiting"]
    );
    let shown = world.json(&["seal", "show", "--name", "executed"]);
    assert_eq!(shown["credential_hash"], hash.to_string());
    assert_eq!(mode(&folder.join("executed.token")), 0o600);
}

#[test]
fn a_stake_whose_outcome_is_unknown_keeps_its_token() {
    let world = World::new();
    world.devnet().faults.refuse_writes(true);
    let refused = world.program.run(&[
        "stake",
        "0.5",
        "--name",
        "mine",
        "--transaction-timeout-seconds",
        "1",
    ]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("seal list --recover"),
        "{}",
        refused.stderr
    );
    assert_eq!(
        std::fs::read_dir(world.program.path("seals/pending"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn the_doctor_finds_the_chain_in_order() {
    let world = World::new();
    let report = world
        .program
        .run(&["doctor", "-o", "json", "--elevated-owners", "none"])
        .json();
    let checks = report["checks"].as_array().unwrap().clone();
    for name in [
        "configuration",
        "file modes",
        "contract file",
        "chain",
        "staleness and clock",
        "pool",
        "wallet",
    ] {
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        assert_eq!(check["state"], "ok", "{check}");
    }
}

#[test]
fn a_hash_that_somebody_took_first_is_given_up_for_a_new_token() {
    use k3s_daas::chain::{Chain, NewSeal};
    use k3s_daas::commands::stake::{Order, TokenPlace, mint_with};
    use k3s_daas::seals::{Seals, new_token};

    let world = World::new();
    world.as_operator(&["wallet", "show"]).ok();
    let keystore = world.program.path(".sui/sui_config/sui.keystore");
    let keys = sui_ledger::keystore::Keystore::load(&keystore).unwrap();
    let seals = Seals::new(&world.program.path("seals"));
    world.runtime.block_on(async {
        let chain = Chain::open_at(&world.program.path("contract.toml")).unwrap();
        let ours = chain.with_wallet(keys.only_key().unwrap().clone());
        let theirs = chain.with_wallet(world.devnet().operator.clone());
        let (taken, free) = (new_token().unwrap(), new_token().unwrap());
        let amount = seal::Mist(500_000_000);
        let seal = NewSeal {
            amount,
            hash: taken.credential_hash(),
            node_id: None,
            namespace: None,
            validity_ms: 0,
        };
        theirs
            .stake(&seal)
            .await
            .map_err(|failure| format!("{failure:?}"))
            .unwrap();

        let order = Order {
            amount,
            node_id: None,
            namespace: None,
            validity_ms: 0,
        };
        let mut tokens = [taken.clone(), free.clone()].into_iter();
        let place = TokenPlace::default();
        let minted = mint_with(&ours, &seals, &order, &place, || Ok(tokens.next().unwrap()));
        let minted = minted.await.unwrap();
        assert_eq!(minted.token.credential_hash(), free.credential_hash());
        assert_eq!(minted.record.owner, ours.wallet().unwrap().address());
        let pending = seals.pending().unwrap();
        assert_eq!(pending.len(), 1, "the taken one is forgotten");
    });
}

#[test]
fn a_lost_answer_is_looked_up_and_the_stake_is_paid_once() {
    let world = World::new();
    world.devnet().faults.lose_answers(true);
    let staked = world.json(&["stake", "0.5", "--name", "mine"]);
    assert_eq!(staked["tier"], "viewer");
    world.devnet().faults.lose_answers(false);
    assert_eq!(
        world.json(&["seal", "list"])["seals"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn publishing_never_overwrites_the_ids_of_a_contract() {
    let world = World::new();
    let endpoint = &world.devnet().rpc_url;
    let refused = world
        .program
        .run(&["contract", "publish", "--endpoint", endpoint]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("exists already"),
        "{}",
        refused.stderr
    );
}

#[test]
fn of_several_keys_the_one_that_sui_has_made_active_signs() {
    let world = World::new();
    let first = world.json(&["wallet", "show"])[0]["address"].clone();
    world.program.run(&["wallet", "new"]).ok();
    let refused = world.program.run(&["stake", "0.5"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("give --keystore and --address"),
        "{}",
        refused.stderr
    );
    let client = format!("keystore:\n  File: /anywhere\nactive_address: {first}\n");
    std::fs::write(world.program.path(".sui/sui_config/client.yaml"), client).unwrap();
    assert_eq!(world.json(&["stake", "0.5"])["owner"], first);
}
