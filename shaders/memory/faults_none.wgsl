// No faults: a read of the stored codes as they are.
struct Faults {
  unused: u32,
}

fn open_faults(at: u32, origin: u32, image: u32) -> Faults { return Faults(0u); }
fn block_mask(faults: Faults, block: u32, stored: Words) -> Words { return Words(); }
