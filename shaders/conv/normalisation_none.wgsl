// No batch normalisation follows. Included as <normalisation>.
fn load_normalisation(column4: u32) -> Normalisation { return Normalisation(); }
