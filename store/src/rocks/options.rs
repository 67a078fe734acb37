//! How RocksDB is tuned, each value with its reason. The target is a gateway: tens of megabytes, slow flash.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, LogLevel,
    Options as Rocks,
};

use crate::keyspace::{Keyspace, Tuning};
use crate::options::Options;

/// The keyspace RocksDB always has. Nothing is kept in it.
pub(super) const DEFAULT: &str = "default";

/// Options of the whole engine.
pub(super) fn engine(options: &Options) -> Rocks {
    let mut rocks = Rocks::default();
    rocks.create_if_missing(true);
    rocks.create_missing_column_families(true);
    // A file that is not as it should be is an error at once, not wrong data later.
    rocks.set_paranoid_checks(true);
    // Stop at the first record that is not whole. The log was read and mended before, so that this can only be the
    // end of a write which was never acknowledged.
    rocks.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // A restart reads the log once, and a gateway has to be back soon.
    rocks.set_max_total_wal_size(options.wal_bytes_max);
    // One bound for all keyspaces together, because ten buffers of their own would be ten times the memory.
    rocks.set_db_write_buffer_size(options.write_buffer_bytes);
    rocks.set_max_open_files(options.open_files_max);
    // Otherwise sixteen threads are started at every start, for a few files.
    rocks.set_max_file_opening_threads(2);
    // One thread to write out and one to compact is what two cores can spare.
    rocks.set_max_background_jobs(2);
    // There is one writer, so nothing is gained by preparing for several.
    rocks.set_allow_concurrent_memtable_write(false);
    rocks.set_enable_write_thread_adaptive_yield(false);
    // Table files go to the disk as they are written, so that no sync has to wait for megabytes of them.
    rocks.set_bytes_per_sync(512 << 10);
    // Each start begins a new manifest; it must not grow for a year in between.
    rocks.set_max_manifest_file_size(4 << 20);
    // The engine's own log is for the rare case; without these it grows without bound.
    rocks.set_log_level(LogLevel::Warn);
    rocks.set_keep_log_file_num(2);
    rocks.set_max_log_file_size(1 << 20);
    // Statistics of the engine are not shown anywhere; keeping them costs memory and a thread's time.
    rocks.set_stats_dump_period_sec(0);
    rocks.set_stats_persist_period_sec(0);
    rocks.set_skip_stats_update_on_db_open(true);
    rocks
}

/// The shared cache of blocks.
pub(super) fn cache(options: &Options) -> Cache {
    Cache::new_lru_cache(options.block_cache_bytes)
}

/// All keyspaces: those asked for, those an earlier version left behind, and the engine's own.
pub(super) fn keyspaces(
    options: &Options,
    cache: &Cache,
    wanted: &[Keyspace],
    others: &[String],
) -> Vec<ColumnFamilyDescriptor> {
    let describe = |name: &str, tuning| ColumnFamilyDescriptor::new(name, keyspace(options, cache, tuning));
    let wanted = wanted
        .iter()
        .map(|keyspace| describe(keyspace.name, keyspace.tuning));
    let others = others.iter().map(|name| describe(name, Tuning::Scan));
    std::iter::once(describe(DEFAULT, Tuning::Scan))
        .chain(wanted)
        .chain(others)
        .collect()
}

fn keyspace(options: &Options, cache: &Cache, tuning: Tuning) -> Rocks {
    let mut rocks = Rocks::default();
    // The bound for all is what counts; one keyspace may use a quarter of it, so that one busy keyspace is written
    // out in pieces that compact well.
    rocks.set_write_buffer_size((options.write_buffer_bytes / 4).max(1 << 20));
    // Reserved at the first write to a keyspace; ten of them should not cost megabytes.
    rocks.set_arena_block_size(64 << 10);
    rocks.set_compression_type(DBCompressionType::Lz4);
    rocks.set_target_file_size_base(8 << 20);
    rocks.set_max_bytes_for_level_base(32 << 20);
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    // Filters and indexes count against the cache, so that many files do not mean much memory.
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    match tuning {
        Tuning::Point => {
            // Nine of ten questions for a key that is not there are answered without reading a block.
            table.set_bloom_filter(10.0, false);
            table.set_block_size(4 << 10);
        }
        Tuning::Scan => table.set_block_size(16 << 10),
        Tuning::Queue => {
            table.set_block_size(16 << 10);
            // What was consumed lies in front of what is read next; a file with many deletions is compacted early.
            rocks.add_compact_on_deletion_collector_factory(1024, 512, 0.5);
        }
    }
    rocks.set_block_based_table_factory(&table);
    rocks
}
