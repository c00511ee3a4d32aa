//! What each field id means, in words, for docs/shared-memory.md.
//!
//! Ids are for ever: a line is never taken out, also when no layout has the field any more, so that its id is not
//! given to another.

use super::{BACKENDS, COUNTERS, FLOWS};

/// Field ids of a table with their meaning, in order of the ids.
pub const fn fields(table: u32) -> &'static [(u32, &'static str)] {
    match table {
        FLOWS => FLOW_FIELDS,
        COUNTERS => COUNTER_FIELDS,
        BACKENDS => BACKEND_FIELDS,
        _ => &[],
    }
}

/// The meaning of one field.
pub fn meaning(table: u32, id: u32) -> Option<&'static str> {
    fields(table).iter().find(|(known, _)| *known == id).map(|(_, meaning)| *meaning)
}

const FLOW_FIELDS: &[(u32, &str)] = &[
    (1, "address of the client"),
    (2, "local address that the client talks to"),
    (3, "port of the client"),
    (4, "local port"),
    (5, "IPv6 scope of the client, 0 where there is none"),
    (6, "stable id of the listener"),
    (7, "stable id of the backend"),
    (8, "upstream identity at that backend"),
    (9, "datagrams from the client"),
    (10, "datagrams from the backend"),
    (11, "length of the last datagram"),
    (12, "payload bytes from the client"),
    (13, "payload bytes from the backend"),
    (14, "when the flow began"),
    (15, "last datagram of either direction"),
    (16, "idle time after which the flow ends; 0 is the listener's"),
    (17, "1 once the backend has answered"),
];

const COUNTER_FIELDS: &[(u32, &str)] = &[
    (1, "received from clients"),
    (2, "received from backends"),
    (3, "sent to backends"),
    (4, "sent to clients"),
    (5, "payload sent to backends"),
    (6, "payload sent to clients"),
    (7, "flows begun"),
    (8, "flows ended after their idle time"),
    (9, "new flow refused: no free slot"),
    (10, "new flow refused: no free identity at its backend"),
    (11, "new flow refused: index buckets full"),
    (12, "dropped: source port 0"),
    (13, "dropped: longer than a receive buffer"),
    (14, "dropped: from a backend, no flow has the identity"),
    (15, "dropped: at an upstream socket, from no backend"),
    (16, "dropped: unreadable"),
    (17, "not sent: send buffer full"),
    (18, "not sent: longer than the path allows"),
    (19, "not sent: other error"),
    (20, "ICMP errors reported against backends"),
    (21, "receives armed again after they had ended"),
    (22, "receives that ended for want of a buffer"),
    (23, "completions that the ring had no room for at once"),
    (24, "turns of the packet loop"),
];

const BACKEND_FIELDS: &[(u32, &str)] = &[
    (1, "address of the backend"),
    (2, "port of the backend"),
    (3, "stable id"),
    (4, "flows that were given to it"),
    (5, "ICMP errors about datagrams to it"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use shm_state::{Descriptor, Layout};

    #[test]
    fn every_field_of_every_layout_has_its_line() {
        let layouts: [Descriptor; 4] = [
            super::super::flow_v1::FlowV1::descriptor(),
            super::super::flow_v2::FlowV2::descriptor(),
            super::super::counters::Counters::descriptor(),
            super::super::backends::BackendRecord::descriptor(),
        ];
        for layout in layouts {
            for field in layout.fields() {
                let (table, id) = (layout.table_id(), field.id());
                assert!(meaning(table, id).is_some(), "field {id} of {} has no line here", layout.name());
            }
            assert!(fields(layout.table_id()).is_sorted_by(|a, b| a.0 < b.0), "in order of the ids, each once");
        }
    }
}
