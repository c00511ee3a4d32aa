//! Looks like a dataplane from outside, layouts and all, and then behaves as its file name says.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use dataplane::state::backends::BackendRecord;
use dataplane::state::counters::Counters;
use dataplane::state::flow_v2::FlowV2;
use handover::channel::{Channel, Received};
use handover::messages::{Activated, Fault, Hello, Message, Refused, SwitchReport};
use handover::negotiate::{PROTOCOL_MAX, PROTOCOL_MIN};

shm_state::layout_note!(FlowV2, Counters, BackendRecord);

/// Longer than any supervisor waits.
const FOR_EVER: Duration = Duration::from_secs(3600);

fn main() -> ExitCode {
    let own = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&own).file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if name == "ends-at-once" {
        return ExitCode::from(7);
    }
    let channel = Channel::from_inherited(3).expect("started by a supervisor");
    match name.as_str() {
        "silent" => std::thread::sleep(FOR_EVER),
        "other-protocol" => {
            hello(&channel, 900, 901);
            std::thread::sleep(FOR_EVER);
        }
        "refuses" => {
            hello(&channel, PROTOCOL_MIN, PROTOCOL_MAX);
            let error = Fault::operator("no-mood", "not today", "ask tomorrow");
            say(&channel, Message::Refused(Refused { error }));
            return ExitCode::from(3);
        }
        "claims-to-have-won" => {
            hello(&channel, PROTOCOL_MIN, PROTOCOL_MAX);
            if let Ok(Received::Message { message: Message::Welcome(welcome), .. }) = channel.recv(None) {
                let report = SwitchReport::default();
                say(&channel, Message::Activated(Activated { swap: welcome.swap, report }));
            }
            std::thread::sleep(FOR_EVER);
        }
        "rubbish" => {
            let fd = channel.as_fd().try_clone_to_owned().expect("a duplicate");
            let mut raw = std::fs::File::from(fd);
            let _ = raw.write_all(b"{\"v\":1,\"type\":\"hello\",\"pid\":\"who knows\"}");
            let _ = raw.write_all(&[0xff; 3000]);
            std::thread::sleep(FOR_EVER);
        }
        other => panic!("no behaviour is called {other}"),
    }
    ExitCode::SUCCESS
}

fn hello(channel: &Channel, protocol_min: u16, protocol_max: u16) {
    let (pid, version) = (std::process::id(), "0.0.0".to_owned());
    say(channel, Message::Hello(Hello { protocol_min, protocol_max, pid, version, name: "misfit".to_owned() }));
}

fn say(channel: &Channel, message: Message) {
    channel.send(&message, &[]).expect("the supervisor listens");
}
