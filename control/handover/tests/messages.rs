//! The wire form of every message is frozen in a golden file, and foreign bytes never cause a panic.

use handover::messages::{
    Abort, Activated, Commit, Committed, Culprit, DescriptorEntry, Descriptors, Donate, Expect, Expecting, Fault,
    FaultNotice, FieldCount, Hello, Message, Mode, Parked, Proceed, Progress, Ready, Reason, Recovered, Refused,
    Resumed, Role, Serving, Stop, Stopping, SwitchReport, TableAction, TableWork, Undone, Welcome, decode, encode,
    segment_kind,
};
use handover::messages::{Decoded, WireError};
use proptest::prelude::*;

mod golden;

fn fault() -> Fault {
    Fault::operator("no-translation", "table flows: field client is missing", "use a newer binary")
}

fn table() -> TableWork {
    TableWork {
        table: "flows".into(),
        action: TableAction::Translated,
        from_version: 1,
        to_version: 2,
        records: u64::MAX,
        bytes: 1 << 40,
        passes: 3,
        elapsed_ns: 5,
        fields: vec!["client: copied".into()],
    }
}

fn every_message() -> Vec<Message> {
    let error = fault();
    let swap = 7;
    vec![
        Message::Hello(Hello {
            protocol_min: 1,
            protocol_max: 2,
            pid: 4711,
            version: "0.1.0".into(),
            name: "dataplane".into(),
        }),
        Message::Descriptors(Descriptors {
            batch: vec![
                DescriptorEntry::segment(segment_kind::TABLE, 1, 0),
                DescriptorEntry::socket(Role::Listener, 9, 1, 0),
                DescriptorEntry::socket(Role::Upstream, 0, 15, 0),
            ],
            last: true,
            reason: Reason::Donate,
        }),
        Message::Serving(Serving { generation: 3, scheduling: "fifo".into(), warnings: vec!["small buffers".into()] }),
        Message::Refused(Refused { error: error.clone() }),
        Message::Expecting(Expecting { swap }),
        Message::Progress(Progress {
            swap,
            phase: "copy".into(),
            table: "flows".into(),
            pass: 2,
            records: 10,
            total: 20,
            dirty: 1,
        }),
        Message::Ready(Ready {
            swap,
            estimate_ns: 80_000,
            dirty: 12,
            converged: false,
            tables: vec![table()],
            released: vec![DescriptorEntry::segment(7, 1, 2 << 8)],
        }),
        Message::Activated(Activated {
            swap,
            report: SwitchReport {
                requested_ns: 1,
                last_return_ns: 2,
                quiesced_ns: 3,
                offered_ns: 4,
                foreground_start_ns: 5,
                won_ns: 6,
                entered_ns: 7,
                first_packet_ns: 0,
                blackout_ns: 5,
                foreground_records: 12,
                tables: vec![table()],
                clamped: vec![FieldCount { table: "flows".into(), field: "packets_up".into(), count: 2 }],
                dropped_rows: 0,
                defaulted: vec![],
            },
        }),
        Message::Undone(Undone { swap, error: error.clone() }),
        Message::Resumed(Resumed { swap, error: error.clone() }),
        Message::Parked(Parked { swap, generation: 4 }),
        Message::Stopping(Stopping {}),
        Message::Fault(FaultNotice { error: error.clone() }),
        Message::Recovered(Recovered {
            operation: "taken-back".into(),
            flows: 1_000_000,
            dropped: 2,
            found: [("leaked-slot".to_owned(), 1), ("duplicate-key".to_owned(), 2)].into(),
            elapsed_ns: 7,
        }),
        Message::Welcome(Welcome { protocol: 1, party: 254, mode: Mode::Takeover, swap, predecessor_dead: false }),
        Message::Donate(Donate {}),
        Message::Expect(Expect { swap, party: 2, quiesce_ns: 20_000_000 }),
        Message::Abort(Abort { swap, reason: error.message }),
        Message::Proceed(Proceed { swap, quiesce_ns: 20_000_000 }),
        Message::Committed(Committed { swap }),
        Message::Commit(Commit { swap }),
        Message::Stop(Stop {}),
    ]
}

#[test]
fn the_wire_form_is_golden_and_reads_back() {
    let messages = every_message();
    assert_eq!(messages.len(), Message::TYPE_NAMES.len(), "every type has a sample");
    let mut text = String::new();
    for message in messages {
        let bytes = encode(&message).expect("encodes");
        text.push_str(std::str::from_utf8(&bytes).expect("JSON is text"));
        text.push('\n');
        let type_field = format!("{{\"v\":1,\"type\":\"{}\"", message.type_name());
        assert!(bytes.starts_with(type_field.as_bytes()), "{type_field}");
        assert_eq!(decode(&bytes), Ok(Decoded::Message(Box::new(message))));
    }
    golden::check("messages.jsonl", &text);
}

#[test]
fn values_of_a_newer_peer_are_no_error() {
    let later = br#"{"v":1,"type":"refused","error":{"code":"x","culprit":"weather","message":"m","more":1}}"#;
    match decode(later) {
        Ok(Decoded::Message(message)) => match *message {
            Message::Refused(refused) => assert_eq!(refused.error.culprit, Culprit::Bug),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
    let later = br#"{"v":1,"type":"descriptors","batch":[{"what":"gpu","role":"spy"}],"last":true,"reason":"fun"}"#;
    assert!(matches!(decode(later), Ok(Decoded::Message(_))));
}

#[test]
fn a_message_too_long_for_a_packet_is_not_sent() {
    let warnings = vec!["x".repeat(100_000)];
    let message = Message::Serving(Serving { generation: 0, scheduling: String::new(), warnings });
    assert!(matches!(encode(&message), Err(WireError::TooLong { bytes, .. }) if bytes > 100_000));
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn damaged_messages_are_judged_without_a_panic(
        pick in 0..21_usize, at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<prop::sample::Index>()
    ) {
        let mut bytes = encode(&every_message()[pick]).expect("encodes");
        let index = at.index(bytes.len());
        bytes[index] = with;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = decode(&bytes);
    }
}
