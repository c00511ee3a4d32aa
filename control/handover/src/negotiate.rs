//! Which protocol version two builds speak with each other.

use crate::messages::{Fault, Hello};

/// Oldest version that this build speaks.
pub const PROTOCOL_MIN: u16 = 1;
/// Newest version that this build speaks.
pub const PROTOCOL_MAX: u16 = 1;

const _: () = assert!(PROTOCOL_MIN <= PROTOCOL_MAX);

/// The newest version that both sides speak.
///
/// # Errors
/// `protocol-mismatch` if there is none, `bad-hello` if the peer's range is empty.
pub fn agree(ours: (u16, u16), hello: &Hello) -> Result<u16, Fault> {
    let (our_min, our_max) = ours;
    let (their_min, their_max) = (hello.protocol_min, hello.protocol_max);
    if their_min > their_max {
        return Err(Fault::peer(
            "bad-hello",
            format!("{} {} claims to speak protocols {their_min} to {their_max}", hello.name, hello.version),
            "use an intact dataplane binary",
        ));
    }
    let version = our_max.min(their_max);
    if version < our_min.max(their_min) {
        let older = if their_max < our_min { "dataplane" } else { "supervisor" };
        return Err(Fault::operator(
            "protocol-mismatch",
            format!(
                "{} {} speaks protocols {their_min} to {their_max}, this supervisor {our_min} to {our_max}",
                hello.name, hello.version
            ),
            format!("upgrade the {older} first"),
        ));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(min: u16, max: u16) -> Hello {
        Hello { protocol_min: min, protocol_max: max, pid: 1, version: "0".into(), name: "dataplane".into() }
    }

    #[test]
    fn newest_common_version_wins() {
        assert_eq!(agree((1, 3), &hello(2, 5)), Ok(3));
        assert_eq!(agree((1, 5), &hello(2, 3)), Ok(3));
        assert_eq!(agree((2, 2), &hello(2, 2)), Ok(2));
    }

    #[test]
    fn no_common_version_names_who_must_be_upgraded() {
        let newer = agree((1, 2), &hello(3, 4)).unwrap_err();
        assert_eq!(newer.code, "protocol-mismatch");
        assert!(newer.remedy.contains("supervisor"));
        let older = agree((3, 4), &hello(1, 2)).unwrap_err();
        assert!(older.remedy.contains("dataplane"));
        assert_eq!(agree((1, 2), &hello(4, 3)).unwrap_err().code, "bad-hello");
    }
}
