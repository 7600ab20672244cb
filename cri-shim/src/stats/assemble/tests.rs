use std::collections::HashSet;

use super::super::facts::{Figures, PodFigures, Sandbox};
use super::super::snapshot::{Io, Traffic};
use super::*;

fn container(id: &str, name: &str, created: i64, running: bool) -> Container {
    Container {
        id: id.into(),
        sandbox: "s".into(),
        name: name.into(),
        created,
        running,
    }
}

fn facts(containers: Vec<Container>) -> Facts {
    let sandbox = Sandbox {
        id: "s".into(),
        namespace: "default".into(),
        pod: "web".into(),
        created: 1,
    };
    Facts {
        sandboxes: vec![sandbox],
        containers,
        ..Facts::default()
    }
}

fn figures(cpu: u64, memory: u64, layer: u64) -> Figures {
    Figures {
        cpu: Some(cpu),
        memory: Some(memory),
        layer: Some(layer),
        io: None,
    }
}

#[test]
fn a_pods_own_figures_go_before_sums() {
    let mut facts = facts(vec![
        container("a", "app", 1, true),
        container("b", "side", 1, true),
    ]);
    facts.figures.insert("a".into(), figures(10, 100, 1000));
    facts.figures.insert("b".into(), figures(20, 200, 2000));
    let [pod] = &pods(&facts, &Readings::default(), &mut Ledger::default())[..] else {
        panic!()
    };
    assert_eq!(
        pod.usage,
        Usage {
            cpu: Some(30),
            memory: Some(300),
            layer: Some(3000),
            io: None
        }
    );
    assert_eq!(pod.network, None);

    let own = PodFigures {
        cpu: Some(35),
        memory: Some(350),
        network: None,
    };
    facts.pods.insert("s".into(), own);
    let [pod] = &pods(&facts, &Readings::default(), &mut Ledger::default())[..] else {
        panic!()
    };
    assert_eq!(
        pod.usage,
        Usage {
            cpu: Some(35),
            memory: Some(350),
            layer: Some(3000),
            io: None
        }
    );
}

#[test]
fn a_container_that_started_anew_stands_for_its_name() {
    let facts = facts(vec![
        container("old", "app", 1, false),
        container("new", "app", 2, true),
        container("ended", "init", 3, false),
        container("first", "init", 1, false),
    ]);
    let io = |read| Io { read, written: 0 };
    let readings = Readings {
        io: [("new".into(), io(2)), ("ended".into(), io(3))].into(),
        ..Readings::default()
    };
    let [pod] = &pods(&facts, &readings, &mut Ledger::default())[..] else {
        panic!()
    };
    let names: Vec<_> = pod
        .containers
        .iter()
        .map(|one| (one.name.as_str(), one.usage.io))
        .collect();
    assert_eq!(names, [("app", Some(io(2))), ("init", Some(io(3)))]);
    assert_eq!(pod.usage.io, Some(io(5)));
}

#[test]
fn network_comes_from_the_runtime_else_from_the_kernel_and_never_from_the_machine() {
    let traffic = |received| Traffic { received, sent: 0 };
    let mut facts = facts(Vec::new());
    let mut readings = Readings {
        network: [("s".into(), traffic(1))].into(),
        ..Readings::default()
    };
    let network = |facts: &Facts, readings: &Readings| {
        pods(facts, readings, &mut Ledger::default())[0].network
    };
    assert_eq!(network(&facts, &readings), Some(traffic(1)));
    let own = PodFigures {
        network: Some(traffic(2)),
        ..PodFigures::default()
    };
    facts.pods.insert("s".into(), own);
    assert_eq!(network(&facts, &readings), Some(traffic(2)));
    readings.host_network = HashSet::from(["s".to_owned()]);
    assert_eq!(network(&facts, &readings), None);
}

#[test]
fn a_pod_has_a_bounded_number_of_containers() {
    let many = (0..500)
        .map(|n| container(&format!("c{n}"), &format!("n{n}"), 1, true))
        .collect();
    let facts = facts(many);
    let [pod] = &pods(&facts, &Readings::default(), &mut Ledger::default())[..] else {
        panic!()
    };
    assert_eq!(pod.containers.len(), MOST_CONTAINERS);
}
