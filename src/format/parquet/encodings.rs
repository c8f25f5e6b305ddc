//! How each column is encoded: chosen from a part's first rows.
//!
//! A dictionary where it stays small and spares much, deltas for whatever is an integer inside (dates, timestamps and
//! decimals of up to 18 digits too), plain otherwise. Against a dictionary for every column, which is the writer's
//! default, that is up to three times faster and files are up to two and a half times smaller
//! (docs/formats.md has the figures).

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, GenericByteArray, RecordBatch, types::ByteArrayType};
use arrow_schema::DataType;
use parquet::basic::{Encoding, Type};
use parquet::file::properties::{EnabledStatistics, WriterPropertiesBuilder};
use parquet::schema::types::SchemaDescriptor;

/// Values of a column to look at.
const SAMPLE: usize = 16 << 10;
/// A dictionary beyond this would not fit the page it must stand in (1 MiB), should the estimate be somewhat low.
const DICTIONARY_BYTES: f64 = 512.0 * 1024.0;
/// What general compression makes of texts that are written one by one, roughly.
const COMPRESSED: f64 = 3.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Plain,
    Delta,
    Dictionary,
}

/// Sets encodings and statistics for the leaves of `columns`, of which `batches` hold the first rows.
pub fn choose(
    builder: WriterPropertiesBuilder,
    columns: &SchemaDescriptor,
    batches: &[RecordBatch],
    plain: bool,
    group_bytes: usize,
) -> WriterPropertiesBuilder {
    let mut builder = builder
        // Per chunk only: what a page index would add costs more time than all of the chunk's statistics.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_dictionary_enabled(false);
    let rows = rows_of_group(batches, group_bytes);
    let mut leaves: Vec<Vec<ArrayRef>> = vec![Vec::new(); columns.num_columns()];
    for batch in batches {
        let mut of_batch = Vec::new();
        batch.columns().iter().for_each(|array| add_leaves(array, &mut of_batch));
        leaves.iter_mut().zip(of_batch).for_each(|(leaf, array)| leaf.push(array));
    }
    for (column, arrays) in columns.columns().iter().zip(leaves) {
        let path = column.path().clone();
        builder = match choice(column.physical_type(), &Sample::of(&arrays), plain, rows) {
            Choice::Plain => builder,
            Choice::Delta => builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            Choice::Dictionary => builder.set_column_dictionary_enabled(path, true),
        };
    }
    builder
}

/// About how many rows a group will hold.
fn rows_of_group(batches: &[RecordBatch], group_bytes: usize) -> f64 {
    let bytes: usize = batches.iter().map(super::size_of).sum();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    (group_bytes as f64 * COMPRESSED / (bytes as f64 / rows as f64).max(1.0)).clamp(1.0, super::GROUP_ROWS as f64)
}

/// The arrays of values at the ends of lists and records, in the order of Parquet's columns.
fn add_leaves(array: &ArrayRef, leaves: &mut Vec<ArrayRef>) {
    match array.data_type() {
        DataType::List(_) => add_leaves(array.as_list::<i32>().values(), leaves),
        DataType::Struct(_) => array.as_struct().columns().iter().for_each(|column| add_leaves(column, leaves)),
        _ => leaves.push(array.clone()),
    }
}

fn choice(physical: Type, sample: &Sample, plain: bool, rows: f64) -> Choice {
    let distinct = sample.expected_distinct();
    let (index_bits, value_bytes) =
        (distinct.log2().ceil().max(1.0), sample.bytes as f64 / sample.values.max(1) as f64);
    let small = sample.values > 0 && distinct * value_bytes <= DICTIONARY_BYTES;
    let spares_half = |bits: f64| small && index_bits * 2.0 <= bits;
    match physical {
        Type::BOOLEAN => Choice::Plain,
        // A dictionary costs more time than deltas: it has to be well smaller.
        Type::INT32 | Type::INT64 if !plain => match spares_half(sample.delta_bits) {
            true => Choice::Dictionary,
            false => Choice::Delta,
        },
        Type::INT32 | Type::INT64 | Type::INT96 | Type::FLOAT | Type::DOUBLE => match spares_half(value_bytes * 8.0) {
            true => Choice::Dictionary,
            false => Choice::Plain,
        },
        Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => {
            let with = distinct * value_bytes + rows * index_bits / 8.0;
            let without = rows * value_bytes / COMPRESSED;
            if small && with < without { Choice::Dictionary } else { Choice::Plain }
        }
    }
}

/// What is known of a column's values.
#[derive(Debug, Default)]
struct Sample {
    values: usize,
    distinct: usize,
    /// All values as Parquet would write them one by one.
    bytes: usize,
    /// How many bits a delta takes, on average over blocks of values, taken as integers.
    delta_bits: f64,
}

impl Sample {
    fn of(arrays: &[ArrayRef]) -> Self {
        let mut tally = Tally::default();
        for array in arrays {
            tally.add(array);
        }
        tally.sample()
    }

    /// How many different values there will be, if they are all about as frequent.
    ///
    /// Of N values, n draws show N·(1 − e^(−n/N)) on average: found for N by halving.
    fn expected_distinct(&self) -> f64 {
        let (draws, seen) = (self.values as f64, self.distinct as f64);
        let (mut low, mut high) = (seen, 1e12);
        if seen >= draws {
            return high;
        }
        while high - low > low / 64.0 + 1.0 {
            let middle = (low + high) / 2.0;
            match middle * -(-draws / middle).exp_m1() < seen {
                true => low = middle,
                false => high = middle,
            }
        }
        low.max(1.0)
    }
}

/// Deltas are packed in blocks of this many values.
const BLOCK: usize = 32;

#[derive(Default)]
struct Tally {
    hashes: HashSet<u64>,
    values: usize,
    bytes: usize,
    integers: Vec<i64>,
}

impl Tally {
    fn add(&mut self, array: &ArrayRef) {
        match array.data_type() {
            DataType::Utf8 => self.add_texts(array.as_string::<i32>()),
            DataType::Binary => self.add_texts(array.as_binary::<i32>()),
            DataType::FixedSizeBinary(width) => self.add_fixed(array, *width as usize),
            other => {
                // Without a width: booleans, which are a bit each in any case.
                if let Some(width) = other.primitive_width() {
                    self.add_fixed(array, width);
                }
            }
        }
    }

    fn add_texts<T: ByteArrayType>(&mut self, array: &GenericByteArray<T>)
    where
        T::Native: AsRef<[u8]>,
    {
        for value in array.iter().flatten().take(SAMPLE - self.values) {
            // Each has its length before it.
            self.add_value(value.as_ref(), 4);
        }
    }

    fn add_fixed(&mut self, array: &ArrayRef, width: usize) {
        let data = array.to_data();
        let all = data.buffers().first().map_or(&[][..], |buffer| buffer.as_slice());
        let valid = |row: &usize| array.is_valid(*row);
        for row in (0..array.len()).filter(valid).take(SAMPLE - self.values) {
            let from = (data.offset() + row) * width;
            let Some(value) = all.get(from..from + width) else { return };
            let mut low = [0; 8];
            low[..width.min(8)].copy_from_slice(&value[..width.min(8)]);
            let unused = 64 - 8 * width.min(8) as u32;
            self.integers.push(i64::from_le_bytes(low) << unused >> unused);
            self.add_value(value, 0);
        }
    }

    fn add_value(&mut self, value: &[u8], overhead: usize) {
        let mut hasher = DefaultHasher::new();
        hasher.write(value);
        self.hashes.insert(hasher.finish());
        self.values += 1;
        self.bytes += value.len() + overhead;
    }

    fn sample(self) -> Sample {
        let deltas: Vec<_> = self.integers.windows(2).map(|pair| i128::from(pair[1]) - i128::from(pair[0])).collect();
        let bits = |block: &[i128]| {
            let spread = block.iter().max().zip(block.iter().min()).map_or(0, |(high, low)| high - low);
            f64::from(128 - spread.leading_zeros())
        };
        let blocks = deltas.chunks(BLOCK).map(bits);
        let count = blocks.len().max(1) as f64;
        Sample {
            values: self.values,
            distinct: self.hashes.len(),
            bytes: self.bytes,
            delta_bits: blocks.sum::<f64>() / count,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Decimal128Array, Float64Array, Int64Array, StringArray};

    use super::*;

    const ROWS: f64 = 500_000.0;

    /// Numbers of 40 bits without visible order.
    fn scattered(count: u64) -> impl Iterator<Item = u64> {
        let mix = |n: u64, by: u64| (n ^ n >> 31).wrapping_mul(by);
        (1..=count).map(move |n| mix(mix(n, 0xbf58_476d_1ce4_e5b9), 0x94d0_49bb_1331_11eb) >> 24)
    }

    fn choice_of(physical: Type, array: impl Array + 'static, plain: bool) -> Choice {
        choice(physical, &Sample::of(&[Arc::new(array)]), plain, ROWS)
    }

    fn texts(kinds: u64) -> StringArray {
        scattered(16_000).map(|n| Some(format!("value number {}", n % kinds))).collect()
    }

    #[test]
    fn texts_have_a_dictionary_where_they_repeat() {
        assert_eq!(choice_of(Type::BYTE_ARRAY, texts(3), false), Choice::Dictionary);
        assert_eq!(choice_of(Type::BYTE_ARRAY, texts(10_000), false), Choice::Dictionary);
        assert_eq!(choice_of(Type::BYTE_ARRAY, texts(1 << 40), false), Choice::Plain);
        assert_eq!(choice_of(Type::BYTE_ARRAY, texts(200_000), false), Choice::Plain);
        assert_eq!(choice_of(Type::BYTE_ARRAY, StringArray::new_null(5), false), Choice::Plain);
    }

    #[test]
    fn integers_are_deltas_unless_few_are_far_apart() {
        let ids: Int64Array = (0..10_000).map(Some).collect();
        assert_eq!(choice_of(Type::INT64, ids.clone(), false), Choice::Delta);
        assert_eq!(choice_of(Type::INT64, ids, true), Choice::Plain);
        let digits: Int64Array = scattered(10_000).map(|n| Some((n % 10) as i64)).collect();
        assert_eq!(choice_of(Type::INT64, digits, false), Choice::Delta);
        let codes: Int64Array = scattered(10_000).map(|n| Some((n % 10) as i64 * 1_000_003)).collect();
        assert_eq!(choice_of(Type::INT64, codes.clone(), false), Choice::Dictionary);
        assert_eq!(choice_of(Type::INT64, codes, true), Choice::Dictionary);
        let prices = Decimal128Array::from_iter_values(scattered(10_000).map(|n| -i128::from(n % 5_000_000)));
        assert_eq!(choice_of(Type::INT64, prices, false), Choice::Delta);
    }

    #[test]
    fn doubles_are_plain_unless_they_repeat() {
        let measured: Float64Array = scattered(10_000).map(|n| Some(n as f64 / 7.0)).collect();
        assert_eq!(choice_of(Type::DOUBLE, measured, false), Choice::Plain);
        let rates: Float64Array = scattered(10_000).map(|n| Some((n % 12) as f64 / 100.0)).collect();
        assert_eq!(choice_of(Type::DOUBLE, rates, false), Choice::Dictionary);
    }

    #[test]
    fn estimates_how_many_values_there_are() {
        for kinds in [1, 50, 1_000, 30_000] {
            let estimate = Sample::of(&[Arc::new(texts(kinds))]).expected_distinct();
            assert!((estimate / kinds as f64 - 1.0).abs() < 0.5, "{kinds} values, {estimate} expected");
        }
    }
}
