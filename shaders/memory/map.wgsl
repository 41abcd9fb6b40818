// The table of maps: MAP_WORDS words a tensor, first what is said of the tensor, then its sources of faults, SOURCE_WORDS
// each, then their quantile tables. Behind the tensors' maps lie the scales of rows (format_integer.wgsl).
// Written by src/memory/map_table.ts.
const MAP_WORDS: u32 = 2048u;
const MAP_KEY: u32 = 0u;            // two words: hash of seed, chip and tensor
const MAP_READ: u32 = 2u;           // read counter, to which the pass is added
const MAP_GRANULARITY: u32 = 3u;    // 0 fixed for all passes (chip, load), 1 pass, 2 inference
const MAP_SCALE: u32 = 4u;          // f32: value of one unit; of noise, its scale
const MAP_INVERSE_SCALE: u32 = 5u;  // f32
const MAP_BITS: u32 = 6u;           // of a code
const MAP_SCALES: u32 = 7u;         // where the scales of rows begin
const MAP_LOAD: u32 = 8u;           // number of the load
const MAP_DEVICE: u32 = 9u;         // two words: hash of seed and chip, which all tensors share
const MAP_ROW_BITS: u32 = 11u;      // bits of a row of the geometry, a power of two
const MAP_BANKS: u32 = 12u;         // a power of two
const MAP_COUNT: u32 = 13u;         // sources
const MAP_SCRUBBED: u32 = 14u;      // the first so many of them are scrubbed on load
const MAP_ROWS: u32 = 15u;          // of the tensor
const MAP_COLUMNS: u32 = 16u;
const MAP_ROW_BLOCKS: u32 = 17u;    // blocks of a row
const MAP_SPARSE_FAULTS: u32 = 18u; // where the tables of memory/sparse_faults.wgsl begin, counted from the map
const MAP_SOURCES: u32 = 20u;

const SOURCE_WORDS: u32 = 12u;
const SOURCE_TABLE: u32 = 0u;       // where its table begins, counted from the map; entry k: at least k + 1 cells fail when the draw is <= it
const SOURCE_LIMIT: u32 = 1u;       // entries of the table
const SOURCE_FIRST_BIT: u32 = 2u;   // it fails bits FIRST_BIT .. FIRST_BIT + BITS - 1 of a code
const SOURCE_BITS: u32 = 3u;
const SOURCE_DRAWN: u32 = 4u;       // 0 once a chip, 1 once a load, 2 every read
const SOURCE_SALT: u32 = 5u;        // sets sources apart, 0 .. 127; sources of one salt draw the same cells
const SOURCE_STORED: u32 = 6u;      // 0 whatever is stored, 1 only cells that store 0, 2 only cells that store 1
const SOURCE_EFFECT: u32 = 7u;      // 0 the cell reads the wrong value, 1 it reads 0, 2 it reads 1
const SOURCE_LINES: u32 = 8u;       // 0 everywhere; 1 cache lines, 2 wordlines, 3 bitlines whose hash lies in FROM .. TO
const SOURCE_FROM: u32 = 9u;
const SOURCE_TO: u32 = 10u;
const SOURCE_FAILURE: u32 = 11u;    // a drawn cell fails in a read whose hash is <= it
