// Included as <normalisation> where none follows.
fn load_normalisation(column4: u32) -> Normalisation { return Normalisation(); }
