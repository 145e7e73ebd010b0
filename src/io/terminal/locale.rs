//! Which locale the user's messages are wanted in.

/// Returns the locale of messages as the environment names it, such as `zh_CN.UTF-8`; `None` if
/// it names none. Of LC_ALL, LC_MESSAGES and LANG the first that is set and not empty decides
/// (POSIX.1-2017, XBD 8.2).
#[must_use]
pub fn of_messages() -> Option<String> {
    decided_by(|name| std::env::var(name).ok())
}

fn decided_by(value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut values = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().map(|n| value(n));
    values.find_map(|value| value.filter(|v| !v.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_says_something_decides() {
        let of = |all: &[(&str, &str)]| {
            decided_by(|name| {
                let found = all.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let lang = ("LANG", "zh_CN.UTF-8");
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[lang]).as_deref(), Some("zh_CN.UTF-8"));
        assert_eq!(of(&[lang, ("LC_MESSAGES", "C")]).as_deref(), Some("C"));
        assert_eq!(of(&[lang, ("LC_ALL", "")]).as_deref(), Some("zh_CN.UTF-8"));
        let all = [lang, ("LC_MESSAGES", "C"), ("LC_ALL", "zh_SG")];
        assert_eq!(of(&all).as_deref(), Some("zh_SG"));
    }
}
