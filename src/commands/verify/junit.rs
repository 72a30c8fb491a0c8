//! JUnit's XML, as build servers read it: a suite for each thing that was named, a case for each check.

use std::fmt::Write;

/// A check as a build server shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What it belongs to, as it was named.
    pub suite: String,
    /// What was checked.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
    /// What is wrong; nothing when it passed.
    pub problems: Vec<String>,
}

/// The document. Cases of one suite follow each other.
#[must_use]
pub fn document(cases: &[Case]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let failures = |cases: &[Case]| cases.iter().filter(|case| !case.problems.is_empty()).count();
    let seconds = |cases: &[Case]| cases.iter().map(|case| case.seconds).sum::<f64>();
    let numbers = |cases: &[Case]| {
        format!("tests=\"{}\" failures=\"{}\" time=\"{:.3}\"", cases.len(), failures(cases), seconds(cases))
    };
    // Writing into a string cannot fail.
    let _ = writeln!(xml, "<testsuites name=\"sdgen verify\" {}>", numbers(cases));
    for suite in cases.chunk_by(|a, b| a.suite == b.suite) {
        let name = escaped(&suite[0].suite);
        let _ = writeln!(xml, "  <testsuite name=\"{name}\" {}>", numbers(suite));
        for case in suite {
            let head =
                format!("<testcase classname=\"{name}\" name=\"{}\" time=\"{:.3}\"", escaped(&case.name), case.seconds);
            if case.problems.is_empty() {
                let _ = writeln!(xml, "    {head}/>");
                continue;
            }
            let message = escaped(&case.problems[0]);
            let all = escaped(&case.problems.join("\n"));
            let _ = writeln!(xml, "    {head}>\n      <failure message=\"{message}\">{all}</failure>\n    </testcase>");
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Text for an attribute or an element; what XML 1.0 has no place for becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_hold_cases_and_failures() {
        let case = |suite: &str, name: &str, problems: &[&str]| Case {
            suite: suite.into(),
            name: name.into(),
            seconds: 0.5,
            problems: problems.iter().map(|p| (*p).to_string()).collect(),
        };
        let xml =
            document(&[case("a", "x", &[]), case("a", "<y>", &["1 & \"2\"\u{1b}", "three"]), case("b", "z", &[])]);
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites name=\"sdgen verify\" tests=\"3\" failures=\"1\" time=\"1.500\">
  <testsuite name=\"a\" tests=\"2\" failures=\"1\" time=\"1.000\">
    <testcase classname=\"a\" name=\"x\" time=\"0.500\"/>
    <testcase classname=\"a\" name=\"&lt;y&gt;\" time=\"0.500\">
      <failure message=\"1 &amp; &quot;2&quot;\u{fffd}\">1 &amp; &quot;2&quot;\u{fffd}&#10;three</failure>
    </testcase>
  </testsuite>
  <testsuite name=\"b\" tests=\"1\" failures=\"0\" time=\"0.500\">
    <testcase classname=\"b\" name=\"z\" time=\"0.500\"/>
  </testsuite>
</testsuites>
";
        assert_eq!(xml, expected);
    }
}
