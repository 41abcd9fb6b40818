#include "common/hash.wgsl"
#include "common/step.wgsl"

// Draft 2.
struct Face {
  ray_x: vec4f,
  ray_y: vec4f,
  ray_z: vec4f,
  light: vec4f,       // towards the key light in head space; its strength
  light_body: vec4f,  // the same in camera space; ambient light
  frame: vec4f,       // units a pixel, X and Y of the image's centre, exposure
  skull: vec4f,       // y of the widest level, 1 / height above it, 1 / height below it, z of the chin
  skull_size: vec4f,  // half width squared, half depth squared, y of the chin, half width
  jaw: vec4f,
  nose: vec4f,        // y of root, tip and base, half width
  nose_form: vec4f,   // projection, bulb, wing, bridge width
  form: vec4f,        // socket, brow ridge, cheek, chin
  form_low: vec4f,    // muzzle, y of the cheek, fold, eye bag
  eye: vec4f,         // x, y, half width, upper opening
  eye_lid: vec4f,     // lower opening, openness, slant, asymmetry
  iris: vec4f,        // gaze x, gaze y, radius, albedo
  brow: vec4f,        // y, half length, thickness, tilt
  brow_form: vec4f,   // arch, density, albedo, lashes
  mouth: vec4f,       // y, half width, upper lip, lower lip
  mouth_form: vec4f,  // corner lift, gap, teeth, lip albedo relative to skin
  skin: vec4f,        // albedo, shine, stubble, forehead lines
  beard: vec4f,       // full, moustache, edge, albedo
  hair: vec4f,        // half width, half depth, 1 / height, z
  hair_low: vec4f,    // y of the end, half width there, sideburn, back
  hair_edge: vec4f,   // jag, softness, side opening, cover
  hair_line: vec4f,   // y at the middle, recess, drop, tilt
  hair_look: vec4f,   // albedo, shine, strands a unit, curl
  hair_fan: vec4f,    // part, y of the apex, phase, phase
  ear: vec4f,         // x, y, half height, half width
  neck: vec4f,        // radius, Y of its base, collar kind, Y of the chin
  cloth: vec4f,       // albedo, collar albedo, neckline depth, Y of the shoulders
  glasses: vec4f,     // opacity, x, half width, half height
  glasses_form: vec4f,// rim, roundness, albedo, z
  backdrop: vec4f,    // tone, gradient x, gradient y, vignette
  grain: vec4f,       // sigma in levels, then two key words as bits
}

@group(0) @binding(0) var<storage, read> faces: array<Face>;
@group(0) @binding(1) var<storage, read_write> pixels: array<u32>;
@group(0) @binding(2) var<uniform> step: Step;

var<private> face: Face;
var<private> soft: f32;   // half the width of an antialiased edge, in units: about half a pixel

fn edge(distance: f32) -> f32 {
  return smoothstep(-soft, soft, distance);
}

// A bell of height 1, half of it at |x| = 1, zero from 2 on.
fn bell(x: f32) -> f32 {
  let k = max(0.0, 1.0 - 0.25 * x * x);
  return k * k;
}

// A line of half width `width` seen from `distance`; never thinner than a pixel, but then fainter.
fn stroke(distance: f32, width: f32) -> f32 {
  let wide = max(width, soft);
  return bell(distance / wide) * width / wide;
}

// Smooth noise on the integer lattice, two channels in 0..1.
fn noise(at: vec2f) -> vec2f {
  let cell = floor(at);
  let f = at - cell;
  let s = f * f * (3.0 - 2.0 * f);
  let i = bitcast<vec2u>(vec2i(cell));
  let key = bitcast<u32>(face.grain.z);
  let a = vec2f(pcg4d(vec4u(i.x, i.y, key, 0u)).xy >> vec2u(8u));
  let b = vec2f(pcg4d(vec4u(i.x + 1u, i.y, key, 0u)).xy >> vec2u(8u));
  let c = vec2f(pcg4d(vec4u(i.x, i.y + 1u, key, 0u)).xy >> vec2u(8u));
  let d = vec2f(pcg4d(vec4u(i.x + 1u, i.y + 1u, key, 0u)).xy >> vec2u(8u));
  return mix(mix(a, b, s.x), mix(c, d, s.x), s.y) / 16777216.0;
}

// --- the skull and its features -------------------------------------------------------------------------------------

struct Profile {
  w2: f32, w2_y: f32,   // half width squared and its slope
  d2: f32, d2_y: f32,   // half depth squared
  z: f32, z_y: f32,     // centre
}

fn profile(y: f32) -> Profile {
  var p: Profile;
  let above = y - face.skull.x;
  if (above > 0.0) {
    let s = above * face.skull.y;
    let s2 = s * s;
    let f = 1.0 - s2 * (0.75 + 0.25 * s2);
    let f_y = -s * (1.5 + s2) * face.skull.y;
    p.w2 = face.skull_size.x * f;
    p.w2_y = face.skull_size.x * f_y;
    p.d2 = face.skull_size.y * f;
    p.d2_y = face.skull_size.y * f_y;
  } else {
    let t = min(-above * face.skull.z, 1.1);
    let c = face.jaw;
    let poly = c.x * (1.0 + t) + t * t * (c.y + t * (c.z + t * c.w));
    let poly_t = c.x + t * (2.0 * c.y + t * (3.0 * c.z + t * 4.0 * c.w));
    p.w2 = (1.0 - t) * max(poly, 0.6 * c.x);
    p.w2_y = -((1.0 - t) * poly_t - poly) * face.skull.z;
    let t3 = t * t * t;
    p.d2 = face.skull_size.y * (1.0 - t3 * t);
    p.d2_y = 4.0 * t3 * face.skull_size.y * face.skull.z;
    p.z = face.skull.w * t3 * t3;
    p.z_y = -6.0 * face.skull.w * t3 * t * t * face.skull.z;
  }
  return p;
}

fn bump(x: f32, y: f32, ix: f32, iy: f32, height: f32) -> vec3f {
  let u = x * ix;
  let v = y * iy;
  let k = max(0.0, 1.0 - u * u - v * v);
  let g = height * k * k;
  return vec3f(g * k, -6.0 * g * u * ix, -6.0 * g * v * iy);
}

// Height of the features over the skull, along z, and its slopes in x and y.
fn relief(x: f32, y: f32) -> vec3f {
  if (y > 0.7) { return vec3f(0.0); }
  let a = abs(x);
  // Pairs: socket, eyeball, brow ridge, cheek, wing of the nose.
  let e = face.eye;
  var r = bump(a - e.x + 0.04, y - e.y - 0.03, 2.5, 4.4, -face.form.x);
  r += bump(a - e.x, y - e.y, 4.0, 5.2, 0.085);
  r += bump(a - e.x * 0.9, y - face.brow.x + 0.01, 1.9, 5.0, face.form.y);
  r += bump(a - 0.56, y - face.form_low.y, 2.2, 2.7, face.form.z);
  r += bump(a - face.nose.w * 0.72, y - face.nose.z - 0.075, 6.6, 8.0, face.nose_form.z);
  r.y = select(-r.y, r.y, x >= 0.0);
  // The nose: a ridge from root to tip, rounded off below.
  let length = face.nose.x - face.nose.y;
  let t = (face.nose.x - y) / length;
  if (t > 0.0) {
    let u = min(t, 1.0);
    var h = face.nose_form.x * u * u * (2.3 - 1.3 * u);
    var h_y = select(0.0, -face.nose_form.x * u * (4.6 - 3.9 * u) / length, t < 1.0);
    let drop = face.nose.y - face.nose.z + 0.12;
    let below = max(0.0, face.nose.y - y) / drop;
    let k = max(0.0, 1.0 - below * below);
    h_y = h_y * k * k + h * 2.4 * k * below / drop;
    h *= k * k;
    let width = mix(face.nose_form.w, face.nose.w * 1.75, u * u);
    let v = x / (width * (1.0 - 0.4 * min(below, 1.0)));
    let q = max(0.0, 1.0 - v * v);
    r += vec3f(h * q * q, -4.0 * h * q * v / width, h_y * q * q);
    r += bump(x, y - face.nose.y, 1.0 / (face.nose.w * 0.9), 6.0, face.nose_form.y);
    // Mouth and chin.
    let m = face.mouth;
    r += bump(x, y - m.x - 0.02, 1.75, 2.4, face.form_low.x);
    let lip = 1.0 / (m.y * 1.15);
    r += bump(x, y - m.x - m.z * 0.5, lip, 0.75 / m.z, 0.3 * m.z);
    r += bump(x, y - m.x + m.w * 0.6 + face.mouth_form.y, lip * 1.15, 0.7 / m.w, 0.36 * m.w);
    r += bump(x, y - mix(m.x, face.skull_size.z, 0.46), 2.6, 7.0, -0.04);
    r += bump(x, y - face.skull_size.z - 0.2, 2.7, 4.0, face.form.w);
  }
  return r;
}

struct Hit {
  cover: f32,
  at: vec3f,
  normal: vec3f,
}

fn hit_head(o: vec3f, d: vec3f) -> Hit {
  var t = (0.95 - o.z) / d.z;
  var p: Profile;
  var r: vec3f;
  var inside = 0.0;
  for (var i = 0; i < 4; i++) {
    let at = o + t * d;
    p = profile(at.y);
    r = relief(at.x, at.y);
    let w2 = max(p.w2, 0.002);
    let d2 = max(p.d2, 0.002);
    let z = o.z - r.x - p.z;
    let qa = d.x * d.x / w2 + d.z * d.z / d2;
    let qb = o.x * d.x / w2 + z * d.z / d2;
    let disc = qb * qb - qa * (o.x * o.x / w2 + z * z / d2 - 1.0);
    t = (-qb - sqrt(max(disc, 0.0))) / qa;
    // 1 on the axis, 0 on the outline, falling by about 2 a unit there.
    inside = p.w2 - (1.0 - disc / qa) * w2;
    p.w2 = w2;
    p.d2 = d2;
  }
  var hit: Hit;
  hit.cover = edge(0.5 * inside / face.skull_size.w);
  hit.at = o + t * d;
  let q = (hit.at.z - r.x - p.z) / p.d2;
  let u = hit.at.x / p.w2;
  hit.normal = normalize(vec3f(u - q * r.y, -0.5 * (u * u * p.w2_y + q * q * p.d2_y) - q * (r.z + p.z_y), q));
  return hit;
}

// --- hair -----------------------------------------------------------------------------------------------------------

// Positive inside the hair as seen on its shell, negative on the face.
fn hair_depth(x: f32, y: f32, jag: f32) -> f32 {
  let line = face.hair_line;
  let a = x / face.skull_size.w;
  let a2 = min(a * a, 1.0);
  let top = y - (line.x + a2 * (4.0 * line.y * (1.0 - a2) - line.z * a2) + line.w * a) + jag;
  let side = abs(x) - face.hair_edge.z - mix(0.22 * max(0.0, 0.5 - y), 0.12 * max(0.0, -0.3 - y), face.hair_low.w) + 0.35 * jag;
  return min(max(top, side), y - face.hair_low.x + 0.6 * jag);
}

struct Hair {
  cover: f32,
  radiance: f32,
  shell: f32,   // cover of the whole shell, face or hair
  behind: f32,  // radiance of the hair behind the face
}

fn hit_hair(o: vec3f, d: vec3f) -> Hair {
  var hair: Hair;
  var t = (0.9 - o.z) / d.z;
  var w2 = 1.0;
  var d2 = 1.0;
  var slope = 0.0;
  var inside = 0.0;
  let curl = face.hair_look.w;
  let ratio = face.hair.y / face.hair.x;
  for (var i = 0; i < 3; i++) {
    let x = o.x + t * d.x;
    let y = o.y + t * d.y;
    let above = y - face.skull.x;
    var swell = 1.0;
    if (curl > 0.0) {
      swell += curl * 0.3 * (sin(6.1 * x + face.hair_fan.z + 2.0 * y) + sin(7.3 * y + face.hair_fan.w - 1.7 * x));
    }
    var w = face.hair.x * face.hair.x;
    slope = 0.0;
    if (above > 0.0) {
      let s = above * face.hair.z;
      let s2 = s * s;
      slope = -w * s * (1.5 + s2) * face.hair.z;
      w *= swell - s2 * (0.75 + 0.25 * s2);
    } else {
      let u = min(-above / (face.skull.x - face.hair_low.x), 1.2);
      let across = mix(face.hair.x, face.hair_low.y, u * u);
      w = across * across * swell;
    }
    w2 = max(w, 0.002);
    d2 = w2 * ratio * ratio;
    let z = o.z - face.hair.w;
    let qa = d.x * d.x / w2 + d.z * d.z / d2;
    let qb = o.x * d.x / w2 + z * d.z / d2;
    let disc = qb * qb - qa * (o.x * o.x / w2 + z * z / d2 - 1.0);
    t = (-qb - sqrt(max(disc, 0.0))) / qa;
    inside = w - (1.0 - disc / qa) * w2;
  }
  hair.shell = edge(0.5 * inside / face.hair.x);
  if (hair.shell <= 0.0) { return hair; }
  let at = o + t * d;
  hair.shell *= edge(at.y - face.hair_low.x);
  let down = face.hair_fan.y - at.y;
  let across = at.x - face.hair_fan.x;
  let strand = vec2f(across / max(down, 0.3) * face.hair_look.z, 2.0 * length(vec2f(across, down)));
  let curly = curl > 0.05;
  let n0 = noise(select(strand, at.xy * 6.0, curly));
  let n1 = noise(select(strand * vec2f(2.7, 1.3), at.xy * vec2f(17.0, 15.0), curly) + 9.0);
  // What is finer than the pixels fades out.
  let coarse = (n0 - 0.5) * min(1.0, 0.02 / soft);
  let fine = (n1 - 0.5) * min(1.0, 0.012 / soft);
  let jag = face.hair_edge.x * (coarse.x + 0.7 * fine.x);
  var depth = hair_depth(at.x, at.y, jag);
  if (at.z < 0.0) { depth = max(depth, min(-2.0 * at.z, at.y - face.hair_low.x)); }
  let softness = max(face.hair_edge.y, 1.2 * soft);
  hair.cover = hair.shell * smoothstep(-softness, softness, depth) * face.hair_edge.w;
  let z = at.z - face.hair.w;
  let u = at.x / w2;
  let n = normalize(vec3f(u, -0.5 * slope * (u * u + z * z / (d2 * w2)), z / d2)
    + vec3f(0.5 * coarse.y, 0.35 * coarse.x, 0.0));
  let l = face.light.xyz;
  let diffuse = max(0.0, 0.75 * dot(n, l) + 0.25);
  let nh = max(0.0, dot(n, normalize(l - d)));
  let nh4 = nh * nh * nh * nh;
  let gloss = nh4 * nh4 * nh4 * (0.65 + 0.7 * coarse.x + fine.y);
  let texture = 0.88 + 0.65 * coarse.x + 0.55 * fine.x;
  let shade = 0.5 + 0.5 * smoothstep(-0.03, 0.2, depth);
  hair.radiance = shade * (face.hair_look.x * texture * (1.1 * face.light_body.w + face.light.w * diffuse)
    + face.hair_look.y * gloss * face.light.w);
  hair.behind = hair.radiance * mix(0.25, 0.8, smoothstep(-0.5, 0.3, at.y));
  return hair;
}

// --- skin -----------------------------------------------------------------------------------------------------------

fn shade_head(hit: Hit, d: vec3f) -> f32 {
  let x = hit.at.x;
  let y = hit.at.y;
  let a = abs(x);
  let side = select(-1.0, 1.0, x >= 0.0);
  let l = face.light.xyz;
  var albedo = face.skin.x;
  var open = 1.0;          // share of the light that reaches the point: folds, hollows, cast shadows
  var shine = face.skin.y;

  let m = face.mouth;
  let e = face.eye;
  let lid = face.eye_lid;

  if (y < e.y - 0.2) {
    // Beard and stubble.
    let u = x / m.y;
    let line = m.x + face.mouth_form.x * min(u * u, 1.5) - 0.012 * bell(x * 16.0);
    let beard_edge = m.x + 0.1 + 0.8 * a * a + face.beard.z;
    let around = max(0.0, m.x - 1.6 * m.w - y) * 4.0;
    let on_jaw = smoothstep(-0.13, 0.13, beard_edge - y) * smoothstep(-0.06, 0.06, a - m.y * 0.9 + around);
    let lip_high = m.x + 0.7 * m.z;
    let strip = 0.5 * (face.nose.z - 0.02 - lip_high) + 0.02;
    let on_lip = smoothstep(1.25, 0.6, abs(y - lip_high - strip + 0.02 + 0.9 * a * a) / strip) * smoothstep(1.3, 0.85, a / m.y);
    let whisker = max(face.beard.x * on_jaw, face.beard.y * on_lip);
    if (whisker > 0.0) {
      let n = noise(vec2f(x * 30.0, y * 18.0));
      let rough = 0.05 / (0.07 + soft);
      albedo = mix(albedo, face.beard.w * (1.0 + (n.x - 0.5) * rough), whisker * (0.85 + 0.15 * n.y));
    }
    let jaw_shade = max(on_jaw, on_lip) * face.skin.z;
    albedo *= 1.0 - jaw_shade;
    shine *= 1.0 - max(whisker, 0.5 * jaw_shade);

    // Folds from the nose to the corners of the mouth.
    let fold_top = face.nose.z + 0.08;
    let fold_t = clamp((fold_top - y) / (fold_top - m.x + 0.04), 0.0, 1.0);
    let fold_x = mix(face.nose.w * 1.1, m.y * 1.2 + 0.05, fold_t);
    open *= 1.0 - face.form_low.z * bell((a - fold_x) * 14.0) * fold_t * (1.0 - fold_t) * 4.0;

    // Nostrils, the shadow under the nose and beside it.
    let nostril = length(vec2f((a - face.nose.w * 0.5) / (face.nose.w * 0.3), (y - face.nose.z - 0.02 + 0.15 * (a - face.nose.w * 0.5)) / 0.032));
    open *= 1.0 - 0.65 * bell(nostril * 1.2);
    open *= 1.0 - (0.05 + 0.3 * max(0.0, l.y)) * bell((x + l.x * 0.12) / (0.8 * face.nose.w)) * bell((y - face.nose.z + 0.06) / 0.045);
    let sx = x * sign(l.x) + face.nose.w * 1.05;
    open *= 1.0 - min(0.45, 0.8 * abs(l.x)) * bell(sx / 0.1) * bell((y - face.nose.z - 0.12) / 0.18);

    // Lips and mouth.
    let k = max(0.0, 1.0 - u * u);
    let inside_mouth = smoothstep(0.0, 0.1, k);
    let gap = face.mouth_form.y * k;
    let bow = 1.0 - 0.2 * bell(x * 15.0) ;
    let top = line + 0.4 * gap + m.z * k * bow;
    let bottom = line - 0.6 * gap - m.w * sqrt(k) * (0.6 + 0.4 * k);
    let blur = max(soft, 0.02);
    let lips = smoothstep(-blur, blur, top - y) * smoothstep(-blur, blur, y - bottom) * smoothstep(0.0, 0.3, k);
    albedo = mix(albedo, face.skin.x * face.mouth_form.w * select(1.1, 0.88, y > line), lips);
    shine = mix(shine, 0.06, lips);
    let within = edge(line + 0.4 * gap - y) * edge(y - line + 0.6 * gap) * inside_mouth * smoothstep(0.01, 0.05, gap);
    let teeth = face.mouth_form.z * edge(y - line + 0.25 * gap) * smoothstep(0.0, 0.3, k);
    albedo = mix(albedo, mix(0.02, 0.5, teeth), within);
    open *= 1.0 - 0.65 * stroke(y - line, 0.02) * smoothstep(1.2, 0.9, abs(u)) * (1.0 - within);
    open *= 1.0 - 0.22 * bell(x / (m.y * 0.7)) * bell((y - bottom + 0.05) / 0.05);
    open *= 1.0 - 0.28 * bell(length(vec2f(a - m.y * 1.02, y - line)) / 0.045);
    // Philtrum.
    open *= 1.0 - 0.1 * bell((a - 0.0) / 0.03) * bell((y - 0.5 * (face.nose.z + top)) / 0.07);
  } else {
    // Eyes.
    let ex = a - e.x;
    let ey = y - e.y - side * lid.w - lid.z * ex;
    let v = ex / e.z;
    let k = max(0.0, 1.0 - v * v);
    let low = -lid.x * k * (1.0 + 0.25 * v);
    let high_open = e.w * k * (1.0 - 0.18 * v) * (0.7 + 0.3 * k) + 0.008;
    let high = mix(low + 0.006, high_open, lid.y);
    // Hollow beside the nose, bag, crease of the upper lid.
    open *= 1.0 - 0.25 * bell((ex + 0.2) / 0.11) * bell((ey - 0.04) / 0.11);
    open *= 1.0 - 0.16 * bell(ex / 0.22) * bell((ey - 0.1) / 0.07);
    open *= 1.0 - face.form_low.w * bell((ex + 0.03) / 0.17) * bell((ey + lid.x + 0.07) / 0.04);
    open *= 1.0 - 0.4 * stroke(ey - high_open - 0.05, 0.018) * smoothstep(0.0, 0.5, k + 0.1);
    let within = edge(high - ey) * edge(ey - low) * smoothstep(0.0, 0.1, k);
    if (within > 0.0) {
      let gaze = vec2f(x - side * e.x, ey) - face.iris.xy;
      let rr = length(gaze);
      let on_iris = edge(face.iris.z - rr);
      let on_pupil = edge(face.iris.z * 0.45 - rr);
      let white = 0.55 * (0.5 + 0.5 * k);
      let ring = max(on_pupil, 0.6 * smoothstep(0.65, 1.0, rr / face.iris.z));
      let ball = mix(white, mix(face.iris.w, 0.012, ring), on_iris) * (0.5 + 0.5 * smoothstep(0.0, 0.08, high - ey));
      albedo = mix(albedo, ball, within);
      let glint = length(gaze - l.xy * 0.035 - vec2f(0.0, 0.015));
      shine = mix(shine, 0.0, within);
      open = mix(open, 0.9, 0.6 * within);
      albedo += 0.7 * stroke(glint, 0.014) * within;
    }
    // Lashes and the edge of the lower lid.
    let lash = stroke(ey - high, 0.016 + 0.01 * face.brow_form.w) * smoothstep(1.2, 0.9, abs(v)) * face.brow_form.w;
    albedo *= 1.0 - lash;
    shine *= 1.0 - lash;
    albedo *= 1.0 - 0.3 * stroke(ey - low, 0.014) * smoothstep(1.1, 0.7, abs(v));

    // Brows.
    let b = face.brow;
    let bx = (a - e.x - 0.03) / b.y;
    let by = y - b.x - side * lid.w - b.w * bx - face.brow_form.x * (1.0 - (bx - 0.25) * (bx - 0.25));
    let thick = b.z * (1.0 - 0.55 * smoothstep(0.0, 1.1, bx)) * (0.7 + 0.3 * smoothstep(-1.0, -0.5, bx));
    let on_brow = smoothstep(1.25, 0.5, abs(by) / max(thick, 0.8 * soft)) * smoothstep(1.15, 0.7, abs(bx));
    if (on_brow > 0.0) {
      let hairs = 0.96 + 0.04 * sin(90.0 * a + 60.0 * y);
      albedo = mix(albedo, face.brow_form.z, on_brow * face.brow_form.y * hairs);
      shine *= 1.0 - on_brow;
    }
    // Lines of the forehead; sideburns.
    let lines = stroke(y - 0.55 - 0.1 * x * x, 0.025) + stroke(y - 0.72 - 0.1 * x * x, 0.025);
    open *= 1.0 - face.skin.w * lines * smoothstep(0.6, 0.2, a);
  }
  let burn = smoothstep(-0.06, 0.06, a - 0.9 * face.skull_size.w) * smoothstep(face.hair_low.z - 0.2, face.hair_low.z + 0.25, y) * face.hair_edge.w;
  albedo = mix(albedo, face.hair_look.x, 0.7 * burn);

  // Shadow of the hair on the forehead and temples.
  let under = hair_depth(x - l.x * 0.06, y + 0.04 + 0.08 * l.y, 0.0);
  open *= 1.0 - 0.4 * smoothstep(-0.2, 0.02, under) * face.hair_edge.w;

  let n = hit.normal;
  let diffuse = max(0.0, 0.78 * dot(n, l) + 0.22);
  let nh = max(0.0, dot(n, normalize(l - d)));
  let nh2 = nh * nh;
  let nh8 = nh2 * nh2 * nh2 * nh2;
  let facing = max(0.0, -dot(n, d));
  let sky = (0.9 + 0.1 * n.y) * (0.5 + 0.5 * facing);
  return open * (albedo * (face.light_body.w * sky + face.light.w * diffuse * (0.8 + 0.2 * facing)) + shine * nh8 * nh8 * face.light.w);
}

// --- ears, neck, clothes, glasses -----------------------------------------------------------------------------------

fn shade_ear(o: vec3f, d: vec3f) -> vec2f {   // radiance, cover
  let side = select(-1.0, 1.0, o.x - (o.z + 0.08) * d.x / d.z > 0.0);
  let r = vec3f(face.ear.w, face.ear.z, 0.16);
  let c = vec3f(side * face.ear.x, face.ear.y, -0.08);
  let lean = 0.2 * side;   // the top stands further out
  let oo = vec3f(o.x - c.x - lean * (o.y - c.y), o.y - c.y, o.z - c.z) / r;
  let dd = vec3f(d.x - lean * d.y, d.y, d.z) / r;
  let qa = dot(dd, dd);
  let qb = dot(oo, dd) / qa;
  let disc = qb * qb - (dot(oo, oo) - 1.0) / qa;
  let cover = edge(0.5 * disc * qa * face.ear.w);
  if (cover <= 0.0) { return vec2f(0.0); }
  let q = oo + (-qb - sqrt(max(disc, 0.0))) * dd;
  let n = normalize(q / r + vec3f(side * 1.5, 0.0, 0.0));
  let inner = bell(length(vec2f(q.x * side, q.y - 0.05) * vec2f(1.7, 1.4)));
  let diffuse = max(0.0, 0.8 * dot(n, face.light.xyz) + 0.2);
  return vec2f(face.skin.x * 0.95 * (1.0 - 0.5 * inner) * (face.light_body.w * 0.75 + face.light.w * diffuse), cover);
}

fn shade_body(x: f32, y: f32) -> vec2f {   // radiance, cover
  let l = face.light_body.xyz;
  let ambient = face.light_body.w;
  let key = face.light.w;
  let a = abs(x);
  let base = face.neck.y;
  let flare = max(0.0, base + 0.3 - y);
  let radius = face.neck.x + 0.9 * flare * flare;
  let nx = clamp(x / radius, -0.98, 0.98);
  let n = vec3f(nx, 0.0, sqrt(1.0 - nx * nx));
  let lit = smoothstep(-0.05, 0.7, face.neck.w - y + 0.35 * x * l.x);
  let cords = 1.0 - 0.12 * bell((a - 0.3 - 0.25 * (y - base)) / 0.09);
  var radiance = face.skin.x * 0.95 * cords * (ambient * (0.35 + 0.4 * lit) + key * max(0.0, 0.8 * dot(n, l) + 0.2) * (0.1 + 0.65 * lit)) * (0.5 + 0.5 * n.z);
  var cover = edge(radius - a);
  // Clothes.
  let shoulder = face.cloth.w - 0.12 * a * a - 0.08 * a - y;
  let open_collar = face.neck.z > 0.5;
  let rim = base - face.cloth.z + select((0.5 + face.cloth.z) * a * a, 1.1 * a, open_collar) - y;
  let on = edge(min(shoulder, rim));
  if (on > 0.0) {
    let m = normalize(vec3f(0.35 * x, 0.45, 0.8));
    let band = select(0.1, 0.2 + 0.15 * a, open_collar);
    let worn = select(0.0, 1.0, a < 1.0);
    var tone = face.cloth.x * (0.9 + 0.12 * sin(5.0 * x + 3.0 * y + 9.0 * x * y));
    tone = mix(tone, face.cloth.y, edge(band - rim) * worn) * (1.0 - 0.35 * stroke(rim - band, 0.03) * worn);
    radiance = mix(radiance, tone * (ambient + key * max(0.0, 0.8 * dot(m, l) + 0.2)), on);
    cover = max(cover, on);
  }
  return vec2f(radiance, cover);
}

fn wear_glasses(under: f32, o: vec3f, d: vec3f, head: Hit) -> f32 {
  let g = face.glasses;
  let f = face.glasses_form;
  let at = o + d * ((f.w - o.z) / d.z);
  let a = abs(at.x);
  let y = at.y - face.eye.y + 0.05;
  let q = abs(vec2f(a - g.y, y)) - g.zw + f.y;
  let distance = length(max(q, vec2f(0.0))) + min(max(q.x, q.y), 0.0) - f.y;
  let bridge = stroke(y - 0.08 + 0.5 * a * a, f.x) * select(0.0, 1.0, a < g.y - g.z);
  let arm = stroke(head.at.y - face.eye.y - 0.05, f.x) * select(0.0, head.cover, abs(head.at.x) > g.y + g.z && head.at.z > 0.0);
  let frame = g.x * max(max(stroke(distance, f.x), bridge), arm);
  let glass = edge(-distance);
  let glare = 0.06 * bell((at.x - at.y - 0.6 * face.light.x) / 0.2);
  let seen = under * (1.0 - 0.08 * glass) + glass * glare * face.light.w;
  return mix(seen, f.z * (face.light_body.w + 0.6 * face.light.w), frame);
}

fn radiance_at(x: f32, y: f32) -> f32 {
  let o = vec3f(
    face.ray_x.x * x + face.ray_x.y * y + face.ray_x.w,
    face.ray_y.x * x + face.ray_y.y * y + face.ray_y.w,
    face.ray_z.x * x + face.ray_z.y * y + face.ray_z.w);
  let d = -vec3f(face.ray_x.z, face.ray_y.z, face.ray_z.z);

  let hair = hit_hair(o, d);
  if (hair.cover > 0.995) { return hair.radiance; }
  var radiance = face.backdrop.x * (1.0 + face.backdrop.y * x + face.backdrop.z * y);
  let head = hit_head(o, d);
  if (head.cover < 0.995) {
    radiance = mix(radiance, hair.behind, hair.shell * face.hair_edge.w);
    if (y < -0.7) {
      let body = shade_body(x, y);
      radiance = mix(radiance, body.x, body.y);
    }
    let ear = shade_ear(o, d);
    radiance = mix(radiance, ear.x, ear.y);
  }
  if (head.cover > 0.0) { radiance = mix(radiance, shade_head(head, d), head.cover); }
  if (face.glasses.x > 0.0) { radiance = wear_glasses(radiance, o, d, head); }
  return mix(radiance, hair.radiance, hair.cover);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let width = step.extra0.x;
  let size = width * step.extra0.y;
  // Four neighbouring invocations take words that lie below one another: lanes then see alike pixels.
  let row_words = max(width / 4u, 1u);
  let block = id.x / (4u * row_words);
  let rest = id.x - block * 4u * row_words;
  let index_word = (block * 4u + rest % 4u) * row_words + rest / 4u;
  if (index_word >= step.extra0.z) { return; }
  var word = 0u;
  for (var i = 0u; i < 4u; i++) {
    let pixel = step.batch_offset + 4u * index_word + i;
    let photograph = pixel / size;
    if (photograph < step.extra0.w) {
    face = faces[photograph];
    let index = pixel - photograph * size;
    let row = index / width;
    let column = index - row * width;
    let unit = face.frame.x;
    soft = 0.6 * unit;
    let px = f32(column) + 0.5 - 0.5 * f32(width);
    let py = f32(row) + 0.5 - 0.5 * f32(step.extra0.y);
    let light = radiance_at(face.frame.y + px * unit, face.frame.z - py * unit) * face.frame.w;
    let tone = sqrt(clamp(1.25 * light / (1.0 + 0.35 * light), 0.0, 1.0));
    let key = bitcast<u32>(face.grain.y);
    let random = pcg4d(vec4u(index, key, 0u, 0u)) >> vec4u(8u);
    let grain = (f32(random.x + random.y + random.z + random.w) / 16777216.0 - 2.0) * 1.732;
    let level = u32(clamp(floor(tone * 255.0 + face.grain.x * grain + 0.5), 0.0, 255.0));
    word |= level << (8u * i);
    }
  }
  pixels[index_word] = word;
}
