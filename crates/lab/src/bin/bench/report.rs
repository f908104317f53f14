//! The results as Markdown for people and as JSON for programs.

use std::fmt::Write;

use serde_json::json;

use crate::Result;
use crate::facts::Facts;
use crate::figure::{Effort, Section, number};

/// One page: the machine, the targets, then each measurement.
pub(crate) fn markdown(facts: &Facts, sections: &[Section], effort: Effort) -> String {
    let mut text = String::from("# Landfall: benchmark\n\n");
    if effort.quick {
        text += "**A quick run: too few repetitions for figures that mean something.**\n\n";
    }
    for (name, value) in facts.list() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- {name}: {value}");
    }

    text += "\n## Against the targets\n\n";
    let figures = sections.iter().flat_map(|section| &section.figures);
    let rows: Vec<Vec<String>> = figures
        .filter_map(|figure| {
            let met = if figure.met? { "yes" } else { "**no**" };
            let unit = |value: f64| format!("{} {}", number(value), figure.unit).trim().to_owned();
            let (measured, at_most) = (unit(figure.value), unit(figure.at_most?));
            Some(vec![figure.name.clone(), measured, at_most, met.to_owned()])
        })
        .collect();
    table(&mut text, &["figure", "measured", "at most", "met"], &rows);

    for section in sections {
        let _ = writeln!(text, "\n## {}\n\n{}\n", section.title, section.how);
        table(&mut text, &section.head, &section.rows);
    }
    text
}

/// The same with all samples.
pub(crate) fn json(facts: &Facts, sections: &[Section], effort: Effort) -> Result<String> {
    let document = json!({ "quick": effort.quick, "machine": facts, "sections": sections });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn table(text: &mut String, head: &[&str], rows: &[Vec<String>]) {
    let mut line = |cells: &[&str]| {
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    };
    line(head);
    // Names to the left, numbers to the right.
    let rules: Vec<&str> = (0..head.len()).map(|i| if i == 0 { "---" } else { "---:" }).collect();
    line(&rules);
    for row in rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
