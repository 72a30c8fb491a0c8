//! "Did you mean": the known names that a mistyped one is most like.

/// How alike two names must be, by Jaro and Winkler's measure from 0 to 1, for one to be a typing error of the other.
const NEAR: f64 = 0.8;

/// The known name that is most like `given`, whatever the case of letters, if it is near enough for a typing error; of names
/// that are equally near the first.
pub fn nearest<T: AsRef<str>>(given: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    near(given, known).into_iter().next()
}

/// All known names that are near enough, the most alike first.
pub fn near<T: AsRef<str>>(given: &str, known: impl IntoIterator<Item = T>) -> Vec<T> {
    let given = given.to_lowercase();
    let likeness = |name: T| (strsim::jaro_winkler(&given, &name.as_ref().to_lowercase()), name);
    let mut near: Vec<(f64, T)> = known.into_iter().map(likeness).filter(|(likeness, _)| *likeness >= NEAR).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().map(|(_, name)| name).collect()
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
        assert_eq!(near("eular", ["ddim", "euler-a", "Euler"]), ["Euler", "euler-a"]);
    }
}
