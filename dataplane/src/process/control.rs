//! What the supervisor says, and what it hears. Without a supervisor nobody speaks and nothing is heard.

use handover::channel::{Channel, ChannelError, Received};
use handover::messages::{DescriptorEntry, Fault, Message, Reason};
use handover::negotiate::{PROTOCOL_MAX, PROTOCOL_MIN};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The channel to the supervisor, while there is one.
#[derive(Debug)]
pub(super) struct Control {
    channel: Option<Channel>,
    /// Why nothing was heard last, where it was not for want of time.
    trouble: Option<String>,
}

impl Control {
    /// The channel that the supervisor left under this number; `None`: no supervisor.
    ///
    /// # Errors
    /// The number is not such a channel.
    pub(super) fn new(number: Option<i32>) -> Result<Self, Fault> {
        let channel = number.map(Channel::from_inherited).transpose().map_err(|error| {
            let message = format!("--control-fd: {error}");
            Fault::operator("not-a-channel", message, "the option is for controld; leave it out")
        })?;
        Ok(Self { channel, trouble: None })
    }

    /// No supervisor.
    pub(super) fn none() -> Self {
        Self { channel: None, trouble: None }
    }

    /// Whether there is a supervisor.
    pub(super) fn present(&self) -> bool {
        self.channel.is_some()
    }

    /// Where to poll.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.channel.as_ref().map(AsFd::as_fd)
    }

    /// Introduces this process.
    pub(super) fn hello(&self, name: &str) {
        self.say(Message::Hello(handover::messages::Hello {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: name.to_owned(),
        }));
    }

    /// Says something. A supervisor that is gone does not hear it; the dataplane serves on.
    pub(super) fn say(&self, message: Message) {
        if let Some(channel) = &self.channel
            && let Err(error) = channel.send(&message, &[])
        {
            tracing::warn!(%error, "the supervisor does not listen");
        }
    }

    /// Sends descriptors.
    pub(super) fn hand(&self, reason: Reason, list: &[(DescriptorEntry, BorrowedFd<'_>)]) {
        if let Some(channel) = &self.channel
            && let Err(error) = channel.send_descriptors(reason, list)
        {
            tracing::warn!(%error, "the supervisor does not take descriptors");
        }
    }

    /// Why [`Control::hear`] heard nothing.
    pub(super) fn silence(&self, waited: Duration) -> String {
        self.trouble.clone().unwrap_or_else(|| format!("nothing came within {waited:?}"))
    }

    /// The next message; `None` when there is none within the time. A supervisor that is gone is forgotten.
    pub(super) fn hear(&mut self, timeout: Duration) -> Option<(Message, Vec<OwnedFd>)> {
        loop {
            match self.channel.as_ref()?.recv(Some(timeout)) {
                Ok(Received::Message { message, fds }) => return Some((message, fds)),
                Ok(Received::Unknown { type_name }) => {
                    let message = format!("this dataplane does not know the message \"{type_name}\"");
                    self.say(Message::Fault(handover::messages::FaultNotice {
                        error: Fault::peer("unknown-message", message, "use a newer dataplane"),
                    }));
                }
                Err(ChannelError::TimedOut(_)) => return None,
                Err(error @ ChannelError::Closed) => {
                    self.trouble = Some(error.to_string());
                    tracing::warn!("the supervisor is gone; serving on without it");
                    self.channel = None;
                }
                Err(error) => {
                    self.trouble = Some(error.to_string());
                    tracing::warn!(%error, "a message from the supervisor could not be read");
                    return None;
                }
            }
        }
    }
}
