//! Bytes to messages and back.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Message;

/// Version of the envelope `{"v":…,"type":…}`.
pub const ENVELOPE_VERSION: u32 = 1;

/// Largest packet that either side sends or accepts, in bytes.
pub const PACKET_BYTES_MAX: usize = 64 * 1024;

/// A packet after reading.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    /// A message of this build.
    Message(Box<Message>),
    /// A message whose type this build does not know; answer it with a named error.
    Unknown(String),
}

/// Why bytes are not a message, or a message no packet.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// Not JSON, or no object with `v` and `type`.
    #[error("packet of {bytes} bytes is not a message: {reason}")]
    NotAMessage {
        /// Length of the packet.
        bytes: usize,
        /// What the parser said.
        reason: String,
    },
    /// An envelope of another version.
    #[error("message envelope version {found}, this build speaks {ENVELOPE_VERSION}")]
    Envelope {
        /// The version found.
        found: u32,
    },
    /// A known type with a missing or ill-typed field.
    #[error("message \"{type_name}\" is malformed: {reason}")]
    Malformed {
        /// The type it claims to be.
        type_name: String,
        /// What the parser said.
        reason: String,
    },
    /// The message would not fit one packet.
    #[error("message \"{type_name}\" takes {bytes} bytes, at most {PACKET_BYTES_MAX} fit one packet")]
    TooLong {
        /// Its type.
        type_name: String,
        /// Its encoded length.
        bytes: usize,
    },
}

#[derive(Serialize)]
struct Sealed<'a> {
    v: u32,
    #[serde(flatten)]
    message: &'a Message,
}

#[derive(Deserialize)]
struct Envelope {
    v: u32,
    #[serde(rename = "type")]
    type_name: String,
}

/// The bytes of one packet.
pub fn encode(message: &Message) -> Result<Vec<u8>, WireError> {
    let bytes = serde_json::to_vec(&Sealed { v: ENVELOPE_VERSION, message })
        .map_err(|e| WireError::Malformed { type_name: message.type_name().to_owned(), reason: e.to_string() })?;
    if bytes.len() > PACKET_BYTES_MAX {
        return Err(WireError::TooLong { type_name: message.type_name().to_owned(), bytes: bytes.len() });
    }
    Ok(bytes)
}

/// Reads one packet. Never panics, whatever the bytes.
pub fn decode(bytes: &[u8]) -> Result<Decoded, WireError> {
    let not_a_message = |reason: String| WireError::NotAMessage { bytes: bytes.len(), reason };
    if bytes.len() > PACKET_BYTES_MAX {
        return Err(not_a_message(format!("longer than {PACKET_BYTES_MAX} bytes")));
    }
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|e| not_a_message(e.to_string()))?;
    if envelope.v != ENVELOPE_VERSION {
        return Err(WireError::Envelope { found: envelope.v });
    }
    if !Message::TYPE_NAMES.contains(&envelope.type_name.as_str()) {
        return Ok(Decoded::Unknown(envelope.type_name));
    }
    serde_json::from_slice(bytes)
        .map(|message| Decoded::Message(Box::new(message)))
        .map_err(|e| WireError::Malformed { type_name: envelope.type_name, reason: e.to_string() })
}

macro_rules! type_names {
    ($($variant:ident => $name:literal,)*) => {
        impl Message {
            /// Every `type` that this build knows.
            pub const TYPE_NAMES: &'static [&'static str] = &[$($name),*];

            /// The `type` of this message on the wire.
            pub fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }
        }
    };
}

type_names! {
    Hello => "hello",
    Descriptors => "descriptors",
    Serving => "serving",
    Refused => "refused",
    Expecting => "expecting",
    Progress => "progress",
    Ready => "ready",
    Activated => "activated",
    Undone => "undone",
    Resumed => "resumed",
    Parked => "parked",
    Stopping => "stopping",
    Fault => "fault",
    Recovered => "recovered",
    Welcome => "welcome",
    Donate => "donate",
    Expect => "expect",
    Abort => "abort",
    Proceed => "proceed",
    Committed => "committed",
    Commit => "commit",
    Stop => "stop",
}
