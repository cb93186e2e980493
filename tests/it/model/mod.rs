//! A model of claim, lease, heartbeat, fence, settle and restore, explored to its end: docs/model.md.

mod bugs;
mod design;
mod properties;
mod state;
mod steps;

use std::time::Instant;

use stateright::{Checker, Model, Path, Property};

use design::{Design, Limits};
use state::State;
use steps::Step;

/// Two workers, a database, a store, and the people and faults around them.
pub struct Lethe {
    design: Design,
    limits: Limits,
    /// Where this is broken, the search need not go on.
    wanted: Option<&'static str>,
}

impl Lethe {
    fn is_found(&self, state: &State) -> bool {
        self.wanted.is_some_and(|name| {
            let mut always = properties::always().into_iter();
            always.any(|property| property.name == name && !(property.condition)(self, state))
        })
    }

    /// Nothing happens any more by itself.
    fn is_at_rest(&self, state: &State) -> bool {
        let mut steps = Vec::new();
        if !state.is_over() {
            steps::due(&self.design, state, &mut steps);
        }
        steps.is_empty()
    }
}

impl Model for Lethe {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.limits)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if !state.is_over() && !self.is_found(state) {
            steps::due(&self.design, state, steps);
            steps::possible(&self.design, state, steps);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        Some(steps::after(&self.design, &self.limits, state, step))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = properties::always();
        properties.extend(properties::sometimes(&self.limits));
        properties
    }
}

/// A path as a list of steps, and the state at its end.
fn story(path: Path<State, Step>) -> String {
    let mut lines = Vec::new();
    let mut end = None;
    for (state, step) in path.into_vec() {
        if let Some(step) = step {
            lines.push(format!("{:>3}. {step:?}", lines.len() + 1));
        }
        end = Some(state);
    }
    format!("{}\n{end:#?}", lines.join("\n"))
}

fn holds_in_every_state(name: &str, limits: Limits) {
    let started = Instant::now();
    let lethe = Lethe {
        design: Design::SOUND,
        limits,
        wanted: None,
    };
    let checker = lethe.checker().symmetry().spawn_dfs().join();
    println!(
        "{name}: {} states, {} transitions, longest path {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        started.elapsed().as_secs_f64()
    );
    for property in properties::always() {
        if let Some(path) = checker.discovery(property.name) {
            panic!("not always: {}\n{}", property.name, story(path));
        }
    }
    for property in properties::sometimes(&limits) {
        let seen = checker.discovery(property.name).is_some();
        assert!(seen, "never: {}", property.name);
    }
}

#[test]
fn every_rule_holds_for_one_task_in_every_order_of_faults() {
    holds_in_every_state(
        "one task",
        Limits {
            tasks: 1,
            ticks: 3,
            faults: 2,
            max_attempts: 2,
            shared_key: false,
        },
    );
}

#[test]
fn every_rule_holds_for_two_tasks_in_every_order_of_faults() {
    holds_in_every_state(
        "two tasks",
        Limits {
            tasks: 2,
            ticks: 2,
            faults: 1,
            max_attempts: 2,
            shared_key: false,
        },
    );
}

#[test]
fn every_rule_holds_for_two_tasks_of_one_key_in_every_order_of_faults() {
    holds_in_every_state(
        "two tasks of one key",
        Limits {
            tasks: 2,
            ticks: 1,
            faults: 1,
            max_attempts: 2,
            shared_key: true,
        },
    );
}
