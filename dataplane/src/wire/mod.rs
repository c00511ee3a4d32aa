//! Checked views of bytes: what the kernel and strangers hand over is a claim until it was parsed
//! here, and nothing here panics whatever the bytes say.

pub mod cmsg;
pub mod recvmsg_out;
pub mod sockaddr;
