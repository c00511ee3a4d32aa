//! A million flow records from layout 1 into layout 2: the engine, hand-written code, and a memcpy with the same strides.

use std::time::Duration;

use benches::memory::translation::{Contender, Translation};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const RECORDS: usize = 1_000_000;

fn translate(c: &mut Criterion) {
    let mut translation = Translation::new(RECORDS).expect("two tables");
    let mut group = c.benchmark_group("translate-1m");
    group.throughput(Throughput::Elements(RECORDS as u64)).sample_size(20);
    for contender in Contender::ALL {
        group.bench_function(format!("{contender:?}"), |b| {
            b.iter_custom(|times| (0..times).map(|_| translation.time(contender)).sum::<Duration>());
        });
    }
}

criterion_group!(benches, translate);
criterion_main!(benches);
