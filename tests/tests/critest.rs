//! What others wrote to call a runtime, through the shim and directly: crictl's commands, and every
//! case of critest with the same result.
//!
//! Needs:  besides what a containerd here needs, `tests/tools/cri-tools.sh`. No registry is asked:
//!         cases that pull an image fail, on both sides alike. All cases take two and a half
//!         minutes, both sides at once; $K3S_DAAS_CRITEST_LOGS names a folder for what they print.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use k3s_daas_tests::cri::{BUSY, Containerd, LOOK, Shim, WITHIN, made};
use k3s_daas_tests::e2e::skipped;
use serde_json::{Value, json};

/// What critest's cases may take on one side.
const CASES_WITHIN: Duration = Duration::from_secs(600);

/// The result of each case: `passed`, `skipped`, `failed at …` with the line, …
type Results = BTreeMap<String, String>;

#[tokio::test]
#[ignore = "needs root and cri-tools: make e2e"]
async fn crictl_works_through_the_shim() -> anyhow::Result<()> {
    let test = "critest: crictl";
    let Some(tools) = made("cri-tools.sh", "crictl") else {
        skipped(test, "tests/tools/cri-tools.sh was not run");
        return Ok(());
    };
    let Some((containerd, _shim)) = with_shim(test).await? else {
        return Ok(());
    };
    tokio::task::spawn_blocking(move || {
        let crictl = Crictl {
            program: tools.join("crictl"),
            containerd,
        };
        crictl.tells()?;
        crictl.runs_a_pod()
    })
    .await?
}

#[tokio::test]
#[ignore = "needs root and cri-tools: make e2e"]
async fn critest_says_the_same_of_both() -> anyhow::Result<()> {
    let test = "critest: the same of both";
    let tools = made("cri-tools.sh", "critest").filter(|tools| tools.join("web.tar").exists());
    let Some(tools) = tools else {
        skipped(
            test,
            "tests/tools/cri-tools.sh was not run or found no busybox",
        );
        return Ok(());
    };
    // A machine for each side, so that neither meets what the other left.
    let Some(direct) = Containerd::start(test).await? else {
        return Ok(());
    };
    let Some((through, shim)) = with_shim(test).await? else {
        return Ok(());
    };
    let direct = Side::new(direct, None, &tools)?;
    let through = Side::new(through, Some(shim), &tools)?;
    let through = tokio::task::spawn_blocking(move || {
        let (mut one, mut two) = both(&direct, &through, &[])?;
        let differ = differing(&one, &two);
        if !differ.is_empty() {
            eprintln!("once more, as these differ: {differ:#?}");
            let (again, also) = both(&direct, &through, &differ)?;
            one.extend(again);
            two.extend(also);
        }
        let count = |results: &Results, state| results.values().filter(|one| *one == state).count();
        for (side, results) in [("directly", &one), ("through the shim", &two)] {
            let passed = count(results, "passed");
            let ran = results.len() - count(results, "skipped");
            eprintln!("critest: {passed} of {ran} cases pass {side}");
        }
        assert_eq!(one, two, "directly, and through the shim");
        let passed = count(&one, "passed");
        ensure!(passed >= 60, "too few pass to say anything: {one:#?}");
        Ok(through)
    })
    .await??;
    let shim = through.shim.as_ref().context("the shim")?;
    let metrics = shim.metrics().await?;
    let called = "k3s_daas_cri_calls_total{method=\"RunPodSandbox\",code=\"OK\"}";
    assert!(metrics.contains(called), "{metrics}");
    Ok(())
}

async fn with_shim(test: &str) -> anyhow::Result<Option<(Containerd, Shim)>> {
    let Some(containerd) = Containerd::start(test).await? else {
        return Ok(None);
    };
    let mut shim = Shim::hold(&containerd.path("shim"), &containerd.socket())?;
    if !shim.start()? {
        return Ok(None);
    }
    shim.answers().await?;
    Ok(Some((containerd, shim)))
}

fn shim_socket(containerd: &Containerd) -> PathBuf {
    containerd.path("shim/cri.sock")
}

struct Crictl {
    program: PathBuf,
    containerd: Containerd,
}

impl Crictl {
    /// What a command prints; an error where it fails.
    fn says(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let endpoint = format!("unix://{}", shim_socket(&self.containerd).display());
        let output = self
            .containerd
            .inside(&self.program)
            .args(["--runtime-endpoint", &endpoint])
            .args(["--image-endpoint", &endpoint])
            .args(["--timeout", "60s"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "crictl {arguments:?}: {error}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let said = self.says(arguments)?;
        serde_json::from_str(&said).with_context(|| format!("crictl {arguments:?}: {said}"))
    }

    fn write(&self, name: &str, content: &Value) -> anyhow::Result<String> {
        let path = self.containerd.path(name);
        std::fs::write(&path, content.to_string())?;
        Ok(path.display().to_string())
    }

    fn tells(&self) -> anyhow::Result<()> {
        let version = self.says(&["version"])?;
        assert!(version.contains("RuntimeName:  containerd"), "{version}");
        let info = self.json(&["info"])?;
        assert!(info["status"]["conditions"].is_array(), "{info}");
        let images = self.json(&["images", "--output", "json"])?;
        assert!(images.to_string().contains(BUSY), "{images}");
        Ok(())
    }

    fn runs_a_pod(&self) -> anyhow::Result<()> {
        let logs = self.containerd.path("logs/crictl").display().to_string();
        let pod = self.write(
            "pod.json",
            &json!({
                "metadata": { "name": "crictl", "uid": "crictl", "namespace": "team-a", "attempt": 0 },
                "log_directory": logs,
                "linux": { "cgroup_parent": format!("{}/pod-crictl", self.containerd.group) },
            }),
        )?;
        let container = self.write(
            "container.json",
            &json!({
                "metadata": { "name": "app", "attempt": 0 },
                "image": { "image": BUSY },
                "command": ["/bin/busy", "serve"],
                "log_path": "app.log",
                "linux": {},
            }),
        )?;
        let sandbox = self.says(&["runp", &pod])?;
        let id = self.says(&["create", &sandbox, &container, &pod])?;
        self.says(&["start", &id])?;
        let pods = self.says(&["pods", "--quiet", "--no-trunc"])?;
        assert_eq!(pods, sandbox);
        let containers = self.says(&["ps", "--quiet", "--no-trunc"])?;
        assert_eq!(containers, id);
        let inspected = self.json(&["inspect", &id])?;
        assert_eq!(inspected["status"]["state"], "CONTAINER_RUNNING");

        // By ExecSync, and as a stream that containerd itself serves.
        let echo = [id.as_str(), "/bin/busy", "echo", "heard"];
        assert_eq!(
            self.says(&[&["exec", "--sync"], &echo[..]].concat())?,
            "heard"
        );
        assert_eq!(self.says(&[&["exec"], &echo[..]].concat())?, "heard");
        let began = Instant::now();
        while self.says(&["logs", &id])?.is_empty() {
            ensure!(began.elapsed() < WITHIN, "no line is logged");
            std::thread::sleep(LOOK);
        }
        let stats = self.json(&["stats", "--output", "json", &id])?;
        assert_eq!(stats["stats"][0]["attributes"]["id"], id, "{stats}");

        self.says(&["stop", "--timeout", "0", &id])?;
        let inspected = self.json(&["inspect", &id])?;
        assert_eq!(inspected["status"]["state"], "CONTAINER_EXITED");
        self.says(&["rm", &id])?;
        self.says(&["stopp", &sandbox])?;
        self.says(&["rmp", &sandbox])?;
        assert_eq!(self.says(&["pods", "--quiet"])?, "");
        Ok(())
    }
}

/// A machine that critest runs in.
struct Side {
    name: &'static str,
    program: PathBuf,
    socket: PathBuf,
    containerd: Containerd,
    shim: Option<Shim>,
}

impl Side {
    fn new(containerd: Containerd, shim: Option<Shim>, tools: &Path) -> anyhow::Result<Self> {
        for image in ["box.tar", "web.tar"] {
            containerd.import(&tools.join(image))?;
        }
        let images = json!({
            "defaultTestContainerImage": "docker.io/k3s-daas/box:1",
            "webServerTestImage": "docker.io/k3s-daas/web:1",
        });
        std::fs::write(containerd.path("images.yaml"), images.to_string())?;
        std::fs::create_dir(containerd.path("tmp"))?;
        Ok(Self {
            name: if shim.is_some() { "through" } else { "direct" },
            program: tools.join("critest"),
            socket: shim
                .as_ref()
                .map_or_else(|| containerd.socket(), Shim::socket),
            containerd,
            shim,
        })
    }

    fn command(&self, only: &[String]) -> Command {
        let at = |name: &str| self.containerd.path(name).display().to_string();
        let socket = self.socket.display();
        let mut command = self.containerd.inside(&self.program);
        command
            .arg(format!("--runtime-endpoint=unix://{socket}"))
            .arg(format!("--image-endpoint=unix://{socket}"))
            .arg(format!("--test-images-file={}", at("images.yaml")))
            .arg(format!("--ginkgo.json-report={}", at("report.json")))
            .arg(format!("--ginkgo.timeout={}s", CASES_WITHIN.as_secs()))
            .args(["--ginkgo.seed=1", "--ginkgo.no-color"])
            .args(
                only.iter()
                    .map(|case| format!("--ginkgo.focus={}", escaped(case))),
            )
            .env("TMPDIR", at("tmp"))
            .current_dir(self.containerd.path("tmp"))
            .stdin(Stdio::null());
        command
    }

    /// Runs all cases, or only these.
    fn run(&self, only: &[String]) -> anyhow::Result<Results> {
        let began = Instant::now();
        let report = self.containerd.path("report.json");
        let _ = std::fs::remove_file(&report);
        // That cases fail makes it fail; the report says which.
        let output = self.command(only).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        if let Ok(folder) = std::env::var("K3S_DAAS_CRITEST_LOGS") {
            let log = Path::new(&folder).join(format!("critest-{}.log", self.name));
            std::fs::write(log, said.as_bytes())?;
        }
        let Ok(report) = std::fs::read(&report) else {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("critest wrote no report: {said}\n{error}");
        };
        let results = results(&serde_json::from_slice(&report)?)?;
        let seconds = began.elapsed().as_secs();
        eprintln!(
            "critest {}: {} cases in {seconds} s",
            self.name,
            results.len()
        );
        Ok(results)
    }
}

/// Both sides at once.
fn both(one: &Side, two: &Side, only: &[String]) -> anyhow::Result<(Results, Results)> {
    std::thread::scope(|scope| {
        let two = scope.spawn(|| two.run(only));
        let one = one.run(only)?;
        let two = two.join().ok().context("critest through the shim")??;
        Ok((one, two))
    })
}

/// A report's cases, without those that the flags leave out.
fn results(report: &Value) -> anyhow::Result<Results> {
    let specs = report[0]["SpecReports"].as_array().context("no cases")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ran = specs
        .iter()
        .filter(|spec| spec["LeafNodeType"] == "It")
        .filter(|spec| spec["State"] != "pending" && spec["NumAttempts"] != 0);
    Ok(ran
        .map(|spec| {
            let mut words = Vec::new();
            words.extend(
                spec["ContainerHierarchyTexts"]
                    .as_array()
                    .into_iter()
                    .flatten(),
            );
            words.push(&spec["LeafNodeText"]);
            let name: Vec<String> = words.into_iter().map(text).collect();
            let mut result = text(&spec["State"]);
            let at = &spec["Failure"]["Location"];
            if result != "skipped" && at["FileName"].is_string() {
                result += &format!(" at {}:{}", text(&at["FileName"]), at["LineNumber"]);
            }
            (name.join(" "), result)
        })
        .collect())
}

fn differing(one: &Results, two: &Results) -> Vec<String> {
    let names = one
        .keys()
        .chain(two.keys().filter(|name| !one.contains_key(*name)));
    names
        .filter(|name| one.get(*name) != two.get(*name))
        .cloned()
        .collect()
}

/// A name as the regular expression that means it.
fn escaped(name: &str) -> String {
    let escape = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | '/' | '_' => vec![character],
        _ => vec!['\\', character],
    };
    name.chars().flat_map(escape).collect()
}
