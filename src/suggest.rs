//! "Did you mean": the known name that a mistyped one is most like.

/// How alike two names must be, by Jaro and Winkler's measure from 0 to 1, for one to be a typing error of the other.
const NEAR: f64 = 0.8;

/// The known name that is most like `given`, whatever the case of letters, if it is near enough for a typing error; of names
/// that are equally near the first.
pub fn nearest<T: AsRef<str>>(given: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    let given = given.to_lowercase();
    let likeness = |name: T| (strsim::jaro_winkler(&given, &name.as_ref().to_lowercase()), name);
    let near = known.into_iter().map(likeness).filter(|(likeness, _)| *likeness >= NEAR);
    near.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_is_meant_and_of_equals_the_first() {
        assert_eq!(nearest("SD16", ["sd15", "sd21", "sdxl"]), Some("sd15"));
        assert_eq!(nearest("eular", ["ddim", "Euler", "euler-a"]), Some("Euler"));
        assert_eq!(nearest("zebra", ["ddim", "euler"]), None);
        assert_eq!(nearest::<&str>("x", []), None);
    }
}
