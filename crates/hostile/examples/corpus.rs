//! Writes what was recorded for MODULE into FOLDER, where libFuzzer begins: `corpus MODULE FOLDER`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [module, folder] = arguments.as_slice() else { return Err("corpus MODULE FOLDER".into()) };
    fs::create_dir_all(folder)?;
    for (number, input) in hostile::recorded::inputs(module).iter().enumerate() {
        fs::write(PathBuf::from(folder).join(format!("recorded-{number}")), input)?;
    }
    Ok(())
}
