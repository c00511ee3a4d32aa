#![no_main]

fuzz::target!("segment");
