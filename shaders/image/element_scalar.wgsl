// One channel per element, for copies of any channels. Fills the slot `element` of image/copy_window.wgsl.
alias Element = u32;
const LANES: u32 = 1u;

// `value`, which belongs to `channel`, or zero from channel `end` on
fn below(value: Element, channel: u32, end: u32) -> Element { return select(0u, value, channel < end); }
