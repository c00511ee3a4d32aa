#![no_main]

fuzz::target!("descriptor");
