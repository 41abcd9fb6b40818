// Included as <normalisation> where none follows.
struct Normalisation {
  center: vec4f,
  scale: vec4f,
  shift: vec4f,
}

fn load_normalisation(column4: u32) -> Normalisation { return Normalisation(); }
