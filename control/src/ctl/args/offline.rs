//! Arguments of the commands that look at files, or at memory, and change nothing that runs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// See `Verb::Check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The binary that would run.
    pub old: PathBuf,
    /// The binary that would take over.
    pub new: PathBuf,
    /// Check the way back too.
    #[arg(long)]
    pub both: bool,
    /// Reckon with so many flows (default: limits.flows_max of --config, otherwise 65536).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
    pub flows: Option<u64>,
    /// Reckon with the flows, workers and backends of this config file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Reckon with this rate of translation, in MB/s read and written together, instead of measuring this host.
    #[arg(long, value_name = "MB/S", value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// Exit with 3 when information may be lost.
    #[arg(long)]
    pub strict: bool,
}

/// See `Verb::State`.
#[derive(Clone, Debug, Subcommand)]
pub enum StateVerb {
    /// Print the live records of the tables.
    ///
    /// Rows hold all that the layouts describe and the incarnations of free slots too: `load` makes the same table of
    /// them. With --json, text becomes JSON lines.
    Dump {
        #[command(flatten)]
        source: SourceArgs,
        /// Only the table of this name.
        #[arg(long, value_name = "NAME")]
        table: Option<String>,
        /// How to write records.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// Write to this new file instead of standard output; rows do not go to a terminal.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Write an image of the running region: one file per segment, into a new directory.
    Save {
        /// The directory; made, or empty.
        dir: PathBuf,
    },
    /// Make the image of a table from dumped rows, in the layout of a binary.
    ///
    /// Slots and incarnations stay what they were. Values that do not fit are handled by the policy of their field and
    /// counted; fields that the rows lack get their default, and are refused where only code could compute them.
    Load {
        /// The binary whose layout the table is to have.
        #[arg(long, value_name = "FILE")]
        binary: PathBuf,
        /// What `state dump --format rows` wrote.
        #[arg(long, value_name = "FILE")]
        rows: PathBuf,
        /// The image, a new file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Only the table of this name (needed where the rows are of several).
        #[arg(long, value_name = "NAME")]
        table: Option<String>,
        /// Slots of the table (default: as many as the dumped one had).
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
        capacity: Option<u64>,
    },
    /// How full the tables and indexes are.
    Stats {
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Check every claim of every segment, and whether records, index, free slots and identities agree.
    ///
    /// Of a running region several copies are taken, and what is wrong counts only if it is in all of them.
    Verify {
        #[command(flatten)]
        source: SourceArgs,
    },
}

/// Where the segments are.
#[derive(Clone, Debug, Args)]
pub struct SourceArgs {
    /// An image instead of the running region: a segment's file, or a directory of them.
    #[arg(long, value_name = "FILE|DIR")]
    pub image: Option<PathBuf>,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per record and line.
    Jsonl,
    /// Comma-separated values with a header; one table only.
    Csv,
    /// The binary wire form, which `state load` reads.
    Rows,
}
