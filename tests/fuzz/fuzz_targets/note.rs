#![no_main]

fuzz::target!("note");
