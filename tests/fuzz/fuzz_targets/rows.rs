#![no_main]

fuzz::target!("rows");
