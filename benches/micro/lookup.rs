//! Flows looked up at random in batches: with memory asked for beforehand and without, in tables of growing size.

use std::time::Duration;

use benches::memory::lookup::{BATCH, Lookup};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const BATCHES: usize = 1024;

fn lookup(c: &mut Criterion) {
    let mut group = c.benchmark_group("lookup");
    group.throughput(Throughput::Elements((BATCHES * BATCH) as u64)).sample_size(20);
    for flows in [1_000, 1_000_000, 4_000_000] {
        let mut table = Lookup::new(flows, BATCHES * BATCH).expect("a full table");
        for (name, staged) in [("staged", true), ("plain", false)] {
            group.bench_function(BenchmarkId::new(name, flows), |b| {
                b.iter_custom(|times| {
                    let one = |_| {
                        table.shuffle();
                        if staged { table.staged() } else { table.plain() }.expect("all are found")
                    };
                    (0..times).map(one).sum::<Duration>()
                });
            });
        }
    }
}

criterion_group!(benches, lookup);
criterion_main!(benches);
