//! From the command line to the exit code.

use std::time::Duration;

use handover::messages::Fault;
use serde_json::{Value, json};

use super::args::{Args, Verb};
use super::client::{Failure, ask};
use super::progress::Progress;
use super::{check, doctor, info, render, state};
use crate::exit;
use crate::protocol::{SwapRequest, Verb as Ask};

/// How long controld may be silent, except in a swap.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs controlctl; gives the exit code.
pub fn controlctl(args: &Args) -> u8 {
    let (verb, text): (Ask, fn(&Value) -> String) = match &args.verb {
        Verb::Info { binary } => return info::run(binary, args.json),
        Verb::Check(check) => return check::run(check, args.json),
        Verb::State(verb) => return state::run(verb, args),
        Verb::Doctor { config } => return doctor::run(config.as_deref(), args.json),
        Verb::Status => (Ask::Status, render::status),
        Verb::Flows { limit } => (Ask::Flows { limit: Some(*limit) }, render::flows),
        Verb::Counters => (Ask::Counters, render::counters),
        Verb::Report { last } => (Ask::Report { last: Some(*last) }, render::reports),
        Verb::Stop => (Ask::Stop, |_| "stopped\n".to_owned()),
        Verb::Swap { binary, dry_run, steal, force_budget, commit_now } => {
            let binary = match std::path::absolute(binary) {
                Ok(path) => path.display().to_string(),
                Err(error) => {
                    eprintln!("controlctl: {}: {error}", binary.display());
                    return exit::USAGE;
                }
            };
            let (dry_run, steal, force_budget, commit_now) = (*dry_run, *steal, *force_budget, *commit_now);
            let request = SwapRequest { binary, dry_run, steal, force_budget, commit_now, ..SwapRequest::default() };
            (Ask::Swap(request), if dry_run { render::plan } else { render::report })
        }
        Verb::Rollback { dry_run, steal, force_budget, commit_now } => {
            let (dry_run, steal, force_budget, commit_now) = (*dry_run, *steal, *force_budget, *commit_now);
            let request =
                SwapRequest { rollback: true, dry_run, steal, force_budget, commit_now, ..SwapRequest::default() };
            (Ask::Swap(request), if dry_run { render::plan } else { render::report })
        }
    };
    let in_swap = matches!(&verb, Ask::Swap(request) if !request.dry_run);
    let timeout = args.timeout.or((!in_swap).then_some(PATIENCE));
    let mut progress = Progress::new(args.json || !in_swap);
    let answer = ask(&args.socket, verb, timeout, |event| progress.event(event));
    progress.end();
    match answer {
        Ok(done) if args.json => print_json(&done),
        Ok(done) => print(&text(&done)),
        Err(failure) => return failed(&failure, args.json),
    }
    exit::OK
}

fn failed(failure: &Failure, as_json: bool) -> u8 {
    let Failure { error, exit, report } = failure;
    match report {
        Some(report) if as_json => print_json(&json!(report)),
        None if as_json => print_json(&json!({"error": error, "exit": exit})),
        _ => {
            if let Some(report) = report {
                print(&render::report(&json!(report)));
            }
            eprintln!("controlctl: {}", error.message);
            if !error.remedy.is_empty() {
                eprintln!("  remedy: {}", error.remedy);
            }
        }
    }
    *exit
}

/// Says what is wrong with what was named, and gives the exit code.
pub(super) fn give_up(error: &Fault, exit: u8, as_json: bool) -> u8 {
    failed(&Failure { error: error.clone(), exit, report: None }, as_json)
}

pub(super) fn print_json(value: &Value) {
    print(&format!("{value:#}\n"));
}

/// Prints; a reader that has gone away is no error.
pub(super) fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
