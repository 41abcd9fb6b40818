// Four channels per element, for copies whose channels begin and end at multiples of four. Fills the slot `element` of
// image/copy_window.wgsl.
alias Element = vec4u;
const LANES: u32 = 4u;

// `value`, whose first channel is `channel`, with zeros from channel `end` on
fn below(value: Element, channel: u32, end: u32) -> Element {
  return select(vec4u(), value, vec4u(channel) + vec4u(0u, 1u, 2u, 3u) < vec4u(end));
}
